"""What the services store about a call and a balance, read from their views."""

from datetime import datetime
from uuid import UUID

from accounts.explanations.history import CallHistory, StoredRow
from accounts.explanations.statement import Balance, LedgerRange, Position
from accounts.typed.short_ids import MOST_SHOWN, IdRange
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.ids import charge_id

_ENTRY = (
    "select l.entry_id, l.account_id, l.version, l.kind, l.amount_micro, l.balance_after_micro,"
    " l.cause_id, l.reverses, l.occurred_at, l.posted_at, l.explanation, b.currency"
    " from report.ledger l join report.balance b using (account_id)"
    " where l.entry_id = any($1) order by l.account_id, l.version"
)
_NOT_BILLED = (
    "select account_id, service_id, reason, hidden, started_at, posted_at, detail"
    " from report.not_billed where call_id = $1"
)
_UNRATED = (
    "select call_id, server_id, tenant, reason, detail, account_id, service_id, billsec,"
    " started_at, queued_at from report.unrated where call_id = $1"
)
_DEAD = "select reason, died_at, record_start from report.dead_record where call_id = $1"
_ACCEPTED = (
    "select server_id, tenant, source, disposition, reason, started_at, accepted_at"
    " from report.accepted_record where record_id = $1"
)
_RERATED = "select replaced_id, reversal_id, charge_id from report.rerate_change where call_id = $1"
# An account's entries are in the order of their versions; `posted_at` is when their transaction
# began, so that neighbours may differ by a little in the other direction.
_BEFORE = (
    "select version, balance_after_micro from report.ledger"
    " where account_id = $1 and posted_at < $2 order by version desc limit 1"
)
_NEWEST = (
    "select version, balance_after_micro from report.ledger"
    " where account_id = $1 order by version desc limit 1"
)
_TOTALS = (
    "select count(*), coalesce(sum(amount_micro), 0) from report.ledger"
    " where account_id = $1 and version > $2 and version <= $3"
)
_ENTRIES = (
    "select version, entry_id, cause_id, kind, amount_micro, balance_after_micro, occurred_at,"
    " posted_at, explanation from report.ledger"
    " where account_id = $1 and version > $2 and version <= $3"
    " and ($4::text is null or kind = $4) order by version desc limit $5"
)
_BALANCE = "select balance_micro from report.balance where account_id = $1"
_DRIFT = (
    "select ledger_micro, balance_micro, broken_links from report.ledger_drift"
    " where account_id = $1"
)


class ExplanationStore:
    """Reads what is stored about a call and a balance, each from one snapshot."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ids_in(self, wanted: IdRange) -> list[UUID]:
        """The ids of calls and entries in a range, at most one more than an error lists."""
        rows = await self._pool.fetch(
            "select distinct id from report.call_or_entry where id between $1 and $2"
            " order by id limit $3",
            wanted.first,
            wanted.last,
            MOST_SHOWN + 1,
        )
        return [row["id"] for row in rows]

    async def history(self, call_id: UUID) -> CallHistory:
        """What is stored about a call."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            ids = [charge_id(str(call_id))]
            for row in await connection.fetch(_RERATED, call_id):
                ids += row.values()
            return CallHistory(
                call_id,
                [dict(row) for row in await connection.fetch(_ENTRY, ids)],
                await _row(connection, _NOT_BILLED, call_id),
                await _row(connection, _UNRATED, call_id),
                await _row(connection, _DEAD, call_id),
                await _row(connection, _ACCEPTED, call_id),
            )

    async def entry(self, entry_id: UUID) -> StoredRow | None:
        """A ledger entry."""
        row = await self._pool.fetchrow(_ENTRY, [entry_id])
        return None if row is None else dict(row)

    async def statement(
        self,
        account_id: str,
        period: tuple[datetime | None, datetime | None],
        kind: str | None,
        before: int | None,
        limit: int,
    ) -> LedgerRange:
        """An account's entries posted in a period (None: no bound), and the balances around them.

        Of the entries, the `limit` newest of the kind whose version is below `before`, and one
        more if there is one; ascending.
        """
        since, until = period
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            opening = Position(0, 0)
            if since is not None:
                opening = await _position(connection, account_id, since)
            closing = await _position(connection, account_id, until)
            totals = await connection.fetchrow(
                _TOTALS, account_id, opening.version, closing.version
            )
            assert totals is not None, "an aggregate has a row"
            last = closing.version if before is None else min(closing.version, before - 1)
            rows = await connection.fetch(
                _ENTRIES, account_id, opening.version, last, kind, limit + 1
            )
            balance = await _balance(connection, account_id)
        entries = [dict(row) for row in reversed(rows)]
        return LedgerRange(opening, closing, totals[0], int(totals[1]), entries, balance)


async def _row(connection: Connection, query: str, call_id: UUID) -> StoredRow | None:
    row = await connection.fetchrow(query, call_id)
    return None if row is None else dict(row)


async def _position(connection: Connection, account_id: str, at: datetime | None) -> Position:
    """The last entry posted before an instant (None: the newest); version 0 if there is none."""
    if at is None:
        row = await connection.fetchrow(_NEWEST, account_id)
    else:
        row = await connection.fetchrow(_BEFORE, account_id, at)
    return Position(0, 0) if row is None else Position(*row)


async def _balance(connection: Connection, account_id: str) -> Balance:
    """The balance as it is now, and how the ledger differs from it."""
    micro = await connection.fetchval(_BALANCE, account_id) or 0
    drift = await connection.fetchrow(_DRIFT, account_id)
    if drift is None:
        return Balance(micro, micro, 0, differs=False)
    return Balance(micro, int(drift["ledger_micro"]), drift["broken_links"], differs=True)
