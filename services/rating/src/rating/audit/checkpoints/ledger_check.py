"""Checks I1, I2, I4 and I8 on the entries behind the checkpoints, and moves the checkpoints on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rating.audit.checkpoints.costs import cost_of
from rating.audit.checkpoints.store import CheckedRow, CheckpointStore, SealedSlice, SliceRow
from rating.audit.checkpoints.windows import (
    BATCH,
    SLICE,
    CheckedAccount,
    LedgerSums,
    Window,
    batches,
    windows,
)
from rating.audit.finding import Check, OnProgress
from ringfence_contracts.ids import charge_id

READ_AGAIN = 2000
"""Sealed slices that each run reads again."""

AUDIT_BUDGET = 200_000
"""Entries that a run of the audit seals: some seconds of computing."""

_COMPUTED_AT_ONCE = 200
"""Rows that are checked before other work of the process has its turn."""


@dataclass
class LedgerFindings:
    """The checks of the ledger, and its accounts with the sums of all their entries."""

    balances: Check = field(
        default_factory=lambda: Check("I1", "the sum of an account's entries is its balance")
    )
    costs: Check = field(
        default_factory=lambda: Check("I2", "the sum of charges is the sum of rated calls' costs")
    )
    single: Check = field(default_factory=lambda: Check("I4", "a call has at most one live charge"))
    accounts: list[CheckedAccount] = field(default_factory=list)


class LedgerCheck:
    """One run over the ledger; what holds is sealed in whole slices.

    `budget`: about how many entries are sealed at most; None: all are checked in every respect.
    """

    def __init__(
        self, store: CheckpointStore, *, on_progress: OnProgress, budget: int | None = None
    ) -> None:
        self._store = store
        self._on_progress = on_progress
        self._budget = budget
        self._found = LedgerFindings()
        self._too_little_micro = 0
        self._failed: dict[str, int] = {}
        self._by_id: dict[str, CheckedAccount] = {}

    async def run(self) -> LedgerFindings:
        """Check the entries behind the checkpoints, and compare the sums with the balances.

        Accounts are read first, at one instant: entries up to their versions do not change any
        more, so that no long transaction is needed.
        """
        found = self._found
        found.accounts = await self._store.accounts()
        self._by_id = {account.account_id: account for account in found.accounts}
        total = sum(account.version - account.sealed for account in found.accounts)
        done = 0
        for batch in batches(windows(found.accounts, self._budget)):
            self._on_progress("ledger", done, total)
            await self._check_batch(batch)
            done += sum(window.upto - window.after for window in batch)
        await self._compare()
        return found

    async def _check_batch(self, batch: Sequence[Window]) -> None:
        slices = await self._store.slices(batch)
        for part in slices:
            if part.sums.broken:
                self._fail(part.account_id, part.slice)
        await self._check_rows([window for window in batch if window.reads_rows])
        await self._store_and_add(slices)

    async def _check_rows(self, batch: Sequence[Window]) -> None:
        reversals, repeated = [], []
        for number, row in enumerate(await self._store.rows(batch) if batch else ()):
            if number % _COMPUTED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if row.kind == "reversal":
                reversals.append(row)
                continue
            self._check_cost(row)
            if row.entry_id != charge_id(str(row.cause_id)):
                repeated.append(row)
        if reversals:
            await self._check_reversals(reversals)
        if repeated:
            await self._check_repeated(repeated)

    def _check_cost(self, row: CheckedRow) -> None:
        if row.explanation is None:
            return
        cost_micro = cost_of(row.explanation)
        self._too_little_micro += cost_micro + row.amount_micro
        if cost_micro != -row.amount_micro:
            self._fail(row.account_id, (row.version - 1) // SLICE)
            self._found.costs.differs(
                f"call {row.cause_id}: charged {-row.amount_micro}, its explanation comes to"
                f" {cost_micro}"
            )

    async def _check_reversals(self, rows: Sequence[CheckedRow]) -> None:
        for wrong in await self._store.wrong_reversals([row.entry_id for row in rows]):
            self._fail(wrong.account_id, (wrong.version - 1) // SLICE)
            self._found.costs.differs(
                f"reversal {wrong.entry_id} of account {wrong.account_id}: it gives back"
                f" {wrong.amount_micro} of {wrong.reversed_micro}, or is not the only one"
            )

    async def _check_repeated(self, rows: Sequence[CheckedRow]) -> None:
        """The first charge of a call has an id that follows from it; these have another one."""
        candidates = [(row.cause_id, row.entry_id) for row in rows]
        candidates += [(row.cause_id, charge_id(str(row.cause_id))) for row in rows]
        for call_id, live in await self._store.live_charges(candidates):
            self._found.single.differs(f"call {call_id}: {live} live charges")
            for row in rows:
                if row.cause_id == call_id:
                    self._fail(row.account_id, (row.version - 1) // SLICE)

    def _fail(self, account_id: str, number: int) -> None:
        """Seal nothing of the account from this slice on."""
        self._failed[account_id] = min(number, self._failed.get(account_id, number))

    async def _store_and_add(self, slices: Sequence[SliceRow]) -> None:
        """Add the slices to their accounts' sums, and seal those that are whole and hold.

        No slice is in two windows: all windows of whole slices begin and end with a slice.
        """
        sealed: list[SliceRow] = []
        checkpoints: dict[str, tuple[str, int, LedgerSums]] = {}
        for part in slices:
            account, end = self._by_id[part.account_id], (part.slice + 1) * SLICE
            account.sums.add(part.sums)
            holds = part.slice < self._failed.get(part.account_id, part.slice + 1)
            if part.digest is not None and end <= account.version and holds:
                sealed.append(part)
                checkpoints[part.account_id] = part.account_id, end, replace(account.sums)
        if sealed:
            await self._store.seal(sealed, list(checkpoints.values()))

    async def _compare(self) -> None:
        check = self._found.balances
        check.counted = f"{len(self._found.accounts)} accounts"
        ahead = await self._store.ahead()
        for account in self._found.accounts:
            sums = account.sums
            if (
                account.balance_micro != sums.total_micro
                or account.version != sums.entries + account.gaps
                or sums.broken
            ):
                check.differs(
                    f"account {account.account_id}: balance {account.balance_micro}, entries sum to"
                    f" {sums.total_micro}; version {account.version}, {sums.entries} entries,"
                    f" {sums.broken} that do not follow from the one before"
                )
            elif account.account_id in ahead:
                check.differs(
                    "account {}: version {}, but its last entry has {}".format(
                        account.account_id, *ahead[account.account_id]
                    )
                )
        self._count_charges()

    def _count_charges(self) -> None:
        sums = [account.sums for account in self._found.accounts]
        charges, charged = sum(s.charges for s in sums), sum(s.charged_micro for s in sums)
        recomputed = charged + self._too_little_micro
        self._found.costs.counted = f"{charges} charges, {charged} = {recomputed} micro-units"
        self._found.single.counted = f"{charges} charges"


async def check_unchanged(
    store: CheckpointStore, *, on_progress: OnProgress, full: bool = False
) -> Check:
    """I8: read sealed slices again, those that were not read for the longest time.

    A slice that differs is read at each run; `full`: all are read.
    """
    check = Check("I8", "no ledger row is changed or removed")
    total, before = await store.count_slices()
    wanted = total if full else min(total, READ_AGAIN)
    read = 0
    while read < wanted:
        on_progress("ledger, read again", read, wanted)
        page = await store.oldest_slices(before, check.found, min(BATCH // SLICE, wanted - read))
        if not page:
            break
        await _read_again(store, page, check)
        read += len(page)
    check.counted = f"{read} of {total} slices of {SLICE} entries"
    return check


async def _read_again(store: CheckpointStore, page: Sequence[SealedSlice], check: Check) -> None:
    found = {
        (row.account_id, row.slice): row.digest
        for row in await store.slices([_window_of(each) for each in page])
    }
    unchanged = []
    for each in page:
        if found.get((each.account_id, each.slice)) == each.digest:
            unchanged.append(each)
            continue
        check.differs(
            f"account {each.account_id}: entries {each.slice * SLICE + 1} to"
            f" {(each.slice + 1) * SLICE} are not what they were on"
            f" {each.checked_at:%Y-%m-%d at %H:%M} UTC; compare them with a backup"
        )
    await store.read_again(unchanged)


def _window_of(sealed: SealedSlice) -> Window:
    first = sealed.slice * SLICE
    return Window(sealed.account_id, first, first + SLICE, seals=True, reads_rows=False)
