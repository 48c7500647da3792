"""What postings do to balances: pure arithmetic on whole micro-units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

Kind = Literal["charge", "top-up", "adjustment", "reversal"]


class Posting(NamedTuple):
    """An amount that one cause wants on an account: charges are negative or zero."""

    entry_id: UUID
    account_id: str
    kind: Kind
    amount_micro: int
    cause_id: UUID
    occurred_at: datetime
    input_hash: bytes
    explanation: str
    reverses: UUID | None = None


class Entry(NamedTuple):
    """A posting in the ledger: the account's version that it made, and the balance after it."""

    posting: Posting
    version: int
    balance_after_micro: int


@dataclass
class Standing:
    """An account's balance and version, as far as the postings got."""

    currency: str
    balance_micro: int
    version: int


def post(standing: Standing, posting: Posting) -> Entry:
    """Apply `posting` to the account: its version grows by one."""
    standing.balance_micro += posting.amount_micro
    standing.version += 1
    return Entry(posting, standing.version, standing.balance_micro)


class Run(NamedTuple):
    """Neighbouring entries of one account that move its balance the same way."""

    first: Entry
    last: Entry

    @property
    def from_balance_micro(self) -> int:
        """The balance before the run."""
        return self.first.balance_after_micro - self.first.posting.amount_micro


def runs(entries: Sequence[Entry]) -> list[Run]:
    """Cut one account's entries into runs, so that telling only their ends hides no crossing.

    A top-up between two charges starts a new run, and so does a gap in the versions. Entries of
    zero belong to whichever run they stand in.
    """
    if len(entries) == 1:
        return [Run(entries[0], entries[0])]
    found: list[Run] = []
    way = 0
    for entry in sorted(entries, key=lambda e: e.version):
        amount = entry.posting.amount_micro
        neighbour = bool(found) and found[-1].last.version + 1 == entry.version
        if neighbour and amount * way >= 0:
            found[-1] = Run(found[-1].first, entry)
            way = way or amount
        else:
            found.append(Run(entry, entry))
            way = amount
    return found


def total_micro(entries: Sequence[Entry]) -> int:
    """The sum of the entries' amounts."""
    return sum(entry.posting.amount_micro for entry in entries)
