"""At which level an account stands, and what a move between two levels is called.

The rules are domain/billing, section 7 (b) and (c). Crossings are announced, not levels: an
account that stays where it is says nothing, however often its balance moves.
"""

from typing import Literal, NamedTuple

from ringfence.errors import BadInput
from ringfence.events.balance import Level
from ringfence.money import parse_micro

Kind = Literal["low", "zero", "restored"]
"""A crossing, named as its topic: `balance.low`, `balance.zero`, `balance.restored`."""

_DEPTH: dict[Level, int] = {"ok": 0, "low": 1, "exhausted": 2}


class Threshold(NamedTuple):
    """A low balance threshold as it was typed, read as money.

    `threshold_micro` is None when the alert is off; `warning` then tells the operator why, unless
    it was left out on purpose.
    """

    threshold_micro: int | None
    warning: str = ""


def level_of(balance_micro: int, threshold_micro: int | None, outstanding_micro: int = 0) -> Level:
    """The level of an account's credit.

    Debts larger than the credit exhaust it, but the threshold is compared with the credit alone.
    No threshold, or one of 0, is never reached.
    """
    if balance_micro <= 0 or outstanding_micro > balance_micro:
        return "exhausted"
    if threshold_micro and balance_micro <= threshold_micro:
        return "low"
    return "ok"


def cross(before: Level | None, after: Level) -> Kind | None:
    """What the move from `before` to `after` is announced as, if at all.

    A fall past both lines at once is `zero` alone. Every rise is `restored`, also one from
    exhausted to low. Without a level before, nothing was seen to cross: see `first_sight`.
    """
    if before is None or before == after:
        return None
    if _DEPTH[after] < _DEPTH[before]:
        return "restored"
    return "zero" if after == "exhausted" else "low"


def first_sight(after: Level) -> Kind:
    """What is announced of an account at its first posting, before which it had nothing.

    One that is exhausted still may have services that are on, and no crossing will ever come to
    switch them off: it is told as `zero`. Every other one rose from nothing: `restored`. So
    whoever decides about services knows of funds from the first posting on.
    """
    return "zero" if after == "exhausted" else "restored"


def parse_threshold(text: str) -> Threshold:
    """Read `15`, `$15`, `15.00` or `1,500`; blank and 0 are off.

    What is no amount of money is off too, with a warning for the operator; never an error, since
    a profile with a bad threshold is still a profile.
    """
    amount = text.strip().removeprefix("$").strip()
    if not text.strip():
        return Threshold(None)
    try:
        threshold_micro = parse_micro(amount, "Low Balance Threshold")
    except BadInput as refusal:
        return Threshold(None, f"{refusal}; low balance alerts are off")
    if threshold_micro < 0:
        return Threshold(None, f"Low Balance Threshold: {text!r} is negative; alerts are off")
    return Threshold(threshold_micro or None)
