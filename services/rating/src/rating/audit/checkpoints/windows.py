"""Which entries of the ledger a run checks: windows of versions behind each account's checkpoint.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SLICE = 200
"""Versions of an account in a slice, which is sealed as a whole."""

BATCH = 10_000
"""Entries that are read at once, a multiple of SLICE."""


@dataclass
class LedgerSums:
    """Sums over some entries of an account, in micro-units.

    `charged_micro` is positive. `broken` counts the entries whose balance does not follow from the
    one before, `balance_after_micro` is that of the last entry.
    """

    entries: int = 0
    charges: int = 0
    charged_micro: int = 0
    reversed_micro: int = 0
    paid_micro: int = 0
    balance_after_micro: int = 0
    broken: int = 0

    @property
    def total_micro(self) -> int:
        """The sum of all amounts: what the balance is to be."""
        return self.paid_micro + self.reversed_micro - self.charged_micro

    def add(self, other: "LedgerSums") -> None:
        """Add the sums of the entries that follow."""
        self.entries += other.entries
        self.charges += other.charges
        self.charged_micro += other.charged_micro
        self.reversed_micro += other.reversed_micro
        self.paid_micro += other.paid_micro
        self.broken += other.broken
        if other.entries:
            self.balance_after_micro = other.balance_after_micro


@dataclass
class CheckedAccount:
    """An account as it was at one instant; `sums` are those of its entries up to `sealed`.

    `gaps`: its versions that have no entry, after a restore.
    """

    account_id: str
    currency: str
    balance_micro: int
    version: int
    gaps: int
    sealed: int
    sums: LedgerSums


class Window(NamedTuple):
    """Entries of an account from behind version `after` up to `upto`.

    `seals`: everything is checked, and whole slices are sealed. `reads_rows`: reversals and
    repeated charges are checked; otherwise only sums and links.
    """

    account_id: str
    after: int
    upto: int
    seals: bool
    reads_rows: bool


def windows(accounts: Iterable[CheckedAccount], budget: int | None) -> Iterator[Window]:
    """The windows of all accounts, each account's in their order.

    With a budget, at most about so many entries are sealed; what is behind them is checked without
    costs. The rest of whole slices waits for the next run with all but its sums.
    """
    for account in accounts:
        whole = account.version // SLICE * SLICE
        after = account.sealed
        while after < account.version:
            upto = min(after + BATCH, account.version)
            if budget is None:
                yield Window(account.account_id, after, upto, seals=True, reads_rows=True)
            elif after < whole:
                upto = min(upto, whole)
                seals, budget = budget > 0, budget - (upto - after)
                yield Window(account.account_id, after, upto, seals, reads_rows=seals)
            else:
                yield Window(account.account_id, after, upto, seals=False, reads_rows=True)
            after = upto


def batches(found: Iterable[Window]) -> Iterator[Sequence[Window]]:
    """Windows together, at most BATCH entries at once."""
    batch: list[Window] = []
    size = 0
    for window in found:
        if batch and size + window.upto - window.after > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(window)
        size += window.upto - window.after
    if batch:
        yield batch
