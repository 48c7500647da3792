"""What postings do to balances: pure arithmetic on whole micro-units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, final
from uuid import UUID

from ringfence_contracts.ids import derive

EntryKind = Literal["charge", "top-up", "adjustment", "reversal"]


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
    """A posting in the ledger, in the order of its columns: that is how it is written.

    `version` is the account's that it made, `balance_after_micro` the balance after it.
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
    """An account's balance and version, as far as the postings got.

    `settled` counts its top-ups and adjustments.
    """

    currency: str
    balance_micro: int
    version: int
    settled: int = 0

    def settled_at(self, version: int) -> int:
        """How many top-ups and adjustments an earlier version of the account held at least.

        Exact for the latest version. Each later posting may have been one of them or not, so all
        are taken off. The number is never too high, which is what matters: a reader that believes
        in a payment that is not in the balance yet would end or begin a funds hold by mistake.
        """
        return max(0, self.settled - (self.version - version))


def post(balance: AccountBalance, posting: Posting) -> Entry:
    """Apply `posting` to the account: its version grows by one."""
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
    """Neighbouring entries of one account that move its balance the same way."""

    first: Entry
    last: Entry

    @property
    def from_balance_micro(self) -> int:
        """The balance before the run."""
        return self.first.balance_after_micro - self.first.amount_micro


def runs(entries: Sequence[Entry]) -> list[EntryRun]:
    """Cut one account's entries into runs, so that telling only their ends hides no crossing.

    A top-up between two charges starts a new run, and so does a gap in the versions. The opening
    balance is a run of its own: what begins with it is treated otherwise than what a charge begins
    (a client that starts without credit is owed no mail). Other entries of zero belong to the run
    that they are in.
    """
    if len(entries) == 1:
        return [EntryRun(entries[0], entries[0])]
    found: list[EntryRun] = []
    way = 0
    alone = False
    for entry in sorted(entries, key=lambda e: e.version):
        amount = entry.amount_micro
        follows_opening, alone = alone, is_opening(entry)
        neighbour = bool(found) and found[-1].last.version + 1 == entry.version
        if neighbour and amount * way >= 0 and not (alone or follows_opening):
            found[-1] = EntryRun(found[-1].first, entry)
            way = way or amount
        else:
            found.append(EntryRun(entry, entry))
            way = amount
    return found


def is_opening(entry: Entry) -> bool:
    """Whether an entry is its account's opening balance: a payment under the key `opening`."""
    return entry.kind == "adjustment" and entry.entry_id == derive(
        "payment", entry.account_id, "opening"
    )
