"""Acts on what is wanted: one PBX at a time to ourselves, backed off, each server on its own."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from ringfence.breaker import Breaker
from ringfence.clock import Clock
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress
from suspender.drivers import OperatorMustAct, Switch
from suspender.metrics import ACTIONS, REACTION_SECONDS
from suspender.settings import Settings
from suspender.store_work import Due, WorkStore

_AT_ONCE = 8
log = structlog.get_logger()


class Worker:
    """Brings every PBX to the wanted state and confirms it by reading it back."""

    def __init__(
        self,
        *,
        store: WorkStore,
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
            correlation_id=due.service.correlation_id,
            account_id=due.service.account_id,
            service_id=due.service.service_id,
        ):
            try:
                evidence = await self._switch(due)
            except OperatorMustAct as error:
                breaker.succeeded()  # the server answers: the failure is this service's
                await self._note_failure(due, str(error), publish=True)
            except UNWELL as error:
                breaker.failed()
                is_lasting = due.attempts + 1 >= self._settings.suspender_told_after
                await self._note_failure(due, str(error), publish=is_lasting)
            else:
                breaker.succeeded()
                await self._note_success(due, evidence)

    async def _switch(self, due: Due) -> str:
        wish = due.service
        switch = self._switches.get(wish.server_id)
        profile = due.account.profile
        products = profile.services if profile else ()
        product = next((s for s in products if s.service_id == wish.service_id), None)
        if switch is None or product is None:
            raise OperatorMustAct(
                f"server {wish.server_id}: no switch for a {wish.kind} server is configured;"
                " switch the service by hand, or add the server to the servers file"
            )
        if wish.wanted == "suspended":
            return await switch.suspend(product)
        return await switch.restore(product)

    async def _note_success(self, due: Due, evidence: str) -> None:
        now, wanted = self._clock.now(), due.service.wanted
        await self._store.confirm(due, evidence, now)
        ACTIONS.labels(due.service.server_id, wanted, "confirmed").inc()
        REACTION_SECONDS.labels(wanted).observe((now - due.wanted_at).total_seconds())
        log.info("confirmed", wanted=wanted, evidence=evidence)

    async def _note_failure(self, due: Due, reason: str, *, publish: bool) -> None:
        now, wish = self._clock.now(), due.service
        delay_s = min(self._settings.suspender_backoff_max_s, 2.0 ** min(due.attempts, 10))
        again_at = now + timedelta(seconds=delay_s)
        is_first = publish and due.failure_told_seq < wish.wanted_seq
        await self._store.failed(due, reason, again_at, now, publish=is_first)
        ACTIONS.labels(wish.server_id, wish.wanted, "failed").inc()
        log.warning("not confirmed", wanted=wish.wanted, reason=reason, again_in_s=delay_s)
