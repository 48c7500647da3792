"""The reads of a backup, and the databases that a restore makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from ringfence.postgres.pool import role_of
from ringfence.postgres.refusal import explained_refusal
from ringfence.secret_files import SERVICES
from ringfence_cli.backup.manifest import CurrencySums

INVARIANTS = {
    "I1": "rating.drift_i1",
    "I2": "rating.drift_i2",
    "I3": "rating.drift_i3",
    "I4": "rating.drift_i4",
    "I10": "rating.drift_i10",
    "I11": "rating.drift_i11",
    "I12": "rating.drift_i12",
}
IN_FLIGHT = ("I3", "I10", "I11", "I12")
"""What a backup of a running installation may catch on its way between two services."""

_SUMS = """
select a.currency, count(*), coalesce(sum(l.entries), 0)::bigint,
    coalesce(sum(a.balance_micro), 0)::bigint, coalesce(sum(l.paid_micro), 0)::bigint
from rating.account a
left join (
    select account_id, count(*) as entries,
        sum(amount_micro) filter (where kind in ('top-up', 'adjustment')) as paid_micro
    from rating.ledger group by account_id
) as l using (account_id)
where a.currency <> '' group by a.currency order by a.currency
"""
_TIMEOUT_S = 1800.0


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    """A connection to a database. Raises DatabaseRefuses."""
    with explained_refusal(dsn):
        connection = await asyncpg.connect(dsn, timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


async def migrations_of(connection: Any) -> list[str]:
    """The migrations that were applied, in their order."""
    rows = await connection.fetch("select name from public.ringfence_migration order by name")
    return [row["name"] for row in rows]


async def sums_of(connection: Any) -> list[CurrencySums]:
    """The ledger's sums by currency."""
    return [CurrencySums(*row) for row in await connection.fetch(_SUMS, timeout=_TIMEOUT_S)]


async def drifts_of(connection: Any) -> dict[str, int]:
    """How many rows violate each invariant that needs the database alone."""
    return {
        name: await connection.fetchval(f"select count(*) from {view}", timeout=_TIMEOUT_S)  # noqa: S608
        for name, view in INVARIANTS.items()
    }


def with_name(dsn: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


def name_of(dsn: str) -> str:
    """The name of the database in a URL."""
    return unquote(urlsplit(dsn).path.lstrip("/"))


async def create_database(dsn: str) -> None:
    """Create the database of a URL, and the roles of the services where the server lacks them."""
    async with connected(with_name(dsn, "postgres")) as connection:
        for role in map(role_of, SERVICES):
            if not await connection.fetchval("select true from pg_roles where rolname = $1", role):
                await connection.execute(f'create role "{role}" nologin')
        await connection.execute(f'create database "{name_of(dsn)}" template template0')


async def drop_database(dsn: str) -> None:
    """Drop the database of a URL, if it exists."""
    async with connected(with_name(dsn, "postgres")) as connection:
        await connection.execute(f'drop database if exists "{name_of(dsn)}" with (force)')


async def exists(dsn: str) -> bool:
    """Whether the server has the database of a URL."""
    async with connected(with_name(dsn, "postgres")) as connection:
        query = "select exists (select from pg_database where datname = $1)"
        return bool(await connection.fetchval(query, name_of(dsn)))


async def rename_database(dsn: str, name: str) -> None:
    """Give the database of a URL another name. Nobody may be connected to it."""
    async with connected(with_name(dsn, "postgres")) as connection:
        await connection.execute(f'alter database "{name_of(dsn)}" rename to "{name}"')


async def services_connected(dsn: str) -> list[str]:
    """The services that are connected to the database of a URL."""
    async with connected(with_name(dsn, "postgres")) as connection:
        rows = await connection.fetch(
            "select distinct application_name from pg_stat_activity"
            " where datname = $1 and application_name like 'ringfence-%' order by 1",
            name_of(dsn),
        )
    return [row["application_name"].removeprefix("ringfence-") for row in rows]
