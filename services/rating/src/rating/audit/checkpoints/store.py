"""The checkpoints, and the reads of the ledger between them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rating.audit.checkpoints.windows import SLICE, CheckedAccount, LedgerSums, Window
from ringfence.postgres.pool import Pool

_TIMEOUT_S = 600
_ACCOUNTS = """
select a.account_id, a.currency, a.balance_micro, a.version, coalesce(g.versions, 0)::bigint,
    coalesce(c.version, 0), coalesce(c.entries, 0), coalesce(c.charges, 0),
    coalesce(c.charged_micro, 0), coalesce(c.reversed_micro, 0), coalesce(c.paid_micro, 0),
    coalesce(c.balance_after_micro, 0)
from rating.account a
left join rating.checkpoint c using (account_id)
left join (
    select account_id, sum(versions) as versions from rating.version_gap group by account_id
) as g using (account_id)
order by a.account_id
"""
_AHEAD = """
select a.account_id, a.version, (
    select max(l.version) from rating.ledger l where l.account_id = a.account_id
) as last
from rating.account a
where exists (
    select from rating.ledger l where l.account_id = a.account_id and l.version > a.version
)
order by a.account_id
"""
_WINDOWS = """
unnest($1::text[], $2::bigint[], $3::bigint[], $4::bool[]) as w (account_id, after, upto, seals)
join rating.ledger l
    on l.account_id = w.account_id and l.version > w.after and l.version <= w.upto
"""
# Every column of a row, in a form that depends on no setting.
_ROW = """
concat_ws('|', l.version, l.entry_id, l.kind, l.amount_micro, l.balance_after_micro, l.cause_id,
    coalesce(l.reverses::text, ''), extract(epoch from l.occurred_at),
    extract(epoch from l.posted_at), encode(l.input_hash, 'hex'),
    encode(sha256(convert_to(l.explanation, 'UTF8')), 'hex'))
"""
_SLICES = f"""
with e as (
    select l.*, w.seals, w.after, (l.version - 1) / {SLICE} as slice,
        lag(l.balance_after_micro) over (partition by w.account_id, w.after order by l.version)
            as link_micro,
        row_number() over (partition by w.account_id, w.after order by l.version) = 1 as is_first
    from {_WINDOWS}
)
select account_id, slice, count(*), count(*) filter (where kind = 'charge'),
    coalesce(-sum(amount_micro) filter (where kind = 'charge'), 0)::bigint,
    coalesce(sum(amount_micro) filter (where kind = 'reversal'), 0)::bigint,
    coalesce(sum(amount_micro) filter (where kind in ('top-up', 'adjustment')), 0)::bigint,
    (array_agg(balance_after_micro order by version desc))[1],
    count(*) filter (where balance_after_micro <> amount_micro + coalesce(
        case when is_first then (
            select p.balance_after_micro from rating.ledger p
            where p.account_id = l.account_id and p.version <= l.after
            order by p.version desc limit 1
        ) else link_micro end, 0)),
    sha256(convert_to(string_agg({_ROW}, chr(10) order by version) filter (where seals), 'UTF8'))
from e l
group by account_id, slice order by account_id, slice
"""  # noqa: S608 - parts of this module
_ROWS = f"""
select l.account_id, l.version, l.kind, l.entry_id, l.cause_id, l.amount_micro,
    case when w.seals and l.kind = 'charge' then l.explanation end
from {_WINDOWS} where l.kind in ('charge', 'reversal')
"""  # noqa: S608
# Subqueries instead of joins, which the planner may make with the whole ledger: these are looked up
# by key.
_REVERSALS = """
select r.entry_id, r.account_id, r.version, r.amount_micro, (
    select l.amount_micro from rating.ledger l where l.entry_id = r.reverses
) as reversed_micro, (
    select l.account_id from rating.ledger l where l.entry_id = r.reverses
) as reversed_account, (
    select count(*) from rating.ledger o where o.reverses = r.reverses
) as reversals
from rating.ledger r where r.entry_id = any($1::uuid[])
"""
_LIVE = """
with candidate as (
    select call_id, entry_id from unnest($1::uuid[], $2::uuid[]) as c (call_id, entry_id)
    union
    select call_id, charge_id from rating.rerate_change where call_id = any($1::uuid[])
)
select call_id, count(*) from candidate c
where (select l.kind from rating.ledger l where l.entry_id = c.entry_id) = 'charge'
    and (select count(*) from rating.ledger r where r.reverses = c.entry_id) = 0
group by call_id having count(*) > 1 order by call_id
"""
_SEAL = """
insert into rating.checkpoint_slice (account_id, slice, entries, digest)
select * from unnest($1::text[], $2::bigint[], $3::int[], $4::bytea[]) on conflict do nothing
"""
_ADVANCE = """
insert into rating.checkpoint as c (account_id, version, entries, charges, charged_micro,
    reversed_micro, paid_micro, balance_after_micro)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (account_id) do update set version = excluded.version, entries = excluded.entries,
    charges = excluded.charges, charged_micro = excluded.charged_micro,
    reversed_micro = excluded.reversed_micro, paid_micro = excluded.paid_micro,
    balance_after_micro = excluded.balance_after_micro, checked_at = now()
where c.version < excluded.version
"""
_OLDEST = """
select account_id, slice, digest, checked_at from rating.checkpoint_slice where checked_at < $1
order by checked_at, account_id, slice offset $2 limit $3
"""


class SliceRow(NamedTuple):
    """What was read of a slice, or of a part of one; the digest only if its window seals."""

    account_id: str
    slice: int
    sums: LedgerSums
    digest: bytes | None


class CheckedRow(NamedTuple):
    """A charge or a reversal; the explanation only where costs are computed again."""

    account_id: str
    version: int
    kind: str
    entry_id: UUID
    cause_id: UUID
    amount_micro: int
    explanation: str | None


class WrongReversal(NamedTuple):
    """A reversal that does not give back its entry, once."""

    entry_id: UUID
    account_id: str
    version: int
    amount_micro: int
    reversed_micro: int | None


class SealedSlice(NamedTuple):
    """A slice whose rows were checked, with the digest that they had."""

    account_id: str
    slice: int
    digest: bytes
    checked_at: datetime


class CheckpointStore:
    """The reads and writes of checkpoints; the ledger is only read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self) -> list[CheckedAccount]:
        """All accounts with their checkpoints, as they are now."""
        rows = await self._pool.fetch(_ACCOUNTS, timeout=_TIMEOUT_S)
        return [
            CheckedAccount(row[0], row[1], row[2], row[3], row[4], row[5], LedgerSums(*row[6:]))
            for row in map(tuple, rows)
        ]

    async def ahead(self) -> dict[str, tuple[int, int]]:
        """Accounts that the ledger has later entries of: the version, and that of the last one."""
        rows = await self._pool.fetch(_AHEAD, timeout=_TIMEOUT_S)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def slices(self, windows: Sequence[Window]) -> list[SliceRow]:
        """The sums of each slice in the windows, and digests."""
        rows = await self._pool.fetch(_SLICES, *_columns(windows), timeout=_TIMEOUT_S)
        return [SliceRow(row[0], row[1], LedgerSums(*tuple(row)[2:9]), row[9]) for row in rows]

    async def rows(self, windows: Sequence[Window]) -> list[CheckedRow]:
        """The charges and reversals of the windows."""
        rows = await self._pool.fetch(_ROWS, *_columns(windows), timeout=_TIMEOUT_S)
        return [CheckedRow(*row) for row in rows]

    async def wrong_reversals(self, entries: Sequence[UUID]) -> list[WrongReversal]:
        """Those of the reversals that do not give back exactly what their entry took, once."""
        rows = await self._pool.fetch(_REVERSALS, entries, timeout=_TIMEOUT_S)
        return [
            WrongReversal(*tuple(row)[:5])
            for row in rows
            if row["reversed_micro"] != -row["amount_micro"]
            or row["reversed_account"] != row["account_id"]
            or row["reversals"] != 1
        ]

    async def live_charges(self, candidates: Sequence[tuple[UUID, UUID]]) -> list[tuple[UUID, int]]:
        """Calls with several live charges among these (call, entry) and those of re-ratings."""
        calls, entries = [each[0] for each in candidates], [each[1] for each in candidates]
        return [tuple(r) for r in await self._pool.fetch(_LIVE, calls, entries, timeout=_TIMEOUT_S)]

    async def seal(
        self, slices: Sequence[SliceRow], checkpoints: Sequence[tuple[str, int, LedgerSums]]
    ) -> None:
        """Write slices that hold, and the checkpoints behind them. Idempotent."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _SEAL,
                [each.account_id for each in slices],
                [each.slice for each in slices],
                [each.sums.entries for each in slices],
                [each.digest for each in slices],
            )
            await connection.executemany(
                _ADVANCE,
                [
                    (
                        account_id, version, sums.entries, sums.charges, sums.charged_micro,
                        sums.reversed_micro, sums.paid_micro, sums.balance_after_micro,
                    )
                    for account_id, version, sums in checkpoints
                ],
            )  # fmt: skip

    async def count_slices(self) -> tuple[int, datetime]:
        """The number of sealed slices, and the database's clock."""
        row = await self._pool.fetchrow(
            "select count(*), now() from rating.checkpoint_slice", timeout=_TIMEOUT_S
        )
        assert row is not None
        return row[0], row[1]

    async def oldest_slices(self, before: datetime, skip: int, limit: int) -> list[SealedSlice]:
        """The slices that were not read for the longest time, without the first `skip`."""
        return [SealedSlice(*r) for r in await self._pool.fetch(_OLDEST, before, skip, limit)]

    async def read_again(self, slices: Sequence[SealedSlice]) -> None:
        """Save that these slices were read and had not changed."""
        await self._pool.execute(
            "update rating.checkpoint_slice s set checked_at = now()"
            " from unnest($1::text[], $2::bigint[]) as n (account_id, slice)"
            " where s.account_id = n.account_id and s.slice = n.slice",
            [each.account_id for each in slices],
            [each.slice for each in slices],
        )


def _columns(windows: Sequence[Window]) -> tuple[list[str], list[int], list[int], list[bool]]:
    return (
        [w.account_id for w in windows],
        [w.after for w in windows],
        [w.upto for w in windows],
        [w.seals for w in windows],
    )
