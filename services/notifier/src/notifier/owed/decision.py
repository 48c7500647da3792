"""Decides what becomes of an owed mail now: it is sent, waits, or is no longer true.

Asked at each event about the client, and again at the moment of sending, with the address, the
opt-out and the money as they are then (domain/billing, section 7c).

Pure: without clock, socket, database or logger.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.merge_fields import ClientAccount, ClientFunds
from notifier.owed.notice import MailNotice, MailState
from ringfence.mail.address import is_mail_address
from ringfence_contracts.events.balance import Level

IN_SHADOW = "shadow mode: would have been mailed"
NO_ACCOUNT = "no account.changed was read for this account yet"
NOT_OFF_YET = "waits until the service is off"
_LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class DecisionRules:
    """What the operator set: seconds between two low alerts of a client, and how long a zero mail
    waits for the service to be off.
    """

    low_interval_s: float = 3600.0
    obey_s: float = 120.0


@dataclass(frozen=True)
class ConsumedState:
    """What the notifier read of an account's crossings and services.

    `crossing` is the newest, `level` the level after it; `hold` is the newest funds hold,
    `hold_ended` the newest that ended.
    """

    level: Level | None = None
    crossing: int = 0
    zero_crossing: int = 0
    hold: int = 0
    hold_ended: int = 0
    restored_at: datetime | None = None


@dataclass(frozen=True)
class BalanceWatchState:
    """What balance-watch's own record says at this moment: events may still be on their way."""

    level: Level | None
    funds: ClientFunds
    balance_version: int
    hold: int
    stays: int


SwitchOffState = Literal["none", "asked", "refused", "off"]
"""A live service that funds alone hold: none; not off yet; the server did not obey; off."""


@dataclass(frozen=True)
class DecisionFacts:
    """All that is known when it is decided. `low_sent_at`: when the client's last low alert, or
    its last reminder, went out. `zero_state`: what became of the zero mail of the same hold.
    `owed_since`: when the mail became owed, None for now.
    """

    account: ClientAccount | None
    consumed: ConsumedState = ConsumedState()
    balance_watch: BalanceWatchState | None = None
    switch_off: SwitchOffState = "none"
    low_sent_at: datetime | None = None
    zero_state: MailState | None = None
    owed_since: datetime | None = None


@dataclass(frozen=True)
class Send:
    """It is true and due. `service_is_off` is what a zero mail may say."""

    service_is_off: bool = True


@dataclass(frozen=True)
class Wait:
    """It is owed, and cannot be sent yet. `until` None: an event will tell."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True)
class Drop:
    """It is not sent. `again`: it is owed once more if the reason ends while it is true."""

    reason: str
    shadow: bool = False
    again: bool = False


MailDecision = Send | Wait | Drop


def decide_mail(
    notice: MailNotice, facts: DecisionFacts, now: datetime, rules: DecisionRules
) -> MailDecision:
    """What becomes of the mail at `now`. Mails to the operator are always sent."""
    if notice.kind in ("alarm", "digest"):
        return Send()
    account = facts.account
    if account and (notice.would_be or account.mode == "shadow"):
        return _in_shadow(notice, account)
    if not notice.would_be and (untrue := no_longer_true(notice, facts)):
        return Drop(untrue)
    if account is None:
        return Wait(NO_ACCOUNT)
    if not account.wants_mail:
        return Drop("the client opted out of mail", again=True)
    if problem := _address_problem(account):
        return Wait(problem)
    if notice.kind == "low":
        return _low(facts, now, rules)
    return _zero(notice, facts, now, rules) if notice.kind == "zero" else _restored(facts)


def _in_shadow(notice: MailNotice, account: ClientAccount) -> MailDecision:
    """Nothing is sent. A zero mail comes only for a live client: then one of the two is late."""
    if notice.would_be and account.mode == "live":
        return Drop("the client is live: this mail follows the switch", shadow=True)
    if notice.would_be and not account.prepaid:
        return Drop("the client has no prepaid VoIP service", shadow=True)
    if notice.kind != "low" and not notice.would_be:
        return Drop("the client is in shadow mode", shadow=True, again=True)
    problem = (
        "the client opted out of mail" if not account.wants_mail else _address_problem(account)
    )
    return Drop(problem or IN_SHADOW, shadow=True, again=not notice.would_be)


def _address_problem(account: ClientAccount) -> str:
    address = account.email.strip()
    if not address:
        return "the client has no e-mail address"
    if not is_mail_address(address):
        return f"the client's e-mail address cannot be one: {address[:254]!r}"
    return ""


def no_longer_true(notice: MailNotice, facts: DecisionFacts) -> str:
    """Why the mail is not true any more; empty while it is, as far as is known."""
    if notice.kind == "low":
        return _low_untrue(notice, facts)
    if notice.kind == "zero":
        return _zero_untrue(notice, facts)
    if notice.kind == "restored" and facts.switch_off == "off":
        return "the service is off again"
    return ""


def _low_untrue(notice: MailNotice, facts: DecisionFacts) -> str:
    """A stay ends with the account's next crossing, whatever it is."""
    consumed, watched = facts.consumed, facts.balance_watch
    assert notice.crossing is not None, "a low alert is about a crossing"
    if consumed.zero_crossing > notice.crossing:
        return "the balance reached zero before this was sent"
    if consumed.crossing > notice.crossing:
        if consumed.level == "low":
            return "a later alert took its place"
        return "the balance rose above the threshold before this was sent"
    if facts.account and facts.account.threshold_micro is None:
        return "the client has no low balance threshold"
    if watched and watched.balance_version >= notice.balance_version and watched.level != "low":
        if watched.level == "exhausted":
            return "the balance reached zero before this was sent"
        return "the balance is above the threshold"
    return ""


def _zero_untrue(notice: MailNotice, facts: DecisionFacts) -> str:
    consumed, watched, hold = facts.consumed, facts.balance_watch, notice.number
    if hold is not None and (consumed.hold_ended >= hold or _hold_ended(watched, hold)):
        return "the funds hold ended before this was sent"
    if notice.confirmed_off and consumed.restored_at and notice.occurred_at < consumed.restored_at:
        return "the service was restored before this was sent"
    return ""


def _hold_ended(watched: BalanceWatchState | None, hold: int) -> bool:
    """Whether balance-watch, which knows of this hold, has none or a later one."""
    if watched is None or watched.hold < hold:
        return False
    return watched.hold > hold or watched.level != "exhausted"


def _low(facts: DecisionFacts, now: datetime, rules: DecisionRules) -> MailDecision:
    if facts.low_sent_at is not None:
        next_at = facts.low_sent_at + timedelta(seconds=rules.low_interval_s)
        if next_at > now:
            return Wait("waits for the least interval between two alerts", next_at)
    return Send()


def _zero(
    notice: MailNotice, facts: DecisionFacts, now: datetime, rules: DecisionRules
) -> MailDecision:
    """Sent once funds alone hold a service off; in other words where the server does not obey."""
    if notice.confirmed_off or facts.switch_off == "off":
        return Send()
    obeyed_by = (facts.owed_since or now) + timedelta(seconds=rules.obey_s)
    if facts.switch_off == "refused" and now >= obeyed_by:
        return Send(service_is_off=False)
    return Wait(NOT_OFF_YET, obeyed_by if now < obeyed_by else now + _LOOK_AGAIN)


def _restored(facts: DecisionFacts) -> MailDecision:
    if facts.zero_state == "sending":
        return Wait("waits for what becomes of the zero mail")
    if facts.zero_state not in ("sent", "in-doubt"):
        return Drop("no mail said that the service was off")
    return Send()


def funds_of(notice: MailNotice, facts: DecisionFacts) -> ClientFunds:
    """The client's money as it is now; the event's where nothing newer is known."""
    watched, event = facts.balance_watch, notice.funds
    if watched and (event is None or watched.balance_version >= notice.balance_version):
        return watched.funds
    assert event is not None, "every notice to a client has its money"
    return event
