"""Scans a server at once when a call shows that a suspended service can call out."""

import asyncio

import structlog

from ringfence.breaker import Breaker
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from ringfence_pbx.emergency import is_emergency
from suspender.rules.elements import ServiceKey
from suspender.upkeep.drift.alarm import OutboundCall
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.drift.store_calls import CallStore
from suspender.upkeep.server_tasks import ServerTasks

POLL_EVERY_S = 5.0
REST_S = 30.0
"""A server that did not answer is scanned again after this."""
log = structlog.get_logger()


class CallWatch:
    """Reads the balances of clients with a suspended service, every few seconds.

    When a balance changed by an outbound call that was answered after the suspension, the elements
    of the service are scanned. Scans that wait for a server are lost with the process; the drift
    loop then finds the drift later. Calls that began before the suspension, and emergency calls,
    are no drift.
    """

    def __init__(
        self,
        scanner: DriftScanner,
        calls: CallStore,
        *,
        progress: Progress,
        every_s: float = POLL_EVERY_S,
        rest_s: float = REST_S,
    ) -> None:
        self._scanner = scanner
        self._calls = calls
        self._progress = progress
        self._every_s = every_s
        self._rest_s = rest_s
        self._scans = ServerTasks()
        self._waiting: dict[str, dict[ServiceKey, OutboundCall]] = {}
        self._breakers: dict[str, Breaker] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; while the database does not answer, try again."""
        try:
            await run_loop(
                stop,
                self._turn,
                "drift by calls waits",
                progress=self._progress,
                every_s=self._every_s,
            )
        finally:
            await self._scans.cancel()

    async def _turn(self) -> None:
        self._scans.collect()
        now = self._scanner.clock.now()
        await self._calls.end_resolved(now)
        if moved := await self._calls.moved():
            for call in await self._calls.calls(moved, now):
                if not is_emergency(call.number) and call.server_id in self._scanner.drivers:
                    self._waiting.setdefault(call.server_id, {})[call.service] = call
            await self._calls.mark_seen(moved)
        for server_id in list(self._waiting):
            if not self._scans.is_busy(server_id) and self._breaker(server_id).allows():
                self._scans.start(server_id, self._scan(server_id, self._waiting.pop(server_id)))

    def _breaker(self, server_id: str) -> Breaker:
        return self._breakers.setdefault(server_id, Breaker(after=1, rest_s=self._rest_s))

    async def _scan(self, server_id: str, calls: dict[ServiceKey, OutboundCall]) -> None:
        words = {service: call.words for service, call in calls.items()}
        try:
            result = await self._scanner.scan(server_id, list(calls), words)
            self._breaker(server_id).succeeded()
            log.info("looked for drift after calls", server_id=server_id, services=len(calls))
            for call in calls.values() if result.checked else ():
                if await self._calls.alarm_if_unexplained(call, self._scanner.clock.now()):
                    log.warning("call while off", server_id=server_id, service=call.service)
        except TRANSIENT_ERRORS as reason:
            if isinstance(reason, Retry):
                self._breaker(server_id).failed()
            self._waiting[server_id] = calls | self._waiting.get(server_id, {})
            log.warning("not looked at for drift", server_id=server_id, reason=str(reason))
