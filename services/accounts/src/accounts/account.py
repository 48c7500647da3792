"""An account and how it may change: pure functions from an account to the next one."""

import re
from collections.abc import Callable
from functools import cache
from typing import Literal
from zoneinfo import available_timezones

from accounts.refusals import Clash
from ringfence.errors import BadInput
from ringfence.events.account import AccountChanged, Client, Profile, Service, YesNoNone
from ringfence.events.model import Currency, EventData, Id, Instant, Micro, Text
from ringfence.money import parse_micro

Writer = Literal["person", "import"]
Edit = Callable[["Account"], "Account"]
"""Decides what an account is to become. Returning an equal one means that nothing changes."""

_EMAIL = re.compile(r"[^\s@,;<>\"()]+@[^\s@,;<>\"()]+", re.ASCII)
THRESHOLD = "an amount such as 15, $15, 15.00 or 1,500, or blank to turn it off"


class Account(EventData):
    """A client as it stands. `version` grows with every change; 0 has not been published."""

    account_id: Id
    version: int = 0
    currency: Currency
    time_zone: Text = "UTC"
    client: Client
    profile: Profile = Profile()
    outstanding_micro: Micro = 0


class Settings(EventData):
    """What a person, or an import, enters for a client.

    The two suspension fields may be None: then they stay as they are, since other hands than
    this one write them too.
    """

    currency: Currency
    time_zone: Text = "UTC"
    client: Client
    has_voip_service: bool = False
    low_balance_threshold: Text = ""
    manual_voip_suspend: YesNoNone | None = None
    voip_suspended: YesNoNone | None = None
    written_by: Writer | None = None


def entered(account_id: str, before: Account | None, settings: Settings) -> Account:
    """The account after `settings` were entered; `before` is None for a new one.

    Raises BadInput for a malformed value and Clash for another currency than the account's.
    """
    _check_entered(settings)
    old = before or Account(
        account_id=account_id, currency=settings.currency, client=settings.client
    )
    if settings.currency != old.currency:
        raise Clash("currency", settings.currency, f"this account is kept in {old.currency}")
    profile = old.profile.model_copy(
        update={
            "has_voip_service": settings.has_voip_service,
            "low_balance_threshold": settings.low_balance_threshold.strip(),
            "threshold_micro": parse_threshold(settings.low_balance_threshold),
            "manual_voip_suspend": settings.manual_voip_suspend or old.profile.manual_voip_suspend,
        }
    )
    return old.model_copy(
        update={
            "client": settings.client,
            "time_zone": settings.time_zone,
            "profile": _override(profile, settings),
        }
    )


def _check_entered(settings: Settings) -> None:
    if settings.time_zone not in _zones():
        raise BadInput("time_zone", settings.time_zone, "an IANA zone such as America/Toronto")
    client = settings.client
    for name in ("first_name", "last_name", "company_name"):
        value = getattr(client, name)
        if not value.isprintable():
            raise BadInput(name, value, "one line of text")
    if not client.email and not client.wants_mail:
        return
    if len(client.email) > 254 or not _EMAIL.fullmatch(client.email):
        raise BadInput("email", client.email, "one address such as anna@example.com")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _override(profile: Profile, settings: Settings) -> Profile:
    """`VoIP Suspended` is our output and a person's override, so its writer is kept beside it.

    The same value again, sent back by somebody who read it, is no new writing unless
    `written_by` says so. We never write No: whoever imports one, it was a person's.
    """
    value = settings.voip_suspended
    if value is None or (value == profile.voip_suspended and settings.written_by is None):
        return profile
    writer = "person" if value == "No" else settings.written_by or "person"
    return profile.model_copy(update={"voip_suspended": value, "voip_suspended_by": writer})


def parse_threshold(text: str) -> int | None:
    """A `Low Balance Threshold` as micro-units; None when blank or 0: alerts are off.

    Raises BadInput when it is not a number.
    """
    typed = text.strip().removeprefix("$").strip()
    if not typed and text.strip() != "$":
        return None
    try:
        micro = parse_micro(typed, "Low Balance Threshold")
    except BadInput:
        raise BadInput("Low Balance Threshold", text, THRESHOLD) from None
    if micro < 0:
        raise BadInput("Low Balance Threshold", text, THRESHOLD)
    return micro or None


def with_outstanding(amount_micro: int) -> Edit:
    """Sets what the client owes on unpaid invoices."""
    return lambda account: account.model_copy(update={"outstanding_micro": amount_micro})


def with_manual_suspend(value: YesNoNone) -> Edit:
    """Sets `Manual VoIP Suspend`: Yes suspends even with funds, None returns to the rules."""

    def edit(account: Account) -> Account:
        profile = account.profile.model_copy(update={"manual_voip_suspend": value})
        return account.model_copy(update={"profile": profile})

    return edit


def with_confirmed(any_suspended: bool) -> Edit:
    """Writes what the PBX confirmed into `VoIP Suspended`: Yes, or None (never No, which would
    exempt the client for ever). What a person wrote stays.
    """

    def edit(account: Account) -> Account:
        profile = account.profile
        theirs = profile.voip_suspended_by == "person" and profile.voip_suspended != "None"
        value = "Yes" if any_suspended else "None"
        if theirs or profile.voip_suspended == value:
            return account
        update = {"voip_suspended": value, "voip_suspended_by": "us"}
        return account.model_copy(update={"profile": profile.model_copy(update=update)})

    return edit


def suspension_warnings(profile: Profile) -> list[str]:
    """Why a change of `Manual VoIP Suspend` may not do what one would expect of it."""
    if not profile.has_voip_service:
        return ["Has VoIP Service is not yes: nothing is switched on any PBX for this client"]
    forced = profile.voip_suspended == "Yes" and profile.voip_suspended_by == "person"
    if profile.manual_voip_suspend != "Yes" and forced:
        return ["VoIP Suspended is Yes, written by a person: services stay off until it is None"]
    return []


def account_changed(
    account: Account, services: tuple[Service, ...], changed_at: Instant
) -> AccountChanged:
    """The whole state of an account, as it is published."""
    return AccountChanged(
        account_id=account.account_id,
        version=account.version,
        currency=account.currency,
        time_zone=account.time_zone,
        client=account.client,
        profile=account.profile,
        outstanding_micro=account.outstanding_micro,
        services=services,
        changed_at=changed_at,
    )
