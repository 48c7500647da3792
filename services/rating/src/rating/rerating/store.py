"""Tables of re-rating: runs, what each changed, and the charges that it reads."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from rating.posting.records import FreeKey
from rating.rerating.plan import LiveCharge, RerateChange, RerateOrder
from rating.store import BatchTransaction
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.model import MAX_BILLSEC
from ringfence_contracts.records import Outgoing

_PAGE = 5000
_TIMEOUT_S = 600
_LONGEST_CALL = timedelta(seconds=MAX_BILLSEC)
_CHARGE = "l.entry_id, l.cause_id, l.amount_micro, l.occurred_at, l.input_hash, l.explanation"
_LIVE_CHARGES = f"""
select {_CHARGE} from rating.ledger l
where l.account_id = $1 and l.kind = 'charge' and l.occurred_at >= $2 and l.occurred_at < $3
    and not exists (select from rating.ledger r where r.reverses = l.entry_id)
order by l.version
"""  # noqa: S608 - a constant of this file
_LIVE_CHANGES = """
from rating.rerate_change c
join rating.rerate_change now on now.call_id = c.call_id
join rating.ledger l on l.entry_id = now.charge_id
where c.run_id = $1 and not c.undoes
    and not exists (select from rating.ledger r where r.reverses = l.entry_id)
    and not exists (
        select from rating.rerate_change u
        where u.run_id = c.run_id and u.undoes and u.account_id = c.account_id
            and u.call_id = c.call_id
    )
"""
_MADE = f"""
select c.replaced_id, c.service_id, c.period, c.bundle, {_CHARGE} {_LIVE_CHANGES}
    and (now.run_id = c.run_id or now.undoes) and c.account_id = $2
order by l.version
"""
_LATER = f"select distinct now.run_id {_LIVE_CHANGES} and now.run_id <> c.run_id and not now.undoes"
_ORIGINALS = f"select {_CHARGE} from rating.ledger l where l.entry_id = any($1)"  # noqa: S608


class RerateRun(NamedTuple):
    """A re-rating as it was ordered, and its progress."""

    run_id: UUID
    order: RerateOrder
    started_at: datetime
    applied_at: datetime | None
    undo_started_at: datetime | None
    undone_at: datetime | None


class ReratedCharge(NamedTuple):
    """A charge that a run made and that is not reversed, with the one that it replaced."""

    charged: LiveCharge
    original: LiveCharge
    free_key: FreeKey


class DoneBefore(NamedTuple):
    """What earlier attempts of a run changed on an account: how many charges, the credit by that,
    and what they had cost.
    """

    charges: int
    difference_micro: int
    charged_micro: int


NOTHING_BEFORE = DoneBefore(0, 0, 0)


class ChangeRow(NamedTuple):
    """A row of rating.rerate_change: a change, with the ids of its two entries."""

    change: RerateChange
    reversal_id: UUID
    charge_id: UUID


class RerateTransaction(BatchTransaction):
    """One account's re-rating: its reads and writes, in one transaction."""

    async def account(self, account_id: str) -> AccountChanged | None:
        """The account's profile; None if rating has none."""
        profile = await self._connection.fetchval(
            "select profile from rating.profile where account_id = $1", account_id
        )
        return None if profile is None else AccountChanged.model_validate(profile)

    async def live_charges(
        self, account_id: str, span: tuple[datetime, datetime]
    ) -> AsyncIterator[LiveCharge]:
        """Charges of calls that may have been answered in the period, in the ledger's order."""
        start, end = span
        cursor = await self._connection.cursor(
            _LIVE_CHARGES, account_id, start, end + _LONGEST_CALL
        )
        while page := await cursor.fetch(_PAGE):
            for row in page:
                yield _charged(row)

    async def made(self, run_id: UUID, account_id: str) -> list[ReratedCharge]:
        """The charges that a run made on this account and that are not reversed.

        A charge that a later run replaced, and restored when it was undone, is found by its new
        entry.
        """
        rows = await self._connection.fetch(_MADE, run_id, account_id, timeout=_TIMEOUT_S)
        originals = {
            row["entry_id"]: _charged(row)
            for row in await self._connection.fetch(
                _ORIGINALS, [row["replaced_id"] for row in rows], timeout=_TIMEOUT_S
            )
        }
        return [
            ReratedCharge(
                _charged(row),
                originals[row["replaced_id"]],
                (account_id, row["service_id"], row["period"], row["bundle"]),
            )
            for row in rows
        ]

    async def insert_changes(
        self, run_id: UUID, account_id: str, rows: Sequence[ChangeRow], *, undoes: bool
    ) -> None:
        """Insert which entry replaced which."""
        await self._connection.copy_records_to_table(
            "rerate_change",
            schema_name="rating",
            records=[
                (
                    run_id, undoes, account_id, change.charged.call_id, change.charged.entry_id,
                    reversal_id, charge_id, change.difference_micro, change.free_key[1],
                    change.free_key[2], change.free_difference_s, change.free_key[3],
                )
                for change, reversal_id, charge_id in rows
            ],
        )  # fmt: skip

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Write the events to the outbox."""
        await enqueue(self._connection, "rating", events)


class RerateStore:
    """Runs, and the accounts that they process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[RerateTransaction]:
        """A transaction for one account."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Pricing 100,000 calls takes longer than a service's transaction may be idle.
            await connection.execute("set local idle_in_transaction_session_timeout = '10min'")
            yield RerateTransaction(connection)

    async def versions(self, tariff_id: str) -> dict[int, asyncpg.Record]:
        """The versions of a tariff that rating has, by id."""
        rows = await self._pool.fetch(
            "select * from rating.tariff where tariff_id = $1 order by version_id", tariff_id
        )
        return {row["version_id"]: row for row in rows}

    async def accounts(self) -> list[tuple[str, str]]:
        """All accounts with a ledger, and their currencies."""
        rows = await self._pool.fetch(
            "select account_id, currency from rating.account order by account_id"
        )
        return [(row["account_id"], row["currency"]) for row in rows]

    async def open_run(self, order: RerateOrder, run_id: UUID, now: datetime) -> RerateRun:
        """The run of that id, else the unfinished run of this order, else a new one of that id."""
        existing = await self.run(run_id)
        if existing is not None:
            return existing
        await self._pool.execute(
            "insert into rating.rerate_run"
            " (run_id, tariff_id, version_id, from_text, to_text, account_id, started_at)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
            run_id,
            *order,
            now,
        )
        row = await self._pool.fetchrow(
            "select * from rating.rerate_run where tariff_id = $1 and version_id = $2"
            " and from_text = $3 and to_text = $4 and account_id is not distinct from $5"
            " and applied_at is null",
            *order,
        )
        if row is None:  # another process finished it between the two statements
            return await self.open_run(order, run_id, now)
        return _run(row)

    async def run(self, run_id: UUID) -> RerateRun | None:
        """A run by its id."""
        row = await self._pool.fetchrow("select * from rating.rerate_run where run_id = $1", run_id)
        return None if row is None else _run(row)

    async def changed(self, run_id: UUID, *, undone: bool) -> dict[str, DoneBefore]:
        """By account: the charges that a run replaced; with `undone`, those that it put back."""
        rows = await self._pool.fetch(
            "select c.account_id, count(*), sum(c.difference_micro)::bigint,"
            " sum(-l.amount_micro)::bigint"
            " from rating.rerate_change c join rating.ledger l on l.entry_id = c.replaced_id"
            " where c.run_id = $1 and c.undoes = $2 group by c.account_id",
            run_id,
            undone,
            timeout=_TIMEOUT_S,
        )
        return {account_id: DoneBefore(*done) for account_id, *done in rows}

    async def finish(self, run_id: UUID, now: datetime) -> None:
        """Record that the run has processed all accounts."""
        await self._pool.execute(
            "update rating.rerate_run set applied_at = coalesce(applied_at, $2) where run_id = $1",
            run_id,
            now,
        )

    async def drop_if_empty(self, run_id: UUID) -> bool:
        """Delete a run that changed nothing; whether it was one."""
        done = await self._pool.execute(
            "delete from rating.rerate_run r where run_id = $1"
            " and not exists (select from rating.rerate_change c where c.run_id = r.run_id)",
            run_id,
        )
        return bool(done == "DELETE 1")

    async def begin_undo(self, run_id: UUID, now: datetime) -> None:
        """Record that the run is being undone; an interrupted run counts as applied."""
        await self._pool.execute(
            "update rating.rerate_run set applied_at = coalesce(applied_at, $2),"
            " undo_started_at = coalesce(undo_started_at, $2) where run_id = $1",
            run_id,
            now,
        )

    async def finish_undo(self, run_id: UUID, now: datetime) -> None:
        """Record that the run is undone on all accounts."""
        await self._pool.execute(
            "update rating.rerate_run set undone_at = $2 where run_id = $1", run_id, now
        )

    async def accounts_of(self, run_id: UUID) -> list[str]:
        """The accounts that a run changed."""
        rows = await self._pool.fetch(
            "select distinct account_id from rating.rerate_change where run_id = $1"
            " order by account_id",
            run_id,
        )
        return [row["account_id"] for row in rows]

    async def built_upon(self, run_id: UUID) -> list[UUID]:
        """Later runs that replaced charges of this one and are not undone."""
        rows = await self._pool.fetch(_LATER, run_id)
        return [row["run_id"] for row in rows]


def _charged(row: asyncpg.Record) -> LiveCharge:
    details: dict[str, Any] = orjson.loads(row["explanation"])
    return LiveCharge(
        row["entry_id"],
        row["cause_id"],
        row["amount_micro"],
        row["occurred_at"],
        row["input_hash"],
        details,
    )


def _run(row: asyncpg.Record) -> RerateRun:
    order = RerateOrder(*(row[name] for name in RerateOrder._fields))
    return RerateRun(
        row["run_id"],
        order,
        row["started_at"],
        row["applied_at"],
        row["undo_started_at"],
        row["undone_at"],
    )
