"""Runs a re-rating: account by account, each in one transaction under its lock.

Idempotent: the same order, or the same run id, completes a run that was interrupted. Finished
accounts have no charge left that differs, and the ids of entries prevent that one is posted twice.

Rating may go on in the same process, so an account's charges are priced in a thread.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from rating.ledger import AccountBalance, Entry, post
from rating.pricing.tariff import Deck, TariffVersion
from rating.rerating.events import balance_changed, call_rated
from rating.rerating.plan import (
    LiveCharge,
    RerateChange,
    RerateOrder,
    ReratePlan,
    charge_of,
    cost_of,
    free_keys,
    in_scope,
    plan,
    reversal_of,
    undo,
)
from rating.rerating.store import (
    NOTHING_BEFORE,
    ChangeRow,
    DoneBefore,
    RerateRun,
    RerateStore,
    RerateTransaction,
)
from rating.store import RatingStore
from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput, Conflict
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.tariff import rows_digest
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing

OnAccount = Callable[[int, int], None]
"""Called after each account: how many are done, of how many."""


class RerateSummary(NamedTuple):
    """What a re-rating changes on one account.

    Of the `examined` charges, which cost `charged_micro` before, `differ` are replaced;
    `difference_micro` is the credit by that, negative if the client pays more. `unchanged` counts
    the reasons for which charges stay.
    """

    account_id: str
    currency: str
    examined: int
    charged_micro: int
    differ: int
    difference_micro: int
    unchanged: Counter[str]


class Rerating:
    """Plans, applies and undoes re-ratings."""

    def __init__(
        self, *, store: RerateStore, rates: RatingStore, clock: Clock, on_account: OnAccount
    ) -> None:
        self._store = store
        self._rates = rates
        self._clock = clock
        self._on_account = on_account

    async def dry_run(self, order: RerateOrder) -> list[RerateSummary]:
        """Plan `order`, by account, and write nothing. Raises BadInput."""
        version = await self._version(order)
        found, run_id, accounts = [], uuid4(), await self._accounts(order)
        for done, (account_id, _) in enumerate(accounts, 1):
            async with self._store.transaction() as transaction:
                planned = await self._plan(transaction, account_id, order, version, run_id)
            if planned:
                found.append(_summary(planned))
            self._on_account(done, len(accounts))
        return found

    async def apply(
        self, order: RerateOrder, run_id: UUID | None = None
    ) -> tuple[RerateRun, list[RerateSummary]]:
        """Reverse and replace the charges that differ. Raises BadInput.

        The summaries are of the whole run, also when an earlier attempt did a part of it.
        """
        version = await self._version(order)
        accounts = await self._accounts(order)
        run = await self._store.open_run(order, run_id or uuid4(), self._clock.now())
        before = await self._store.changed(run.run_id, undone=False)
        found = []
        for done, (account_id, currency) in enumerate(accounts, 1):
            async with self._store.transaction() as transaction:
                balance = (await transaction.lock_balances({account_id: currency}))[account_id]
                planned = await self._plan(transaction, account_id, order, version, run.run_id)
                if planned and planned.changes:
                    await _write(transaction, planned, balance, run.run_id, run.started_at)
            if planned or account_id in before:
                planned = planned or ReratePlan(account_id, currency)
                found.append(_summary(planned, before.get(account_id, NOTHING_BEFORE)))
            self._on_account(done, len(accounts))
        if not await self._store.drop_if_empty(run.run_id):
            await self._store.finish(run.run_id, self._clock.now())
        return run, found

    async def undo(self, run_id: UUID) -> list[RerateSummary]:
        """Restore the charges that the run replaced. Raises BadInput, Conflict."""
        run = await self._store.run(run_id)
        if run is None:
            raise BadInput("run", str(run_id), "a run that `ringfence rerate --list` names")
        later = await self._store.built_upon(run_id)
        if later:
            names = ", ".join(map(str, later))
            raise Conflict(f"calls of run {run_id} were re-rated again: undo first {names}")
        await self._store.begin_undo(run_id, run.undo_started_at or self._clock.now())
        before = await self._store.changed(run_id, undone=True)
        found, accounts = [], await self._store.accounts_of(run_id)
        for done, account_id in enumerate(accounts, 1):
            planned = await self._undo_account(run_id, account_id)
            found.append(_summary(planned, before.get(account_id, NOTHING_BEFORE)))
            self._on_account(done, len(accounts))
        await self._store.finish_undo(run_id, self._clock.now())
        return found

    async def _undo_account(self, run_id: UUID, account_id: str) -> ReratePlan:
        async with self._store.transaction() as transaction:
            balance = (await transaction.lock_balances({account_id: ""}))[account_id]
            made = await transaction.made(run_id, account_id)
            planned = ReratePlan(account_id, balance.currency, examined=len(made))
            planned.charged_micro = cost_of(m.charged for m in made)
            planned.changes = [undo(m.charged, m.original, m.free_key, run_id) for m in made]
            if made:
                now = self._clock.now()
                await _write(transaction, planned, balance, run_id, now, undoes=True)
            return planned

    async def _plan(
        self,
        transaction: RerateTransaction,
        account_id: str,
        order: RerateOrder,
        version: TariffVersion,
        run_id: UUID,
    ) -> ReratePlan | None:
        account = await transaction.account(account_id)
        if account is None:  # it has a balance from payments only
            return None
        charges = await _charges(transaction, account, order, run_id)
        if not charges:
            return None
        keys = free_keys(account, charges)
        free_used = await transaction.free_used(keys)
        return await asyncio.to_thread(plan, account, charges, version, free_used, run_id)

    async def _accounts(self, order: RerateOrder) -> list[tuple[str, str]]:
        found = await self._store.accounts()
        if order.account_id is None:
            return found
        only = [account for account in found if account[0] == order.account_id]
        if not only:
            raise BadInput("account", order.account_id, "an account with a ledger")
        return only

    async def _version(self, order: RerateOrder) -> TariffVersion:
        order.span("UTC")
        known = await self._store.versions(order.tariff_id)
        row = known.get(order.version_id)
        if row is None:
            expected = f"a version of {order.tariff_id}: {', '.join(map(str, known)) or 'none yet'}"
            raise BadInput("version", order.version_id, expected)
        rates = await self._rates.rates(order.version_id)
        if rows_digest(rates) != row["sha256"]:
            raise Conflict(f"version {order.version_id}: its rows are not those published")
        return TariffVersion(
            order.version_id, order.tariff_id, row["currency"], row["effective_from"], Deck(rates)
        )


def _summary(planned: ReratePlan, before: DoneBefore = NOTHING_BEFORE) -> RerateSummary:
    """A plan's figures, and those of an earlier attempt, which the plan does not have again."""
    return RerateSummary(
        planned.account_id,
        planned.currency,
        planned.examined + before.charges,
        planned.charged_micro + before.charged_micro,
        len(planned.changes) + before.charges,
        planned.difference_micro + before.difference_micro,
        planned.unchanged,
    )


async def _charges(
    transaction: RerateTransaction, account: AccountChanged, order: RerateOrder, run_id: UUID
) -> list[LiveCharge]:
    span = order.span(account.time_zone)
    return [
        charged
        async for charged in transaction.live_charges(account.account_id, span)
        if in_scope(charged, order.tariff_id, span, run_id)
    ]


async def _write(
    transaction: RerateTransaction,
    planned: ReratePlan,
    balance: AccountBalance,
    run_id: UUID,
    occurred_at: datetime,
    *,
    undoes: bool = False,
) -> None:
    account_id = planned.account_id
    rows = [_row(change, run_id, undoes) for change in planned.changes]
    entries, events = await asyncio.to_thread(_post, planned, rows, balance, run_id, occurred_at)
    await transaction.write_entries(entries)
    await transaction.write_balances({account_id: balance})
    await _write_free_used(transaction, planned.changes)
    await transaction.insert_changes(run_id, account_id, rows, undoes=undoes)
    await transaction.publish(events)


def _post(
    planned: ReratePlan,
    rows: Sequence[ChangeRow],
    balance: AccountBalance,
    run_id: UUID,
    occurred_at: datetime,
) -> tuple[list[Entry], list[Outgoing]]:
    """Post the entries of an account's changes on its balance; they and their events."""
    entries: list[Entry] = []
    events = []
    for row in rows:
        charged, account_id = row.change.charged, planned.account_id
        reversal = reversal_of(charged, account_id, run_id, row.charge_id)
        entries.append(post(balance, reversal))
        entries.append(post(balance, charge_of(row.change, account_id, row.charge_id)))
        events.append(call_rated(row, entries[-1], planned.currency, run_id, occurred_at))
    events.append(balance_changed(entries, balance, run_id, occurred_at))
    return entries, events


async def _write_free_used(transaction: RerateTransaction, changes: Sequence[RerateChange]) -> None:
    moved = [change for change in changes if change.free_difference_s]
    used = await transaction.free_used({change.free_key for change in moved})
    for change in moved:
        used[change.free_key] += change.free_difference_s
    if used:
        await transaction.write_free_used(used)


def _row(change: RerateChange, run_id: UUID, undoes: bool) -> ChangeRow:
    charged = change.charged
    cause = (charged.call_id, run_id, "undone") if undoes else (charged.call_id, run_id)
    return ChangeRow(change, derive("reversal", charged.entry_id), derive("charge", *cause))
