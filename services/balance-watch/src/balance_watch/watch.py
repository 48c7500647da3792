"""What one account's changes do to its level: pure, event by event, in the order they come.

Events may come late or twice: only a newer version counts, and what an old one announced when it
was new is announced again from the record.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from balance_watch.crossing import Kind, cross, first_sight, level_of
from ringfence.events.account import AccountChanged
from ringfence.events.balance import (
    BalanceChanged,
    BalanceLow,
    BalanceRestored,
    BalanceZero,
    Level,
)
from ringfence.ids import derive
from ringfence.kafka.records import Outgoing
from ringfence.topics import BALANCE_LOW, BALANCE_RESTORED, BALANCE_ZERO, BY_NAME, Topic


@dataclass
class Watched:
    """An account as balance-watch knows it; `level` is None until a first posting was seen."""

    account_id: str
    currency: str
    threshold_micro: int | None = None
    outstanding_micro: int = 0
    profile_version: int = 0
    balance_micro: int = 0
    balance_version: int = 0
    level: Level | None = None
    crossings: int = 0


@dataclass(frozen=True)
class Crossing:
    """A crossing as it was published: the event that caused it, and the event that it became."""

    cause_id: UUID
    account_id: str
    topic: str
    value: bytes
    crossed_at: datetime
    correlation_id: str

    def outgoing(self) -> Outgoing:
        """The event to publish: the same id and content each time."""
        return Outgoing(
            topic=BY_NAME[self.topic],
            key=self.account_id,
            value=self.value,
            event_id=derive(self.topic, self.cause_id),
            time=self.crossed_at,
            source="balance-watch",
            correlation_id=self.correlation_id,
        )


def see_balance(
    account: Watched, change: BalanceChanged, cause_id: UUID, thread: str
) -> Crossing | None:
    """Take in a newer balance; the crossing that it made, if any."""
    before = account.level
    account.currency = change.currency
    account.balance_micro = change.balance_micro
    account.balance_version = change.version
    after = account.level = _level(account)
    kind = first_sight(after) if before is None else cross(before, after)
    return _crossing(kind, account, before, cause_id, change.occurred_at, thread)


def see_profile(
    account: Watched, change: AccountChanged, cause_id: UUID, thread: str
) -> Crossing | None:
    """Take in a newer profile: its threshold and its debts.

    Debts can exhaust an account or relieve it, and that is announced. A threshold that is moved
    past the balance is not: the balance did not cross it.
    """
    account.currency = change.currency
    account.threshold_micro = change.profile.threshold_micro
    account.outstanding_micro = change.outstanding_micro
    account.profile_version = change.version
    before = account.level
    if before is None:
        return None
    after = account.level = _level(account)
    kind = cross(before, after) if "exhausted" in (before, after) else None
    return _crossing(kind, account, before, cause_id, change.changed_at, thread)


def _level(account: Watched) -> Level:
    return level_of(account.balance_micro, account.threshold_micro, account.outstanding_micro)


def _crossing(
    kind: Kind | None,
    account: Watched,
    before: Level | None,
    cause_id: UUID,
    at: datetime,
    thread: str,
) -> Crossing | None:
    if kind is None:
        return None
    account.crossings += 1
    topic, value = _event(kind, account, before, at)
    return Crossing(cause_id, account.account_id, topic.name, value, at, thread)


def _event(kind: Kind, account: Watched, before: Level | None, at: datetime) -> tuple[Topic, bytes]:
    facts = {
        "account_id": account.account_id,
        "crossing": account.crossings,
        "balance_version": account.balance_version,
        "balance_micro": account.balance_micro,
        "outstanding_micro": account.outstanding_micro,
        "threshold_micro": account.threshold_micro,
        "currency": account.currency,
        "occurred_at": at,
    }
    if kind == "low":
        return BALANCE_LOW, BalanceLow.model_validate(facts).to_json()
    if kind == "zero":
        reason = "credit" if account.balance_micro <= 0 else "outstanding"
        return BALANCE_ZERO, BalanceZero.model_validate(facts | {"reason": reason}).to_json()
    levels = {"level_before": before or "exhausted", "level": account.level}
    return BALANCE_RESTORED, BalanceRestored.model_validate(facts | levels).to_json()
