"""Reads the state of a running stack from report views, metrics, health and mails."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from ringfence.kafka.access.acls import OPERATOR
from ringfence.postgres.pool import role_of
from ringfence.secret_files import SERVICES
from ringfence_local.stack import Stack

_BALANCES = """
select b.account_id, b.balance_micro, b.currency, l.level,
    exists (select from report.service_state s where s.account_id = b.account_id
        and s.wanted = 'suspended') as suspended,
    exists (select from report.service_state s where s.account_id = b.account_id
        and not s.live and s.would = 'suspended') as would_be,
    exists (select from report.service_state s where s.account_id = b.account_id and s.open) as open
from report.balance b left join report.level l using (account_id)
order by b.account_id limit $1
"""


@dataclass(frozen=True)
class ServiceSnapshot:
    """A service's health, lag (None: it does not answer) and number of restarts."""

    name: str
    status: str
    lag: int | None
    restarts: int


@dataclass
class StackSnapshot:
    """The state of the stack at one time."""

    balances: list[asyncpg.Record] = field(default_factory=list)
    services: list[ServiceSnapshot] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    calls: int = 0
    calls_per_second: float = 0.0
    unrated: int = 0


class StackMonitor:
    """Reads the state of a stack repeatedly; calls per second are those between two reads."""

    def __init__(self, stack: Stack, *, clients: int = 12, mails: int = 6) -> None:
        self._stack = stack
        self._clients = clients
        self._mails = mails
        self._http = httpx.AsyncClient(timeout=2, trust_env=False)
        self._before: tuple[float, int] | None = None

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.aclose()

    async def read(self) -> StackSnapshot:
        """Read the current state. A service that does not answer is shown as such."""
        snapshot = StackSnapshot(services=[await self._service(name) for name in SERVICES])
        # The report views can be read by the role of any service.
        connection = await asyncpg.connect(
            self._stack.dsn_of(OPERATOR), server_settings={"role": role_of("accounts")}
        )
        try:
            snapshot.balances = await connection.fetch(_BALANCES, self._clients)
            snapshot.unrated = await connection.fetchval("select count(*) from report.unrated")
        finally:
            await connection.close()
        messages = await asyncio.to_thread(self._stack.inbox.messages)
        snapshot.mails = [f"{m['To']}: {m['Subject']}" for m in messages[-self._mails :]]
        snapshot.calls = await self._calls()
        snapshot.calls_per_second = self._rate(snapshot.calls)
        return snapshot

    async def _service(self, name: str) -> ServiceSnapshot:
        child = self._stack.supervisor.children[name]
        report = await self._stack.health(name)
        loops: dict[str, Any] = report["loops"] if report else {}
        lag = sum(int(loop["lag"]) for loop in loops.values()) if report else None
        status = str(report["status"]) if report else child.state
        return ServiceSnapshot(name, status, lag, self._stack.supervisor.restart_count(name))

    async def _calls(self) -> int:
        port = self._stack.ports["cdr-ingest-health"]
        try:
            answer = await self._http.get(f"http://127.0.0.1:{port}/metrics")
        except httpx.TransportError:
            return self._before[1] if self._before else 0
        return round(
            sum(
                sample.value
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
                if sample.name == "ringfence_ingest_records_total"
            )
        )

    def _rate(self, calls: int) -> float:
        now, before = time.monotonic(), self._before
        self._before = (now, calls)
        if before is None or calls < before[1]:  # a restarted service counts from zero
            return 0.0
        return (calls - before[1]) / max(now - before[0], 0.001)
