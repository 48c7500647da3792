"""Applies postings to balances: pure arithmetic on whole micro-units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, final
from uuid import UUID

from ringfence_contracts.ids import derive

EntryKind = Literal["charge", "top-up", "adjustment", "reversal"]


@final
class Posting:
    """An amount to post to an account for one cause; charges are negative or zero."""

    __slots__ = (
        "account_id", "amount_micro", "cause_id", "entry_id", "explanation", "input_hash", "kind",
        "occurred_at", "reverses",
    )  # fmt: skip

    def __init__(
        self,
        entry_id: UUID,
        account_id: str,
        kind: EntryKind,
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
    """A posting in the ledger; the fields are in the order of its columns.

    `version` is the account's version after the entry, `balance_after_micro` its balance.
    """

    account_id: str
    version: int
    entry_id: UUID
    kind: EntryKind
    amount_micro: int
    balance_after_micro: int
    cause_id: UUID
    reverses: UUID | None
    occurred_at: datetime
    input_hash: bytes
    explanation: str


@dataclass
class AccountBalance:
    """An account's balance and version after the postings so far.

    `settled` is the number of its top-ups and adjustments.
    """

    currency: str
    balance_micro: int
    version: int
    settled: int = 0

    def settled_at(self, version: int) -> int:
        """A lower bound of the top-ups and adjustments in an earlier version of the account.

        Exact for the latest version. Any later posting may have been a payment, so all later
        postings are subtracted. The number must never be too high: a reader that counts a payment
        which is not in the balance yet would begin or end a funds hold by mistake.
        """
        return max(0, self.settled - (self.version - version))


def post(balance: AccountBalance, posting: Posting) -> Entry:
    """Apply `posting` to `balance`, which is changed: its version grows by one."""
    balance.balance_micro += posting.amount_micro
    balance.version += 1
    if posting.kind == "top-up" or posting.kind == "adjustment":
        balance.settled += 1
    return Entry(
        posting.account_id,
        balance.version,
        posting.entry_id,
        posting.kind,
        posting.amount_micro,
        balance.balance_micro,
        posting.cause_id,
        posting.reverses,
        posting.occurred_at,
        posting.input_hash,
        posting.explanation,
    )


class EntryRun(NamedTuple):
    """Consecutive entries of one account that move its balance in the same direction."""

    first: Entry
    last: Entry

    @property
    def from_balance_micro(self) -> int:
        """The balance before the run."""
        return self.first.balance_after_micro - self.first.amount_micro


def runs(entries: Sequence[Entry]) -> list[EntryRun]:
    """Divide one account's entries into runs; events of their ends hide no crossing of a threshold.

    A top-up between two charges starts a new run, and so does a gap in the versions. The opening
    balance is a run of its own, because a client that starts without credit gets no mail, unlike
    one whose credit is used up by a charge. Other entries of zero do not start a run.
    """
    if len(entries) == 1:
        return [EntryRun(entries[0], entries[0])]
    found: list[EntryRun] = []
    direction = 0
    alone = False
    for entry in sorted(entries, key=lambda e: e.version):
        amount = entry.amount_micro
        follows_opening, alone = alone, is_opening(entry)
        is_consecutive = bool(found) and found[-1].last.version + 1 == entry.version
        if is_consecutive and amount * direction >= 0 and not (alone or follows_opening):
            found[-1] = EntryRun(found[-1].first, entry)
            direction = direction or amount
        else:
            found.append(EntryRun(entry, entry))
            direction = amount
    return found


def is_opening(entry: Entry) -> bool:
    """Whether an entry is its account's opening balance: a payment with the key `opening`."""
    return entry.kind == "adjustment" and entry.entry_id == derive(
        "payment", entry.account_id, "opening"
    )
