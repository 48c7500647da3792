"""Acts on what is wanted: one PBX at a time to ourselves, backed off, each server on its own."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from ringfence.breaker import Breaker
from ringfence.clock import Clock
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress
from suspender import announce
from suspender.metrics import ACTIONS, REACTION_SECONDS
from suspender.settings import Settings
from suspender.store import Due, SuspenderStore
from suspender.switches import OperatorMustAct, Switch

_AT_ONCE = 8
log = structlog.get_logger()


class Worker:
    """Brings every PBX to the wanted state and confirms it by reading it back."""

    def __init__(
        self,
        *,
        store: SuspenderStore,
        switches: Mapping[str, Switch],
        clock: Clock,
        settings: Settings,
        progress: Progress,
    ) -> None:
        self._store = store
        self._switches = switches
        self._clock = clock
        self._settings = settings
        self._progress = progress
        self._breakers: dict[str, Breaker] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self.woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what is begun on a PBX is finished."""
        while not stop.is_set():
            self.woken.clear()
            try:
                await self._start_due_servers()
            except UNWELL as error:
                log.warning("suspender waits", reason=repr(error))
            self._progress.turned()
            await self._wait(stop)
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _wait(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(wait_or_stop(stop, self._settings.suspender_poll_s))
        waking = asyncio.create_task(self.woken.wait())
        await asyncio.wait({stopping, waking}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, waking):
            task.cancel()

    async def _start_due_servers(self) -> None:
        for server_id, task in list(self._busy.items()):
            if task.done():
                del self._busy[server_id]
                task.result()  # a bug in the worker must end the process, not vanish
        for server_id in await self._store.servers_with_work():
            if server_id not in self._busy and self._breaker(server_id).allows():
                self._busy[server_id] = asyncio.create_task(self._serve(server_id))

    def _breaker(self, server_id: str) -> Breaker:
        return self._breakers.setdefault(
            server_id,
            Breaker(
                after=self._settings.suspender_breaker_after,
                rest_s=self._settings.suspender_breaker_s,
            ),
        )

    async def _serve(self, server_id: str) -> None:
        """Do what is due on one server, while no other replica touches it."""
        try:
            async with self._store.server_to_ourselves(server_id) as ours:
                breaker = self._breaker(server_id)
                while ours and breaker.allows():
                    due = await self._store.due(server_id, 1 if breaker.failing else _AT_ONCE)
                    if not due:
                        return
                    await asyncio.gather(*(self._act(item, breaker) for item in due))
        except UNWELL as error:
            log.warning("suspender waits", server_id=server_id, reason=repr(error))

    async def _act(self, due: Due, breaker: Breaker) -> None:
        with structlog.contextvars.bound_contextvars(
            correlation_id=due.correlation_id,
            account_id=due.account_id,
            service_id=due.service_id,
        ):
            try:
                evidence = await self._switch(due)
            except OperatorMustAct as error:
                breaker.succeeded()  # the server answers; it is not the one that is unwell
                await self._note_failure(due, str(error), told=True)
            except UNWELL as error:
                breaker.failed()
                attempts_told = due.attempts + 1 >= self._settings.suspender_told_after
                await self._note_failure(due, str(error), told=attempts_told)
            else:
                breaker.succeeded()
                await self._note_success(due, evidence)

    async def _switch(self, due: Due) -> str:
        switch = self._switches.get(due.server_id)
        service = next((s for s in due.profile.services if s.service_id == due.service_id), None)
        if switch is None or service is None:
            raise OperatorMustAct(
                f"server {due.server_id}: no switch for a {due.kind} server is configured;"
                " switch the service by hand, or add the server to the servers file"
            )
        if due.wanted == "suspended":
            return await switch.suspend(service)
        return await switch.restore(service)

    async def _note_success(self, due: Due, evidence: str) -> None:
        now = self._clock.now()
        mail = due.zero_mail and await self._store.still_wanted(due)
        await self._store.confirm(due, evidence, announce.confirmed(due, evidence, now, mail))
        ACTIONS.labels(due.server_id, due.wanted, "confirmed").inc()
        REACTION_SECONDS.labels(due.wanted).observe((now - due.wanted_at).total_seconds())
        log.info("confirmed", wanted=due.wanted, evidence=evidence)

    async def _note_failure(self, due: Due, reason: str, *, told: bool) -> None:
        now = self._clock.now()
        delay_s = min(self._settings.suspender_backoff_max_s, 2.0 ** min(due.attempts, 10))
        first_time = told and due.failure_told_seq < due.wanted_seq
        event = announce.failed(due, reason, now) if first_time else None
        await self._store.failed(due, reason, now + timedelta(seconds=delay_s), event)
        ACTIONS.labels(due.server_id, due.wanted, "failed").inc()
        log.warning("not confirmed", wanted=due.wanted, reason=reason, again_in_s=delay_s)
