"""Reads the state of a running stack from report views, metrics, health and mails."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from ringfence.kafka.access.acls import OPERATOR
from ringfence.postgres.pool import role_of
from ringfence.secret_files import SERVICES
from ringfence_local.demo.store import (
    WatchedClient,
    count_clients,
    count_open_alarms,
    count_unrated,
    read_clients,
)
from ringfence_local.stack import Stack


@dataclass(frozen=True)
class ServiceSnapshot:
    """A service's health, lag (None: it does not answer) and number of restarts."""

    name: str
    status: str
    lag: int | None
    restarts: int


@dataclass
class StackSnapshot:
    """The state of the stack at one time.

    `clients` are those that need help first, as many as were read; `counts` counts all by kind.
    `mails` are the last ones, the newest at the end.
    """

    clients: list[WatchedClient] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    services: list[ServiceSnapshot] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    calls: int = 0
    calls_per_second: float = 0.0
    unrated: int = 0
    alarms: int = 0


class StackMonitor:
    """Reads the state of a stack repeatedly; calls per second are those between two reads."""

    def __init__(self, stack: Stack, *, clients: int = 200, mails: int = 12) -> None:
        self._stack = stack
        self._clients = clients
        self._mails = mails
        self._http = httpx.AsyncClient(timeout=2, trust_env=False)
        self._before: tuple[float, int] | None = None
        self._last = StackSnapshot()

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.aclose()

    async def read(self) -> StackSnapshot:
        """Read the current state; of what does not answer, show that and what was last read."""
        services = [await self._service(name) for name in SERVICES]
        snapshot = replace(self._last, services=[*services, *self._servers()])
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._read_database(snapshot)
        messages = await asyncio.to_thread(self._stack.inbox.messages)
        snapshot.mails = [f"{m['To']}: {m['Subject']}" for m in messages[-self._mails :]]
        snapshot.calls = await self._calls()
        snapshot.calls_per_second = self._rate(snapshot.calls)
        self._last = snapshot
        return snapshot

    async def _read_database(self, snapshot: StackSnapshot) -> None:
        # The report views can be read by the role of any service.
        connection = await asyncpg.connect(
            self._stack.dsn_of(OPERATOR), server_settings={"role": role_of("accounts")}
        )
        try:
            snapshot.clients = await read_clients(connection, self._clients)
            snapshot.counts = await count_clients(connection)
            snapshot.unrated = await count_unrated(connection)
            snapshot.alarms = await count_open_alarms(connection)
        finally:
            await connection.close()

    def _servers(self) -> list[ServiceSnapshot]:
        """The embedded servers that are down or were started again."""
        return [
            ServiceSnapshot(
                keeper.name, "restarting" if keeper.is_down else "ok", 0, keeper.restart_count
            )
            for keeper in self._stack.keepers
            if keeper.is_down or keeper.restart_count
        ]

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
