"""Write transactions, and the order of their locks.

All writers take locks in the same order, so that no two can deadlock:

1. packages: shared to read them, exclusive to change one;
2. a name: a new client, a server, a tariff;
3. accounts, in the order of their ids.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from accounts.store_rows import lock_name
from ringfence.postgres.pool import Connection, Pool

_PACKAGES = 0x7061636B  # Key of an advisory lock: shared to read packages, exclusive to change one.

ExpectedVersions = frozenset[int] | None
"""The versions of a client that a change expects; None: any."""


@asynccontextmanager
async def writing(pool: Pool, name: str | None = None) -> AsyncIterator[Connection]:
    """A transaction in which no package changes; it holds the lock `name`, if one is given."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock_shared($1)", _PACKAGES)
        if name is not None:
            await lock_name(connection, name)
        yield connection


@asynccontextmanager
async def changing_packages(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction in which no other writer reads or changes a package."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _PACKAGES)
        yield connection
