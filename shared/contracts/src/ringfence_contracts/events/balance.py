"""Balances and their levels."""

from typing import Literal
from uuid import UUID

from ringfence_contracts.events.model import Currency, EventData, Id, Instant, Micro, Version

Level = Literal["ok", "low", "exhausted"]


class BalanceChanged(EventData):
    """`balance.changed.v1`: an account's balance after one or more postings.

    Postings of a batch that move the balance in the same direction are published as one change:
    `version` is the account version of the last one, `from_version` the one before the first.
    `settled` counts the payments that are posted in this balance, None in records from before it
    was counted; if later postings are known already, it may be too low, but never too high.
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
    settled: Version | None = None


class _Crossing(EventData):
    """The fields of every crossing.

    `crossing` counts an account's crossings: events of several topics arrive in any order, and only
    the latest one applies. `hold` counts the account's funds holds, `stay` its published stays at
    or below the threshold; 0 in records from before they were counted.
    """

    account_id: Id
    crossing: Version
    balance_version: Version
    balance_micro: Micro
    outstanding_micro: Micro
    threshold_micro: Micro | None
    currency: Currency
    occurred_at: Instant
    hold: Version = 0
    stay: Version = 0
    credit_limit_micro: Micro = 0


class BalanceLow(_Crossing):
    """`balance.low.v1`: a stay at or below the threshold began (domain/billing, section 7, c)."""


class BalanceZero(_Crossing):
    """`balance.zero.v1`: the funds hold began: credit is used up, or debts are larger than it.

    `mail_owed` is false for a hold that began with the opening balance of a new client, or that
    was found when the client was imported.
    """

    reason: Literal["credit", "outstanding"]
    mail_owed: bool = True


class BalanceRestored(_Crossing):
    """`balance.restored.v1`: the level rose. `level_before` exhausted: the funds hold ended."""

    level_before: Level
    level: Level
