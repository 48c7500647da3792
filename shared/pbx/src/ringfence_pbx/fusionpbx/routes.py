"""Reads FusionPBX's outbound routes: whether they test an extension's `toll_allow`.

A route tests it only if its dialplan has a condition on `${toll_allow}` [inferred from the routes
that the wizard writes]. Without this condition, emptying toll_allow stops no call.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ringfence_pbx.emergency import names_emergency
from ringfence_pbx.fusionpbx.connection import PageResponse
from ringfence_pbx.fusionpbx.form import PageForm, read_form
from ringfence_pbx.fusionpbx.pages import headings_of, rows_of
from ringfence_pbx.fusionpbx.session import FusionPbxSession

DIALPLANS = "/app/dialplans/dialplans.php"
DIALPLAN = "/app/dialplans/dialplan_edit.php"
OUTBOUND = "8c914ec3-9fc0-8ab5-4cda-6c9288bdc9a3"
"""The `app_uuid` that limits the list of dialplans to outbound routes."""

MAX_ROUTES = 10
"""At most this many outbound routes are read."""

TOLL_ALLOW = "${toll_allow}"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LINE = re.compile(r"dialplan_details\[(\d+)\]\[dialplan_detail_(tag|type|data)\]")
_XML_CONDITION = re.compile(r"<condition\s([^>]*)>")
_XML_FIELD = re.compile(r"""\b(field|expression)=["']([^"']*)["']""")


@dataclass(frozen=True)
class ListedRoute:
    """An outbound route in the list; `enabled` is None where the list does not show it."""

    uuid: str
    name: str
    enabled: bool | None


@dataclass(frozen=True)
class OutboundRoute:
    """The page of a route: whether it tests toll_allow, and is for emergency numbers."""

    tests_toll_allow: bool
    is_emergency: bool


def read_routes(html: str) -> tuple[ListedRoute, ...] | None:
    """The list of outbound routes; None for another page."""
    if not {"name", "enabled"} <= set(headings_of(html)):
        return None
    flags = {"true": True, "false": False}
    return tuple(
        ListedRoute(
            uuid=row.uuid,
            name=row.named.get("name", ""),
            enabled=flags.get(row.named.get("enabled", "").strip().lower()),
        )
        for row in rows_of(html, "dialplans")
        if _UUID.fullmatch(row.uuid)
    )


def read_route(html: str) -> OutboundRoute | None:
    """The page of a route; None for another page."""
    form = read_form(html, "dialplan_name")
    if form is None:
        return None
    conditions = [*_listed_conditions(form), *_xml_conditions(form)]
    return OutboundRoute(
        tests_toll_allow=any(kind == TOLL_ALLOW for kind, _ in conditions),
        is_emergency=any(
            kind == "destination_number" and names_emergency(data) for kind, data in conditions
        ),
    )


def _listed_conditions(form: PageForm) -> Iterator[tuple[str, str]]:
    """Type and data of each line of the page whose tag is `condition`."""
    lines: dict[str, dict[str, str]] = {}
    for control in form.controls:
        if found := _LINE.fullmatch(control.name):
            lines.setdefault(found[1], {})[found[2]] = control.value
    for line in lines.values():
        if line.get("tag") == "condition":
            yield line.get("type", ""), line.get("data", "")


def _xml_conditions(form: PageForm) -> Iterator[tuple[str, str]]:
    """Field and expression of each condition, from a page that shows the dialplan as XML."""
    control = form.find("dialplan_xml")
    for inside in _XML_CONDITION.findall(control.value if control else ""):
        given = dict(_XML_FIELD.findall(inside))
        yield given.get("field", ""), given.get("expression", "")


async def outbound_routes(
    session: FusionPbxSession, *, all_tenants: bool
) -> list[tuple[ListedRoute, OutboundRoute]]:
    """The first MAX_ROUTES outbound routes that may be enabled, each with its page.

    Raises Refused if the key's user may not see them, and Retry if the server fails.
    """
    given = {"app_uuid": OUTBOUND, **({"show": "all"} if all_tenants else {})}
    answer = await session.page("GET", DIALPLANS, given)
    listed = read_routes(answer.text)
    if listed is None:
        raise _no_page(session, "the list of outbound routes", answer)
    found = []
    for route in [route for route in listed if route.enabled is not False][:MAX_ROUTES]:
        answer = await session.page("GET", DIALPLAN, {"id": route.uuid, "app_uuid": OUTBOUND})
        read = read_route(answer.text)
        if read is None:
            raise _no_page(session, "the page of an outbound route", answer)
        found.append((route, read))
    return found


def all_test_toll_allow(routes: Sequence[tuple[ListedRoute, OutboundRoute]]) -> bool | None:
    """Whether emptying toll_allow stops all outbound calls but emergency calls; None: no route."""
    calling = [route for _, route in routes if not route.is_emergency]
    return all(route.tests_toll_allow for route in calling) if calling else None


def _no_page(session: FusionPbxSession, what: str, answer: PageResponse) -> Exception:
    if answer.denied or answer.redirects:
        return session.refused(f"does not show {what} to the key's user")
    return session.unexpected(what, answer)
