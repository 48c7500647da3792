"""The temporary table into which the topics are replayed; it exists as long as its connection."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from ringfence.postgres.pool import Connection

_TIMEOUT_S = 600
_COLUMNS = ("entry_id", "account_id", "amount_micro", "currency", "is_payment")
_COMPARE = """
with ledger as (
    select entry_id, account_id, amount_micro, posted_at from rating.ledger
),
entries as (
    select
        coalesce(l.account_id, r.account_id) as account_id,
        l.amount_micro as ledger_micro, r.amount_micro as replayed_micro,
        l.entry_id is not null and r.entry_id is null and l.posted_at <= $1 as not_published,
        l.entry_id is not null and r.entry_id is null and l.posted_at > $1 as in_flight,
        l.entry_id is null as not_posted,
        l.amount_micro <> r.amount_micro or l.account_id <> r.account_id as otherwise
    from ledger l full join (
        select p.* from pg_temp.replayed p join rating.account a using (account_id)
        where a.currency = p.currency
    ) as r using (entry_id)
),
sums as (
    select
        account_id,
        coalesce(sum(replayed_micro), 0)
            + coalesce(sum(ledger_micro) filter (where in_flight), 0) as replayed_micro,
        count(*) filter (where not_published) as not_published,
        count(*) filter (where not_posted) as not_posted,
        count(*) filter (where otherwise) as otherwise
    from entries group by account_id
)
select
    a.account_id, coalesce(s.replayed_micro, 0)::bigint, a.balance_micro,
    coalesce(s.not_published, 0), coalesce(s.not_posted, 0), coalesce(s.otherwise, 0)
from rating.account a left join sums s using (account_id)
where coalesce(s.replayed_micro, 0) <> a.balance_micro
    or coalesce(s.not_published, 0) + coalesce(s.not_posted, 0) + coalesce(s.otherwise, 0) > 0
order by a.account_id
"""

_POST = """
insert into pg_temp.replayed
select t.* from pg_temp.received t
where not t.is_payment
    or exists (
        select from report.payment p
        where p.payment_id = t.entry_id
            and (p.account_id, p.amount_micro, p.currency)
                = (t.account_id, t.amount_micro, t.currency)
    )
    or exists (
        select from rating.ledger l
        where l.entry_id = t.entry_id
            and (l.account_id, l.amount_micro) = (t.account_id, t.amount_micro)
    )
on conflict (entry_id) do nothing
"""


class ReplayedEntry(NamedTuple):
    """An entry as a topic has it, in the order of the table's columns."""

    entry_id: UUID
    account_id: str
    amount_micro: int
    currency: str
    is_payment: bool = False


class AccountDifference(NamedTuple):
    """An account for which topics and ledger differ, and in how many entries."""

    account_id: str
    replayed_micro: int
    ledger_micro: int
    not_published: int
    not_posted: int
    otherwise: int


class RebuildStore:
    """Posts into the temporary table and compares, all by the one connection that has it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._began_at: datetime | None = None

    async def begin(self) -> None:
        """Create the tables and record the time: later entries may be published later."""
        await self._connection.execute(
            "drop table if exists pg_temp.replayed, pg_temp.received;"
            "create temporary table replayed (entry_id uuid primary key, account_id text not null,"
            " amount_micro bigint not null, currency text not null, is_payment boolean not null);"
            "create temporary table received (like replayed)"
        )
        self._began_at = await self._connection.fetchval("select clock_timestamp()")

    async def post(self, entries: Sequence[ReplayedEntry]) -> None:
        """Post entries; of entries with the same id the first one counts.

        As in the ledger, a payment counts only if it passes the claim check.
        """
        if not entries:
            return
        await self._connection.copy_records_to_table("received", columns=_COLUMNS, records=entries)
        await self._connection.execute(_POST)
        await self._connection.execute("truncate received")

    async def compare(self) -> list[AccountDifference]:
        """The accounts whose balance differs from the topics."""
        rows = await self._connection.fetch(_COMPARE, self._began_at, timeout=_TIMEOUT_S)
        return [AccountDifference(*row) for row in rows]

    async def accounts(self) -> int:
        """The number of accounts."""
        return int(await self._connection.fetchval("select count(*) from rating.account"))
