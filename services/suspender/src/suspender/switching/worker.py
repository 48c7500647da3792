"""Brings each server to the desired state: servers in parallel, each by one replica at a time."""

import asyncio
import time
from collections.abc import Collection, Mapping

import structlog

from ringfence.breaker import Breaker
from ringfence.clock import Clock
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from suspender.drivers.driver import PbxDriver
from suspender.metrics import LOOSE
from suspender.rules.suspension import SwitchState
from suspender.rules.work import BatchResult, LooseElement
from suspender.settings import Settings
from suspender.switching.batch import BatchWorker, fail
from suspender.switching.server import QUEUES, ServerWorker
from suspender.switching.store import WorkStore
from suspender.switching.store_abandoned import watch_abandoned

_AT_ONCE = 100
_ABANDONED_EVERY_S = 60.0
_LOOSE_SHARE = 20
"""The search for loose elements takes at most this fraction of the time: one part in 20."""

log = structlog.get_logger()


class Worker:
    """Brings every PBX to the desired state and confirms it by reading it back."""

    def __init__(
        self,
        *,
        store: WorkStore,
        drivers: Mapping[str, PbxDriver],
        clock: Clock,
        settings: Settings,
        progress: Progress,
    ) -> None:
        self._store = store
        self._drivers = drivers
        self._clock = clock
        self._settings = settings
        self._progress = progress
        self._breakers: dict[str, Breaker] = {}
        self._busy: dict[str, tuple[ServerWorker, asyncio.Task[None]]] = {}
        self._stop = asyncio.Event()
        self._next_loose = self._next_abandoned = 0.0
        self.woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; batches that have begun are finished."""
        self._stop = stop
        try:
            while not stop.is_set():
                self.woken.clear()
                try:
                    await self._poll()
                except TRANSIENT_ERRORS as error:
                    log.warning("suspender waits", reason=repr(error))
                self._progress.turned()
                await self._wait(stop)
        finally:
            tasks = [task for _, task in self._busy.values()]
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _wait(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(wait_or_stop(stop, self._settings.suspender_poll_s))
        waking = asyncio.create_task(self.woken.wait())
        await asyncio.wait({stopping, waking}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, waking):
            task.cancel()

    async def _poll(self) -> None:
        for server_id, (_, task) in list(self._busy.items()):
            if task.done():
                del self._busy[server_id]
                task.result()  # a bug in the worker must end the process, not vanish
        now = time.monotonic()
        if now >= self._next_abandoned:
            await watch_abandoned(self._store.pool, self._drivers.keys(), self._clock.now())
            self._next_abandoned = now + _ABANDONED_EVERY_S
        for server_id in await self._store.servers_with_work():
            await self._serve(server_id)
        for server_id, loose in (await self._look_for_loose()).items():
            await self._serve(server_id, loose)

    async def _serve(
        self, server_id: str, loose: list[tuple[SwitchState, LooseElement]] | None = None
    ) -> None:
        driver, breaker = self._drivers.get(server_id), self._breaker(server_id)
        if driver is None:
            await self._fail_without_driver(server_id)
        elif server_id in self._busy:
            self._busy[server_id][0].wake(loose)
        elif breaker.allows():
            batches = BatchWorker(
                server_id, driver, store=self._store, clock=self._clock, settings=self._settings
            )
            server = ServerWorker(
                server_id,
                driver,
                store=self._store,
                batches=batches,
                breaker=breaker,
                stop=self._stop,
            )
            server.wake(loose)
            self._busy[server_id] = server, asyncio.create_task(server.run())

    def _breaker(self, server_id: str) -> Breaker:
        return self._breakers.setdefault(
            server_id,
            Breaker(
                after=self._settings.suspender_breaker_after,
                rest_s=self._settings.suspender_breaker_s,
            ),
        )

    async def _look_for_loose(self) -> dict[str, list[tuple[SwitchState, LooseElement]]]:
        began = time.monotonic()
        if began < self._next_loose:
            return {}
        found, resolved = await find_loose(self._store, self._drivers.keys())
        await self._store.clear_failures(resolved, self._clock.now())
        for server_id in self._drivers:
            LOOSE.labels(server_id).set(len(found.get(server_id, ())))
        self._next_loose = began + (time.monotonic() - began) * _LOOSE_SHARE
        return found

    async def _fail_without_driver(self, server_id: str) -> None:
        """Services on a server that the servers file does not have."""
        reason = (
            f"server {server_id}: no switch for such a server is configured; switch the service by"
            " hand, or add the server to the servers file"
        )
        now = self._clock.now()
        for queue in QUEUES:
            due = await self._store.due(server_id, queue, _AT_ONCE)
            if due:
                failed = [fail(item, reason, True, now, self._settings) for item in due]
                await self._store.finish(BatchResult(server_id, failed=failed), now)


async def find_loose(
    store: WorkStore, server_ids: Collection[str]
) -> tuple[dict[str, list[tuple[SwitchState, LooseElement]]], list[LooseElement]]:
    """The elements to switch on these servers although no service is due, by server, with queue.

    Returned second: elements that failed, and no longer have to be switched.
    """
    rows: dict[str, list[LooseElement]] = {}
    for row in await store.loose():
        if row.server_id in server_ids:
            rows.setdefault(row.server_id, []).append(row)
    found: dict[str, list[tuple[SwitchState, LooseElement]]] = {}
    resolved: list[LooseElement] = []
    for server_id, candidates in rows.items():
        survey = await store.survey(server_id, (), candidates, {})
        for row in candidates:
            off = survey.context.is_to_be_off(row.record.element)
            if not off or (row.is_unconfirmed and not row.is_due):
                found.setdefault(server_id, []).append((QUEUES[off], row))
            elif row.attempts and not row.is_unconfirmed:
                resolved.append(row)
    return found, resolved
