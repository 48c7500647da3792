"""Decides what becomes of an owed mail now: it is sent, waits, or is no longer true.

Asked at each event about the client, and again at the moment of sending, with the address, the
opt-out and the money as they are then (domain/billing, section 7c).

Pure: without clock, socket, database or logger.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.merge_fields import Account, Funds
from notifier.owed.notice import Notice, State
from ringfence.mail.address import is_mail_address
from ringfence_contracts.events.balance import Level

IN_SHADOW = "shadow mode: would have been mailed"
NO_ACCOUNT = "no account.changed was read for this account yet"
NOT_OFF_YET = "waits until the service is off"
_LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Rules:
    """What the operator set: seconds between two low alerts of a client, and how long a zero mail
    waits for the service to be off.
    """

    low_interval_s: float = 3600.0
    obey_s: float = 120.0


@dataclass(frozen=True)
class Read:
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
class Owner:
    """What balance-watch's own record says at this moment: events may still be on their way."""

    level: Level | None
    funds: Funds
    balance_version: int
    hold: int
    stays: int


Cut = Literal["none", "asked", "refused", "off"]
"""A live service that funds alone hold: none; not off yet; the server did not obey; off."""


@dataclass(frozen=True)
class Facts:
    """All that is known when it is decided. `low_sent_at`: when the client's last low alert, or
    its last reminder, went out. `zero_state`: what became of the zero mail of the same hold.
    `owed_since`: when the mail became owed, None for now.
    """

    account: Account | None
    read: Read = Read()
    owner: Owner | None = None
    cut: Cut = "none"
    low_sent_at: datetime | None = None
    zero_state: State | None = None
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


Outcome = Send | Wait | Drop


def judge(notice: Notice, facts: Facts, now: datetime, rules: Rules) -> Outcome:
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


def _in_shadow(notice: Notice, account: Account) -> Outcome:
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


def _address_problem(account: Account) -> str:
    address = account.email.strip()
    if not address:
        return "the client has no e-mail address"
    if not is_mail_address(address):
        return f"the client's e-mail address cannot be one: {address[:254]!r}"
    return ""


def no_longer_true(notice: Notice, facts: Facts) -> str:
    """Why the mail is not true any more; empty while it is, as far as is known."""
    if notice.kind == "low":
        return _low_untrue(notice, facts)
    if notice.kind == "zero":
        return _zero_untrue(notice, facts)
    if notice.kind == "restored" and facts.cut == "off":
        return "the service is off again"
    return ""


def _low_untrue(notice: Notice, facts: Facts) -> str:
    """A stay ends with the account's next crossing, whatever it is."""
    read, owner = facts.read, facts.owner
    assert notice.crossing is not None, "a low alert is about a crossing"
    if read.zero_crossing > notice.crossing:
        return "the balance reached zero before this was sent"
    if read.crossing > notice.crossing:
        if read.level == "low":
            return "a later alert took its place"
        return "the balance rose above the threshold before this was sent"
    if facts.account and facts.account.threshold_micro is None:
        return "the client has no low balance threshold"
    if owner and owner.balance_version >= notice.balance_version and owner.level != "low":
        if owner.level == "exhausted":
            return "the balance reached zero before this was sent"
        return "the balance is above the threshold"
    return ""


def _zero_untrue(notice: Notice, facts: Facts) -> str:
    read, owner, hold = facts.read, facts.owner, notice.number
    if hold is not None and (read.hold_ended >= hold or _owner_ended(owner, hold)):
        return "the funds hold ended before this was sent"
    if notice.confirmed_off and read.restored_at and notice.occurred_at < read.restored_at:
        return "the service was restored before this was sent"
    return ""


def _owner_ended(owner: Owner | None, hold: int) -> bool:
    """Whether balance-watch, which knows of this hold, has none or a later one."""
    if owner is None or owner.hold < hold:
        return False
    return owner.hold > hold or owner.level != "exhausted"


def _low(facts: Facts, now: datetime, rules: Rules) -> Outcome:
    if facts.low_sent_at is not None:
        next_at = facts.low_sent_at + timedelta(seconds=rules.low_interval_s)
        if next_at > now:
            return Wait("waits for the least interval between two alerts", next_at)
    return Send()


def _zero(notice: Notice, facts: Facts, now: datetime, rules: Rules) -> Outcome:
    """Sent once funds alone hold a service off; in other words where the server does not obey."""
    if notice.confirmed_off or facts.cut == "off":
        return Send()
    obeyed_by = (facts.owed_since or now) + timedelta(seconds=rules.obey_s)
    if facts.cut == "refused" and now >= obeyed_by:
        return Send(service_is_off=False)
    return Wait(NOT_OFF_YET, obeyed_by if now < obeyed_by else now + _LOOK_AGAIN)


def _restored(facts: Facts) -> Outcome:
    if facts.zero_state == "sending":
        return Wait("waits for what becomes of the zero mail")
    if facts.zero_state not in ("sent", "in-doubt"):
        return Drop("no mail said that the service was off")
    return Send()


def funds_of(notice: Notice, facts: Facts) -> Funds:
    """The client's money as it is now; the event's where nothing newer is known."""
    owner, event = facts.owner, notice.funds
    if owner and (event is None or owner.balance_version >= notice.balance_version):
        return owner.funds
    assert event is not None, "every notice to a client has its money"
    return event
