"""Applies one event to an account: its funds hold, its level, and the crossing to publish: pure.

Events may come late or twice, and the caller applies only newer versions. For an older one it
publishes the recorded crossing again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from balance_watch.crossing import CrossingKind, cross, level_of
from balance_watch.funds import FundsClass, belong_together, class_of, hold_after, is_used_up
from ringfence_contracts.events.account import AccountChanged, OperatingMode, Profile
from ringfence_contracts.events.balance import (
    BalanceChanged,
    BalanceLow,
    BalanceRestored,
    BalanceZero,
    Level,
)
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import BALANCE_LOW, BALANCE_RESTORED, BALANCE_ZERO, BY_NAME, Topic


@dataclass
class WatchedAccount:
    """An account as balance-watch knows it; money in micro-units.

    `level` is None until the first posting, except where a hold began with the client's import.
    `balance_version` is 0 until the first posting, `profile_version` until the first profile.
    `posted`: there was a posting other than the opening balance. `stay`: the account is low and
    its alert was published. `holds`, `stays`, `pairs` and `crossings` count those so far.
    `settled`: payments that the balance contains (None: not counted). `accepted`: payments that
    the debts take into account. `funds`: class of the last recorded pair.
    """

    account_id: str
    currency: str
    threshold_micro: int | None = None
    outstanding_micro: int = 0
    profile_version: int = 0
    balance_micro: int = 0
    balance_version: int = 0
    level: Level | None = None
    crossings: int = 0
    held: bool = False
    holds: int = 0
    stay: bool = False
    stays: int = 0
    credit_limit_micro: int = 0
    accepted: int = 0
    settled: int | None = None
    mode: OperatingMode = "live"
    funds: FundsClass | None = None
    posted: bool = False
    pairs: int = 0


@dataclass(frozen=True)
class Crossing:
    """A crossing as it is published: the event that caused it, and topic and value of its own."""

    cause_id: UUID
    account_id: str
    topic: str
    value: bytes
    crossed_at: datetime
    correlation_id: str

    def outgoing(self) -> Outgoing:
        """The event to publish, with the same id and content each time."""
        return Outgoing(
            topic=BY_NAME[self.topic],
            key=self.account_id,
            value=self.value,
            event_id=derive(self.topic, self.cause_id),
            time=self.crossed_at,
            source="balance-watch",
            correlation_id=self.correlation_id,
        )


class FundsPair(NamedTuple):
    """A pair of credit and debts that changed the class or the hold; `held`: the hold after it.

    `number` counts an account's pairs. `imported`: the hold began with the client's import.
    """

    account_id: str
    number: int
    funds: FundsClass
    held: bool
    imported: bool
    balance_version: int
    balance_micro: int
    profile_version: int
    outstanding_micro: int
    credit_limit_micro: int
    accepted: int
    settled: int | None
    cause_id: UUID


class EventEffect(NamedTuple):
    """What an event causes: a crossing to publish, a pair to record. Most events cause neither."""

    crossing: Crossing | None = None
    pair: FundsPair | None = None


class _Cause(NamedTuple):
    event_id: UUID
    at: datetime
    correlation_id: str
    mail_owed: bool = True
    imported: bool = False


def opening_id(account_id: str) -> UUID:
    """The id of the payment that is an account's opening balance."""
    return derive("payment", account_id, "opening")


def apply_balance(
    account: WatchedAccount, change: BalanceChanged, cause_id: UUID, correlation_id: str
) -> EventEffect:
    """Apply a newer balance.

    An alert becomes due with the first posting after the opening balance, and with every fall of
    the credit.
    """
    opening = not account.posted and change.cause_id == opening_id(account.account_id)
    first = not account.posted and not opening
    fell = account.balance_version > 0 and change.balance_micro < account.balance_micro
    account.currency = change.currency
    account.balance_micro = change.balance_micro
    account.balance_version = change.version
    account.settled = _settled(account.settled, change.settled)
    account.posted = account.posted or first
    alert_due = (first or fell) and not account.stay
    cause = _Cause(cause_id, change.occurred_at, correlation_id, mail_owed=not opening)
    return _apply(account, cause, alert_due=alert_due)


def apply_profile(
    account: WatchedAccount, change: AccountChanged, cause_id: UUID, correlation_id: str
) -> EventEffect:
    """Apply a newer profile: its threshold, debts, credit limit, accepted payments and mode.

    An alert becomes due when the threshold is raised above the credit, and when an account that is
    low goes live. The first profile does not count as a raise if only the opening balance was
    posted before it.
    """
    first = account.profile_version == 0
    was_ok = account.level == "ok"
    goes_live = account.mode == "shadow" and change.mode == "live"
    account.currency = change.currency
    account.threshold_micro = change.profile.threshold_micro
    account.outstanding_micro = change.outstanding_micro
    account.credit_limit_micro = change.credit_limit_micro
    account.accepted = change.accepted
    account.mode = change.mode
    account.profile_version = change.version
    imported = first and _was_off_at_import(change.profile)
    if account.balance_version == 0 and not imported:
        return EventEffect()
    cause = _Cause(
        cause_id,
        change.changed_at,
        correlation_id,
        mail_owed=not imported and (account.posted or not first),
        imported=imported,
    )
    alert_due = goes_live or (was_ok and (account.posted or not first))
    return _apply(account, cause, alert_due=alert_due)


def crossing_of_state(account: WatchedAccount, was_held: bool, now: datetime) -> Crossing:
    """The next crossing of an account, which states its hold and level as they are now.

    For readers whose last crossing was published before this database was restored; `was_held`:
    they know the account as held.
    """
    account.crossings += 1
    account.level = level_of(account.held, account.balance_micro, account.threshold_micro)
    event_id = derive("crossing.state", account.account_id, account.crossings)
    cause = _Cause(event_id, now, str(event_id))
    kind: CrossingKind = "zero" if account.held else "restored"
    topic, value = _event(kind, account, "exhausted" if was_held else "low", cause)
    return Crossing(event_id, account.account_id, topic.name, value, now, cause.correlation_id)


def _was_off_at_import(profile: Profile) -> bool:
    return profile.voip_suspended == "Yes" and profile.voip_suspended_by == "import"


def _settled(known: int | None, counted: int | None) -> int | None:
    """The payments that the balance contains: never fewer than known, as a count may be too low."""
    return counted if counted is None or known is None else max(known, counted)


def _apply(account: WatchedAccount, cause: _Cause, *, alert_due: bool) -> EventEffect:
    """Decide the hold and the level, and what to record and publish."""
    before = account.level
    pair = _hold(account, cause)
    after = account.level = level_of(account.held, account.balance_micro, account.threshold_micro)
    kind = cross(before, after, alert_due=alert_due)
    account.stay = kind == "low" or (account.stay and after == "low")
    if kind is None:
        return EventEffect(None, pair)
    account.crossings += 1
    account.stays += kind == "low"
    topic, value = _event(kind, account, before, cause)
    crossing = Crossing(
        cause.event_id, account.account_id, topic.name, value, cause.at, cause.correlation_id
    )
    return EventEffect(crossing, pair)


def _hold(account: WatchedAccount, cause: _Cause) -> FundsPair | None:
    """Decide the hold. Returns the pair to record if its class or the hold changed.

    Before the first posting there is no credit yet: only an import can begin a hold.
    """
    credit_micro, debts_micro = account.balance_micro, account.outstanding_micro
    limit_micro = account.credit_limit_micro
    before, held = account.held, account.held or cause.imported
    if account.balance_version > 0:
        together = belong_together(account.settled, account.accepted)
        held = hold_after(held, credit_micro, debts_micro, limit_micro, together=together)
    funds = class_of(credit_micro, debts_micro, limit_micro)
    if held == before and funds == account.funds:
        return None
    account.held, account.funds = held, funds
    account.holds += held and not before
    account.pairs += 1
    return _pair(account, funds, cause, imported=cause.imported and held and not before)


def _pair(
    account: WatchedAccount, funds: FundsClass, cause: _Cause, *, imported: bool
) -> FundsPair:
    return FundsPair(
        account_id=account.account_id,
        number=account.pairs,
        funds=funds,
        held=account.held,
        imported=imported,
        balance_version=account.balance_version,
        balance_micro=account.balance_micro,
        profile_version=account.profile_version,
        outstanding_micro=account.outstanding_micro,
        credit_limit_micro=account.credit_limit_micro,
        accepted=account.accepted,
        settled=account.settled,
        cause_id=cause.event_id,
    )


def _event(
    kind: CrossingKind, account: WatchedAccount, before: Level | None, cause: _Cause
) -> tuple[Topic, bytes]:
    facts = {
        "account_id": account.account_id,
        "crossing": account.crossings,
        "balance_version": account.balance_version,
        "balance_micro": account.balance_micro,
        "outstanding_micro": account.outstanding_micro,
        "threshold_micro": account.threshold_micro,
        "currency": account.currency,
        "occurred_at": cause.at,
        "hold": account.holds,
        "stay": account.stays,
        "credit_limit_micro": account.credit_limit_micro,
    }
    if kind == "low":
        return BALANCE_LOW, BalanceLow.model_validate(facts).to_json()
    if kind == "zero":
        facts |= {"reason": _reason(account), "mail_owed": cause.mail_owed}
        return BALANCE_ZERO, BalanceZero.model_validate(facts).to_json()
    levels = {"level_before": before, "level": account.level}
    return BALANCE_RESTORED, BalanceRestored.model_validate(facts | levels).to_json()


def _reason(account: WatchedAccount) -> str:
    """Why the hold began: `outstanding` for debts while credit is left, else `credit`."""
    used_up = is_used_up(account.balance_micro, account.credit_limit_micro)
    return "outstanding" if not used_up and account.outstanding_micro > 0 else "credit"
