"""An account's level, and which of its changes are published (domain/billing, section 7, b and c).

Crossings are published, not levels: an account whose level stays the same publishes nothing, except
for an alert that is due while it is low.

Pure: without clock, socket, database or logger.
"""

from typing import Literal

from ringfence_contracts.events.balance import Level

CrossingKind = Literal["low", "zero", "restored"]
"""A crossing, named as its topic: `balance.low`, `balance.zero`, `balance.restored`."""


def level_of(held: bool, balance_micro: int, threshold_micro: int | None) -> Level:
    """The level of an account: exhausted while it is held, else by its threshold.

    The threshold is compared with the credit alone. None or 0 is never reached.
    """
    if held:
        return "exhausted"
    return "low" if threshold_micro and balance_micro <= threshold_micro else "ok"


def cross(before: Level | None, after: Level, *, alert_due: bool) -> CrossingKind | None:
    """What the change from `before` to `after` is published as, if at all.

    `before` is None at the first posting. A fall past both the threshold and the end of funds is
    `zero` alone, and every rise is `restored`, also one from exhausted to low: it begins no alert.
    `alert_due` says whether an account that is low now is owed an alert.
    """
    if after == "exhausted":
        return None if before == "exhausted" else "zero"
    if before == "exhausted" or (before == "low" and after == "ok"):
        return "restored"
    return "low" if after == "low" and alert_due else None
