"""Checks of what is typed for a client, beyond the types of the contract. Pure."""

import re
from functools import cache
from zoneinfo import available_timezones

from ringfence.mail.address import check_mail_address
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client, Profile
from ringfence_contracts.money import parse_micro

_LANGUAGE = re.compile(r"([A-Za-z]{2,3}([_-][A-Za-z]{2,4})?)?", re.ASCII)
THRESHOLD = "an amount such as 15, $15, 15.00 or 1,500, or blank to turn it off"


def check_client(client: Client, time_zone: str) -> None:
    """Raises BadInput for a time zone, name, language or mail address that cannot be used."""
    if time_zone not in _zones():
        raise BadInput("time_zone", time_zone, "an IANA zone such as America/Toronto")
    for name in ("first_name", "last_name", "company_name"):
        value = getattr(client, name)
        if not value.isprintable():
            raise BadInput(name, value, "one line of text")
    if not _LANGUAGE.fullmatch(client.language):
        raise BadInput("language", client.language, "a code such as fr or fr-CA, or blank")
    for address in client.cc:
        check_mail_address(address, "cc")
    if not client.email and not client.wants_mail:
        return
    check_mail_address(client.email)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_threshold(text: str) -> int | None:
    """A `Low Balance Threshold` in micro-units; None when blank or 0: alerts are off.

    Raises BadInput when it is not an amount of 0 or more.
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


def imported_threshold(text: str) -> int | None:
    """An imported threshold; None, alerts off, also for text that is not an amount."""
    try:
        return parse_threshold(text)
    except BadInput:
        return None


def check_not_dropped(before: Profile | None, sent: frozenset[str]) -> None:
    """Refuse a PUT body that omits VoIP service or the threshold of a client that has them.

    Omitted, they would be turned off without notice. Raises BadInput with the field's name.
    """
    if before is None:
        return
    for name, kept, thing in (
        ("has_voip_service", before.has_voip_service, "VoIP service"),
        ("low_balance_threshold", before.low_balance_threshold, "alerts"),
    ):
        if kept and name not in sent:
            raise BadInput(
                name,
                None,
                f"a value: left out it would turn {thing} off; send it, or use PATCH, which "
                "leaves as it is what is left out",
            )
