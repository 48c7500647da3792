"""`make bench-large`: how long verification takes, and how much disk a large ledger needs.

python tests/bench/large.py                       20 million entries, of 10,000 accounts
python tests/bench/large.py --entries 1000000     fewer

Entries are loaded by COPY into a PostgreSQL of its own, which is deleted afterwards.
"""

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid5

import asyncpg
import click
import orjson

from rating.audit.invariants import verify
from rating.audit.store import AuditStore
from ringfence.postgres.migrate import migrate
from ringfence.postgres.pool import open_pool
from ringfence_contracts.ids import charge_id
from ringfence_local.embedded.postgres import Postgres

MIGRATIONS = Path(__file__).parents[2] / "deploy" / "migrations"
AT = datetime(2026, 10, 27, 12, tzinfo=UTC)
BILLSEC, COST_MICRO = 45, 10_000
_CALLS = UUID(int=7)
_COPIED_AT_ONCE = 200_000
_STEP = timedelta(milliseconds=1)
_WHY = {
    "rate_per_min": "0.01", "increment": "60/60", "markup_percent": "100", "connection_fee": "0",
    "prefix": "1416", "destination": "Toronto, Ontario", "tariff": "north", "version": "1",
}  # fmt: skip
EXPLANATION = orjson.dumps({"billsec": BILLSEC, "free_s": 0, "explanation": _WHY}).decode()

Entry = tuple[object, ...]


def entries(first: int, count: int, accounts: int) -> Iterator[Entry]:
    """Charges of one price, in turn over the accounts, in the order of the ledger's columns."""
    for number in range(first, first + count):
        version, call_id = number // accounts + 1, uuid5(_CALLS, str(number))
        yield (
            f"{number % accounts:06}", version, charge_id(str(call_id)), "charge", -COST_MICRO,
            -COST_MICRO * version, call_id, None, AT, AT, b"x" * 32, EXPLANATION,
        )  # fmt: skip


async def load(database: asyncpg.Connection, count: int, accounts: int) -> None:
    """Load the entries, with the balances and the accepted calls that belong to them."""
    for first in range(0, count, _COPIED_AT_ONCE):
        rows = list(entries(first, min(_COPIED_AT_ONCE, count - first), accounts))
        await database.copy_records_to_table("ledger", schema_name="rating", records=rows)
        await database.copy_records_to_table(
            "record",
            schema_name="cdr_ingest",
            columns=("record_id", "server_id", "tenant", "source", "disposition", "accepted_at"),
            records=[
                (row[6], "pbx", "north.example", "bench", "published", AT + _STEP * number)
                for number, row in enumerate(rows, first)
            ],
        )
        click.echo(f"\rloaded {first + len(rows):,} of {count:,} entries", nl=False)
    click.echo()
    await database.execute(
        "insert into rating.account (account_id, currency, balance_micro, version)"
        " select account_id, 'CAD', sum(amount_micro), count(*) from rating.ledger group by 1",
        timeout=3600,
    )
    await database.execute("vacuum analyze", timeout=3600)


async def checked(dsn: str, *, full: bool) -> float:
    """The duration of one verification in seconds. Fails if the ledger is not found to be right."""
    async with await open_pool(dsn, service="rating", size=2) as pool:
        began = time.monotonic()
        checks, _ = await verify(AuditStore(pool), wait_s=0, on_progress=lambda *_: None, full=full)
        took_s = time.monotonic() - began
    wrong = [c.name for c in checks if c.name in ("I1", "I2", "I3", "I4", "I8") and not c.holds]
    if wrong:
        raise SystemExit(f"these do not hold: {', '.join(wrong)}")
    return took_s


async def measure(dsn: str, count: int, accounts: int) -> Sequence[tuple[str, float, str]]:
    """What was measured: name, value, unit."""
    await migrate(dsn, MIGRATIONS)
    database = await asyncpg.connect(dsn)
    empty = await database.fetchval("select pg_database_size(current_database())")
    began = time.monotonic()
    await load(database, count, accounts)
    figures = [("loading", time.monotonic() - began, "s")]
    size = await database.fetchval("select pg_database_size(current_database())") - empty
    figures.append(("disk, ledger and accepted calls", size / count, "MB per million calls"))
    await database.close()
    figures.append(("verify, first time", await checked(dsn, full=False), "s"))
    figures.append(("verify, second time", await checked(dsn, full=False), "s"))
    figures.append(("verify --full", await checked(dsn, full=True), "s"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [*figures, ("memory of this process, at most", peak / 1024, "MiB")]


@click.command()
@click.option("--entries", "count", type=click.IntRange(1000), default=20_000_000)
@click.option("--accounts", type=click.IntRange(1), default=10_000)
@click.option("--bound", "bound_s", type=click.FloatRange(1), default=7200.0, help="Seconds.")
def main(count: int, accounts: int, bound_s: float) -> None:
    """Measure a large ledger."""
    with TemporaryDirectory() as folder:
        postgres = Postgres(Path(folder) / "postgres")
        postgres.start()
        try:
            measured = asyncio.run(
                asyncio.wait_for(measure(postgres.dsn(), count, accounts), bound_s)
            )
        finally:
            postgres.stop()
    cores, load_average = os.cpu_count(), os.getloadavg()[0]
    click.echo(f"{count:,} entries, {accounts:,} accounts, {cores} cores, load {load_average:.0f}")
    for name, value, unit in measured:
        click.echo(f"{name:34}{value:12,.1f} {unit}")


if __name__ == "__main__":
    main()
