"""The lock that lets one replica examine at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ringfence.postgres.pool import Pool

_KEY = 0x52_46_44_4F_43
"""Of PostgreSQL's advisory locks: "RFDOC"; no other lock of the database has it."""


class ExaminationLock:
    """An advisory lock of a database session: it ends with the process that holds it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[bool]:
        """Hold the lock in this context, if nobody else does; gives whether it is held."""
        async with self._pool.acquire() as connection:
            held = await connection.fetchval("select pg_try_advisory_lock($1)", _KEY)
            try:
                yield held
            finally:
                if held:
                    await connection.execute("select pg_advisory_unlock($1)", _KEY)
