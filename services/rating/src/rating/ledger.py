"""What postings do to balances: pure arithmetic on whole micro-units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, final
from uuid import UUID

Kind = Literal["charge", "top-up", "adjustment", "reversal"]


@final
class Posting:
    """An amount that one cause wants on an account: charges are negative or zero."""

    __slots__ = (
        "account_id", "amount_micro", "cause_id", "entry_id", "explanation", "input_hash", "kind",
        "occurred_at", "reverses",
    )  # fmt: skip

    def __init__(
        self,
        entry_id: UUID,
        account_id: str,
        kind: Kind,
        amount_micro: int,
        cause_id: UUID,
        occurred_at: datetime,
        input_hash: bytes,
        explanation: str,
        reverses: UUID | None = None,
    ) -> None:
        self.entry_id = entry_id
        self.account_id = account_id
        self.kind = kind
        self.amount_micro = amount_micro
        self.cause_id = cause_id
        self.occurred_at = occurred_at
        self.input_hash = input_hash
        self.explanation = explanation
        self.reverses = reverses


class Entry(NamedTuple):
    """A posting in the ledger, in the order of its columns: that is how it is written.

    `version` is the account's that it made, `balance_after_micro` the balance after it.
    """

    account_id: str
    version: int
    entry_id: UUID
    kind: Kind
    amount_micro: int
    balance_after_micro: int
    cause_id: UUID
    reverses: UUID | None
    occurred_at: datetime
    input_hash: bytes
    explanation: str


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
    return Entry(
        posting.account_id,
        standing.version,
        posting.entry_id,
        posting.kind,
        posting.amount_micro,
        standing.balance_micro,
        posting.cause_id,
        posting.reverses,
        posting.occurred_at,
        posting.input_hash,
        posting.explanation,
    )


class Run(NamedTuple):
    """Neighbouring entries of one account that move its balance the same way."""

    first: Entry
    last: Entry

    @property
    def from_balance_micro(self) -> int:
        """The balance before the run."""
        return self.first.balance_after_micro - self.first.amount_micro


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
        amount = entry.amount_micro
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
    return sum(entry.amount_micro for entry in entries)
