"""How a balance came about: the entries of a period between two balances. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from accounts.explanations.history import StoredRow
from ringfence_contracts.money import format_micro


class Position(NamedTuple):
    """An entry's version, and the balance after it; version 0 is before the first entry."""

    version: int
    balance_micro: int


class Balance(NamedTuple):
    """An account's balance, the sum of its entries, and whether its ledger proves it (I1).

    `broken_links` entries do not follow from the one before.
    """

    balance_micro: int
    ledger_micro: int
    broken_links: int
    differs: bool


class LedgerRange(NamedTuple):
    """The entries after `opening` up to `closing`: their number, their sum, and some of them."""

    opening: Position
    closing: Position
    number: int
    sum_micro: int
    entries: Sequence[StoredRow]
    balance: Balance

    @property
    def difference(self) -> str:
        """Why the entries do not add up to the balance; empty if they do."""
        if self.opening.balance_micro + self.sum_micro != self.closing.balance_micro:
            return "opening and entries do not come to the closing balance"
        if self.balance.differs:
            return (
                f"all entries come to {format_micro(self.balance.ledger_micro)}, the balance is"
                f" {format_micro(self.balance.balance_micro)}; {self.balance.broken_links} do not"
                " follow from the one before"
            )
        return ""


def what_of(kind: str, details: Mapping[str, Any]) -> str:
    """What an entry is for, in a few words, from its explanation."""
    if kind == "charge":
        return f"{details['direction'] or 'call'} {details['number']}, {details['billed_s']} s"
    if kind == "reversal":
        return f"re-rated by {details['rerated']['run_id'][:8]}"
    reference = str(details.get("reference") or "")
    if refunds := details.get("refunds"):
        refund = f"refund of {refunds[:8]}"
        return f"{refund}, {reference}" if reference else refund
    return reference
