"""Decides whether a queued mail is sent now, waits, or is dropped because it is no longer true.

A mail is decided at each event about the client and again when it is sent, each time with the
current address, opt-out and funds (domain/billing, section 7c).

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
LINK_WANTED_FOR = timedelta(hours=1)
_LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class DecisionRules:
    """The operator's settings, in seconds.

    `low_interval_s` is the shortest time between two low alerts of a client. `obey_s` is how long a
    zero mail waits for the service to be switched off.
    """

    low_interval_s: float = 3600.0
    obey_s: float = 120.0


@dataclass(frozen=True)
class ConsumedState:
    """The account's crossings and services, from the events consumed so far.

    `crossing` is the newest one and `level` the level after it. `hold` is the newest funds hold and
    `hold_ended` the newest one that ended.
    """

    level: Level | None = None
    crossing: int = 0
    zero_crossing: int = 0
    hold: int = 0
    hold_ended: int = 0
    restored_at: datetime | None = None


@dataclass(frozen=True)
class BalanceWatchState:
    """The account in balance-watch's own table now, which can be ahead of the consumed events."""

    level: Level | None
    funds: ClientFunds
    balance_version: int
    hold: int
    stays: int


SwitchOffState = Literal["none", "asked", "refused", "off"]
"""Live services that are held for funds alone.

none: there is none. asked: not off yet. refused: an attempt to switch it off failed. off: it is
confirmed as suspended.
"""


@dataclass(frozen=True)
class DecisionFacts:
    """The input of a decision.

    `low_sent_at` is when the client's last low alert or reminder was sent. `zero_state` is the
    state of the zero mail of the same hold. `owed_since` is when the mail was queued, None for now.
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
    """Send it. `service_is_off`: whether a zero mail may say that the service is off."""

    service_is_off: bool = True


@dataclass(frozen=True)
class Wait:
    """It cannot be sent yet: decide again at `until`, or at the next event if that is None."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True)
class Drop:
    """It is not sent. `again`: it is queued again if the reason ends while the mail is true."""

    reason: str
    shadow: bool = False
    again: bool = False


MailDecision = Send | Wait | Drop


def decide_mail(
    notice: MailNotice, facts: DecisionFacts, now: datetime, rules: DecisionRules
) -> MailDecision:
    """Decide the mail at `now`. Mails to the operator are always sent."""
    if notice.kind in ("alarm", "digest"):
        return Send()
    account = facts.account
    if notice.kind == "link":
        return _link(notice, account, now)
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


def _link(notice: MailNotice, account: ClientAccount | None, now: datetime) -> MailDecision:
    """The client asked for it, so it is sent in spite of an opt-out; nobody waits for it long."""
    if now - notice.occurred_at > LINK_WANTED_FOR:
        return Drop("the client asked for it more than an hour ago")
    if account is None:
        return Wait(NO_ACCOUNT)
    if account.mode == "shadow":
        return Drop("the client is in shadow mode", shadow=True)
    if problem := _address_problem(account):
        return Drop(problem)
    return Send()


def _in_shadow(notice: MailNotice, account: ClientAccount) -> MailDecision:
    """The decision for a client in shadow mode: nothing is sent.

    A real zero mail is queued for live clients only. If the client is in shadow mode all the same,
    one of the two events was consumed late.
    """
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
    """The reason why the mail is no longer true; empty while it is, as far as is known."""
    if notice.kind == "low":
        return _low_untrue(notice, facts)
    if notice.kind == "zero":
        return _zero_untrue(notice, facts)
    if notice.kind == "restored" and facts.switch_off == "off":
        return "the service is off again"
    return ""


def _low_untrue(notice: MailNotice, facts: DecisionFacts) -> str:
    """Any further crossing of the account ends the stay."""
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
    """Whether balance-watch knows this hold and has none or a later one now."""
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
    """Send it once a service is off for funds alone.

    If the PBX does not obey, send it after `obey_s`, worded for a service that is still on.
    """
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
    """The client's current funds; the event's if nothing newer is known."""
    watched, event = facts.balance_watch, notice.funds
    if watched and (event is None or watched.balance_version >= notice.balance_version):
        return watched.funds
    assert event is not None, "every notice to a client has funds"
    return event
