"""An account's level, and which of its changes are published (domain/billing, section 7, b and c).

Only changes of level are published, with one exception: an alert that becomes due while the account
is low already.

Pure: without clock, socket, database or logger.
"""

from typing import Literal

from ringfence_contracts.events.balance import Level

CrossingKind = Literal["low", "zero", "restored"]
"""A crossing, named as its topic: `balance.low`, `balance.zero`, `balance.restored`."""


def level_of(held: bool, balance_micro: int, threshold_micro: int | None) -> Level:
    """The level of an account: exhausted while a funds hold applies, else by its threshold.

    The threshold is compared with the credit alone, without the debts. A threshold of None or 0
    means that the account is never low.
    """
    if held:
        return "exhausted"
    return "low" if threshold_micro and balance_micro <= threshold_micro else "ok"


def cross(before: Level | None, after: Level, *, alert_due: bool) -> CrossingKind | None:
    """The event that the change from `before` to `after` is published as; None: nothing.

    `before` is None at the first posting. A fall past both the threshold and the end of funds is
    published as `zero` only. Every rise is published as `restored`, also the one from exhausted to
    low, which sends no alert. `alert_due`: an alert is due if the account is low now.
    """
    if after == "exhausted":
        return None if before == "exhausted" else "zero"
    if before == "exhausted" or (before == "low" and after == "ok"):
        return "restored"
    return "low" if after == "low" and alert_due else None
