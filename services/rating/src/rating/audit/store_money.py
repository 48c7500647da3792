"""Sums of balances and the number of dead calls, by queries whose time does not depend on the
ledger's size.
"""

from typing import NamedTuple
from uuid import UUID

from ringfence.postgres.pool import Pool
from ringfence_contracts.ids import charge_id

NEWEST_DEAD = 2000
_BALANCES = """
select currency, coalesce(sum(-balance_micro) filter (where balance_micro < 0), 0),
    coalesce(sum(balance_micro) filter (where balance_micro > 0), 0),
    count(*) filter (where balance_micro < 0)
from rating.account where currency <> '' group by currency order by currency
"""
# Subqueries instead of `not exists`, which the planner may turn into a join with the whole ledger:
# these are looked up by key. A charge's id follows from its call's id.
_DEAD = """
select count(*), coalesce(extract(epoch from now() - min(k.died_at)), 0)::bigint
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as k (call_id, entry_id, died_at)
where (select l.entry_id from rating.ledger l where l.entry_id = k.entry_id) is null
    and (select n.call_id from rating.not_billed n where n.call_id = k.call_id) is null
    and (select u.call_id from rating.unrated u where u.call_id = k.call_id) is null
"""


class BalanceSums(NamedTuple):
    """One currency's balances, in micro-units.

    `owed_micro` is the sum of those below zero, as a positive number, `left_micro` that of those
    above, `in_debt` the number of those below.
    """

    currency: str
    owed_micro: int
    left_micro: int
    in_debt: int


class DeadCalls(NamedTuple):
    """The number of dead calls, and the age of the oldest in seconds."""

    calls: int
    oldest_s: int


class MoneyStore:
    """Reads for the metrics of money."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def balances(self) -> list[BalanceSums]:
        """The sums by currency, from rating.account."""
        rows = await self._pool.fetch(_BALANCES)
        return [BalanceSums(row[0], int(row[1]), int(row[2]), row[3]) for row in rows]

    async def dead(self) -> DeadCalls:
        """Of the newest dead calls, those that were not processed since."""
        rows = await self._pool.fetch(
            "select call_id, died_at from rating.dead_call order by died_at desc limit $1",
            NEWEST_DEAD,
        )
        calls: list[UUID] = [row["call_id"] for row in rows]
        if not calls:
            return DeadCalls(0, 0)
        entries = [charge_id(str(call)) for call in calls]
        row = await self._pool.fetchrow(_DEAD, calls, entries, [row["died_at"] for row in rows])
        assert row is not None
        return DeadCalls(*row)
