"""Checks of what is typed for a client, beyond the types of the contract. Pure."""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any
from zoneinfo import available_timezones

from accounts.refusals import Refusals
from ringfence.mail.address import check_mail_address
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client, Profile
from ringfence_contracts.money import parse_micro

_LANGUAGE = re.compile(r"([A-Za-z]{2,3}([_-][A-Za-z]{2,4})?)?", re.ASCII)
_WANTED = (True, "yes", "Yes")
THRESHOLD = "an amount such as 15, $15, 15.00 or 1,500, or blank to turn it off"


def check_client(client: Client, time_zone: str, problems: Refusals) -> None:
    """Collect a time zone, name, language and mail address that cannot be used."""
    values = {**client.model_dump(), "time_zone": time_zone}
    if not client.email and client.wants_mail:
        problems.read(lambda: check_mail_address(client.email), "")
    check_values(values, problems)


def client_problems(values: Mapping[str, Any], *, whole: bool, others: bool) -> list[BadInput]:
    """What is wrong with a request's values, by field name, as far as they alone show it.

    `whole`: it is the whole client, so a mail address is needed unless no mail is wanted. The
    threshold is judged only beside other problems (`others`: there are some): an imported text
    that is no amount may be sent back unchanged.
    """
    problems = Refusals()
    if whole and values.get("email", "") == "" and values.get("wants_mail", True) in _WANTED:
        problems.read(lambda: check_mail_address(""), "")
    check_values(values, problems)
    typed = values.get("low_balance_threshold")
    judged = (others or problems.found) and values.get("written_by") != "import"
    if isinstance(typed, str) and judged:
        problems.read(lambda: parse_threshold(typed), None)
    return problems.found


def check_values(values: Mapping[str, Any], problems: Refusals) -> None:
    """Collect the texts of a client's fields, by name, that cannot be used; others are ignored."""
    for name, check in _CHECKS.items():
        value = values.get(name)
        for given in value if isinstance(value, list | tuple) else (value,):
            text = str(given) if isinstance(given, int) else given
            if isinstance(text, str):
                problems.read(partial(check, name, text), None)


def _check_zone(name: str, text: str) -> None:
    if text not in _zones():
        raise BadInput(name, text, "an IANA zone such as America/Toronto")


def _check_line(name: str, text: str) -> None:
    if not text.isprintable():
        raise BadInput(name, text, "one line of text")


def _check_language(name: str, text: str) -> None:
    if not _LANGUAGE.fullmatch(text):
        raise BadInput(name, text, "a code such as fr or fr-CA, or blank")


def _check_address(name: str, text: str) -> None:
    if text or name == "cc":
        check_mail_address(text, name)


def _check_amount(name: str, text: str) -> None:
    parse_micro(text, name)


def read_credit_limit(text: str) -> int:
    """A credit limit in micro-units. Raises BadInput for other text, and below 0."""
    micro = parse_micro(text, "credit_limit")
    if micro < 0:
        raise BadInput("credit_limit", text, "0 or more")
    return micro


_CHECKS: dict[str, Callable[[str, str], object]] = {
    "first_name": _check_line,
    "last_name": _check_line,
    "company_name": _check_line,
    "email": _check_address,
    "language": _check_language,
    "cc": _check_address,
    "time_zone": _check_zone,
    "credit_limit": lambda _, text: read_credit_limit(text),
    "opening_balance": _check_amount,
}
"""The check of each field, in the order in which a refused request lists them."""


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
