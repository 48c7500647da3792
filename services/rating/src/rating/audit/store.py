"""The reads of verification; nothing here writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg

from ringfence.postgres.pool import Pool

_PAGE = 5000
_COUNTED = {
    "rating.account": "select count(*) from rating.account",
    "report.accepted_record": "select count(*) from report.accepted_record",
    "report.payment": "select count(*) from report.payment",
    "report.level": "select count(*) from report.level",
    "report.account": "select count(*) from report.account",
}
_DRIFTS = {
    "rating.drift_i1": "select * from rating.drift_i1 order by account_id",
    "rating.drift_i2": "select * from rating.drift_i2 order by account_id, entry_id",
    "rating.drift_i3": "select * from rating.drift_i3 order by accepted_at",
    "rating.drift_i4": "select * from rating.drift_i4 order by call_id",
    "rating.drift_i4_legs": "select * from rating.drift_i4_legs order by call_id",
    "rating.drift_i10": "select * from rating.drift_i10 order by account_id, payment_id",
    "rating.drift_i12": "select * from rating.drift_i12 order by topic, reader, key",
    "rating.drift_i11": (
        "select * from rating.drift_i11 order by account_id, rule, service_id, number"
    ),
}
_SUMS = """
select a.currency, count(distinct a.account_id) as accounts, count(l.entry_id) as entries,
    coalesce(-sum(l.amount_micro) filter (where l.kind in ('charge', 'reversal')), 0)::bigint
        as charges_micro,
    coalesce(sum(l.amount_micro) filter (where l.kind in ('top-up', 'adjustment')), 0)::bigint
        as paid_micro,
    coalesce(sum(l.amount_micro), 0)::bigint as balance_micro
from rating.account a left join rating.ledger l using (account_id)
group by a.currency order by a.currency
"""


_NOT_COMPARED = """
select count(*) from report.level w
left join report.balance b using (account_id)
left join report.account a on a.account_id = w.account_id
where b.version > w.balance_version or a.version > w.profile_version
"""
_TIMEOUT_S = 600


class ChargeRow(NamedTuple):
    """A charge in the ledger."""

    call_id: UUID
    amount_micro: int
    explanation: str


class AuditStore:
    """Reads for verification."""

    def __init__(self, pool: Pool) -> None:
        self._pool = self.pool = pool

    async def count(self, table: str) -> int:
        """The number of rows of one of the counted tables."""
        return int(await self._pool.fetchval(_COUNTED[table], timeout=_TIMEOUT_S))

    async def count_charges(self) -> int:
        """The number of charges in the ledger."""
        return int(
            await self._pool.fetchval(
                "select count(*) from rating.ledger where kind = 'charge'", timeout=_TIMEOUT_S
            )
        )

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[bool]:
        """Count alone: yields false while another replica counts."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield bool(
                await connection.fetchval(
                    "select pg_try_advisory_xact_lock(hashtext('rating.audit'))"
                )
            )

    async def drift(self, view: str) -> list[asyncpg.Record]:
        """The rows that violate an invariant."""
        return await self._pool.fetch(_DRIFTS[view], timeout=_TIMEOUT_S)

    async def unclaimed(self) -> list[asyncpg.Record]:
        """Payments that wait for their claim."""
        return await self._pool.fetch("select * from report.unclaimed_payment order by since")

    async def not_compared(self) -> int:
        """The number of accounts whose latest balance or debts balance-watch has not processed."""
        return int(await self._pool.fetchval(_NOT_COMPARED, timeout=_TIMEOUT_S))

    async def charges(self) -> AsyncIterator[list[ChargeRow]]:
        """All charges in one snapshot, page by page."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            cursor = await connection.cursor(
                "select cause_id, amount_micro, explanation from rating.ledger"
                " where kind = 'charge'"
            )
            while page := await cursor.fetch(_PAGE):
                yield [ChargeRow(*row) for row in page]

    async def sums(self) -> list[asyncpg.Record]:
        """The ledger's sums by currency."""
        return await self._pool.fetch(_SUMS, timeout=_TIMEOUT_S)
