"""What scenarios run on: the real servers, tariffs, accounts, and workers under a supervisor."""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType

import asyncpg
import psutil
from figures import Figures
from load import account, as_event, profile_event
from rich.console import Console

from rating.audit.invariants import verify
from rating.audit.store import AuditStore
from ringfence.kafka.publisher import Publisher, open_publisher
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.tariff import RateRow, TariffPublished, rows_digest
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import TARIFF_PUBLISHED
from ringfence_local.embedded.ports import free_port
from ringfence_local.processes.supervisor import Program, python_module
from ringfence_local.stack import Stack
from ringfence_testing.wait import until

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Bed:
    """A stack, and besides its services whichever workers a scenario wants."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self.console = console
        self.stack = stack
        self.accounts: dict[int, list[str]] = {}
        self.publisher: Publisher
        self._health: dict[str, int] = {}

    async def __aenter__(self) -> "Bed":
        self.console.print("Starting Kafka and PostgreSQL…")
        await self.stack.__aenter__()
        self._publishing = open_publisher(self.stack.bootstrap, source="bench")
        self.publisher = await self._publishing.__aenter__()
        self.database = await asyncpg.connect(self.stack.dsn)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.database.close()
        await self._publishing.__aexit__(kind, error, traceback)
        await self.stack.__aexit__(kind, error, traceback)

    async def prepare(self, deck: int, accounts: int) -> None:
        """A tariff of `deck` prefixes and accounts that are rated by it, known to rating."""
        self.console.print(f"Preparing {deck:,} prefixes and {accounts:,} accounts…")
        await self._publish_tariff(deck)
        made = [account(deck, number) for number in range(accounts)]
        self.accounts[deck] = [one.account_id for one in made]
        await self.start("rating-1", "rating")
        await self.start("balance-watch", "balance_watch")
        await self.publisher.publish([profile_event(one) for one in made])
        await until(lambda: self._known(accounts * len(self.accounts)), timeout_s=120)
        await self.stop("rating-1", "balance-watch")

    async def _known(self, accounts: int) -> bool:
        known = await self.database.fetchval("select count(*) from rating.profile")
        return bool(known >= accounts)

    async def _publish_tariff(self, deck: int) -> None:
        rows = tariff_rows(deck)
        version = await self.database.fetchval(
            "insert into accounts.tariff_version (tariff_id, name, currency, effective_from, rows,"
            " sha256, created_at, created_by) values ($1, $1, 'CAD', $2, $3, $4, now(), 'bench')"
            " returning version_id",
            f"deck-{deck}",
            LONG_AGO,
            len(rows),
            rows_digest(rows),
        )
        await self.database.copy_records_to_table(
            "tariff_rate",
            schema_name="accounts",
            columns=(
                "version_id", "prefix", "description", "rate", "initial_s", "increment_s", "status",
            ),
            records=[(version, *row) for row in rows],
        )  # fmt: skip
        event = TariffPublished(
            tariff_id=f"deck-{deck}",
            version_id=version,
            name=f"deck-{deck}",
            currency="CAD",
            effective_from=LONG_AGO,
            rows=len(rows),
            sha256=rows_digest(rows),
            published_at=LONG_AGO,
        )
        event_id = derive("bench", deck)
        await self.publisher.publish(
            [as_event(TARIFF_PUBLISHED, f"deck-{deck}", event.to_json(), event_id)]
        )

    async def start(self, name: str, module: str, settings: dict[str, str] | None = None) -> None:
        """Start a worker, with these settings besides; returns when it answers."""
        port = self._health[name] = self.stack.ports[f"{name}-health"] = free_port()
        environment = {
            "RINGFENCE_KAFKA_BOOTSTRAP": self.stack.bootstrap,
            "RINGFENCE_POSTGRES_DSN": self.stack.dsn_of(module.replace("_", "-")),
            "RINGFENCE_HEALTH_PORT": str(port),
            **(settings or {}),
        }
        await self.stack.supervisor.start(Program(name, python_module(module), environment))
        await until(lambda: self.stack.health(name), timeout_s=60, what=f"{name} answers")

    async def stop(self, *names: str) -> None:
        """Stop workers."""
        await asyncio.gather(*(self.stack.supervisor.stop(name) for name in names))

    async def entries(self) -> int:
        """How many entries all ledgers have together."""
        return int(await self.database.fetchval("select sum(version) from rating.account") or 0)

    async def has_entries(self, count: int) -> bool:
        """Whether so many entries stand in the ledgers."""
        return await self.entries() >= count

    async def at_work(self, *names: str) -> bool:
        """Whether each of these workers has settled records: all have their partitions then."""
        reports = [await self.stack.health(name) for name in names]
        loops = [r["loops"].values() for r in reports if r]
        return len(loops) == len(names) and all(any(one["read"] for one in ls) for ls in loops)

    async def caught_up(self, name: str) -> bool:
        """Whether a worker has read all there is."""
        return await self.lag(name) == 0

    async def lag(self, name: str) -> int:
        """How far behind a worker says that it is."""
        report = await self.stack.health(name)
        return sum(int(loop["lag"]) for loop in report["loops"].values()) if report else -1

    def cpu_seconds(self, names: list[str]) -> dict[str, float]:
        """CPU time so far: of the workers, of the broker and of the database."""
        used = {name: _cpu(self.stack.supervisor.pid(name)) for name in names}
        if self.stack.kafka:
            used["kafka"] = _cpu(self.stack.kafka.pid)
        if self.stack.postgres:
            used["postgresql"] = _cpu(self.stack.postgres.pid)
        return used

    def add_memory(self, figures: Figures, names: Sequence[str], conditions: str) -> None:
        """What these services hold in memory now."""
        for name in names:
            process = psutil.Process(self.stack.supervisor.pid(name))
            used = sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
            figures.add(f"memory, {name}", used / 2**20, "MiB", conditions)

    async def bytes_written(self) -> dict[str, int]:
        """So far: what the tables take, what the write-ahead log took, what stands in topics."""
        tables = await self.database.fetchval("select pg_database_size(current_database())")
        log = await self.database.fetchval("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
        segments = (self.stack.folder / "kafka" / "data").glob("*/*.log")
        topics = sum(segment.stat().st_size for segment in segments)
        return {"tables": tables, "write-ahead log": int(log), "topics": topics}

    async def rest(self) -> None:
        """Have the database write down what throughput left it with: latencies are without it."""
        await self.database.execute("vacuum analyze rating.ledger")
        await self.database.execute("checkpoint")

    async def drain(self) -> None:
        """Let rating take what a scenario left on the topic: a call that is nowhere is a loss."""
        await self.start("rating-1", "rating")
        missing = "select count(*) = 0 from rating.drift_i3"
        await until(lambda: self.database.fetchval(missing), every_s=0.5, timeout_s=120)
        await self.stop("rating-1")

    async def check_sums(self, figures: Figures, after: str, wait_s: float = 0) -> None:
        """Whatever was measured counts only if the books are right afterwards."""
        async with await open_pool(self.stack.dsn, service="rating", size=2) as pool:
            store = AuditStore(pool)
            conditions = f"{await self.entries():,} entries, after {after}"
            began = time.monotonic()
            await store.drift("rating.drift_i3")
            took_s = time.monotonic() - began
            figures.add("what violates an invariant, counted once", took_s, "s", conditions)
            checks, _ = await verify(store, wait_s=wait_s, on_progress=lambda *_: None)
        # Without the other services nobody has their copies (I12).
        broken = [check.name for check in checks if not check.holds and check.name != "I12"]
        said = f"after {after}" + (f": {', '.join(broken)}" if broken else "")
        figures.add("invariants that do not hold", len(broken), f"of {len(checks)}", said)
        figures.broken = figures.broken or bool(broken)


def tariff_rows(count: int) -> list[RateRow]:
    """Rows of 1 to 8 digits under country code 1 and others, the same at every run."""
    chance = random.Random(count)
    prefixes = {"1"} | {f"1{area}" for area in range(200, 1000)}
    while len(prefixes) < count:
        country = chance.choice(("1", "1", "44", "33", "49", "52", "61", "7"))
        digits = chance.randrange(10 ** chance.randrange(3, 7))
        prefixes.add(f"{country}{chance.randrange(200, 1000)}{digits}"[:11])
    increments = ((60, 60), (6, 6), (30, 6), (1, 1))
    return [
        (
            prefix,
            f"Route {prefix}",
            _rate(chance),
            *chance.choice(increments),
            1,
        )
        for prefix in sorted(prefixes)[:count]
    ]


def _rate(chance: random.Random) -> str:
    return f"0.{chance.randrange(10, 9999):04d}"


def _cpu(pid: int | None) -> float:
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    times = process.cpu_times()
    return total + float(times.children_user + times.children_system)
