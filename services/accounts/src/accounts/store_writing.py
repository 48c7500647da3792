"""Transactions that write, and the order of their locks.

Locks are taken in one order, so that no two writers wait for each other: packages (shared by
those who read them, exclusive for who changes one), then a name (a new client, a server, a
tariff), then accounts by their ids.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from accounts.store_rows import lock_name
from ringfence.postgres.pool import Connection, Pool

_PACKAGES = 0x7061636B  # an advisory lock of ours: packages are read, or one is changed

ExpectedVersions = frozenset[int] | None
"""The versions of a client that a change was made for; None: any."""


@asynccontextmanager
async def writing(pool: Pool, name: str | None = None) -> AsyncIterator[Connection]:
    """A transaction in which no package changes, and nobody else writes under `name`."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock_shared($1)", _PACKAGES)
        if name is not None:
            await lock_name(connection, name)
        yield connection


@asynccontextmanager
async def changing_packages(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction in which nobody else reads or changes a package."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _PACKAGES)
        yield connection
