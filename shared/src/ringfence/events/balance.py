"""Balances and their levels."""

from typing import Literal
from uuid import UUID

from ringfence.events.model import Currency, EventData, Id, Instant, Micro, Version

Level = Literal["ok", "low", "exhausted"]


class BalanceChanged(EventData):
    """`balance.changed.v1`: an account's balance after one or more postings.

    Postings of a batch that move the balance the same way are told as one change: `version` is
    the last one's account version and `from_version` the one before the first.
    """

    account_id: Id
    version: Version
    balance_micro: Micro
    from_version: Version
    from_balance_micro: Micro
    currency: Currency
    cause: Literal["charge", "top-up", "adjustment", "reversal"]
    cause_id: UUID
    occurred_at: Instant


class _Crossing(EventData):
    """What crossings have in common.

    `crossing` counts an account's crossings: events of several topics come in any order, and only
    the latest one counts.
    """

    account_id: Id
    crossing: Version
    balance_version: Version
    balance_micro: Micro
    outstanding_micro: Micro
    threshold_micro: Micro | None
    currency: Currency
    occurred_at: Instant


class BalanceLow(_Crossing):
    """`balance.low.v1`: credit fell from above the threshold to it or below."""


class BalanceZero(_Crossing):
    """`balance.zero.v1`: no funds: credit is zero or less, or debts are larger than it."""

    reason: Literal["credit", "outstanding"]


class BalanceRestored(_Crossing):
    """`balance.restored.v1`: the level rose, from exhausted or from low."""

    level_before: Level
    level: Level
