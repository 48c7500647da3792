"""The simulated FusionPBX's pages that suspend services, end calls and list elements."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import (
    Destination,
    Gateway,
    Route,
    SimulatedExtension,
    User,
)
from tests.support.fusionpbx import ADMIN_KEY, MCON, RUCKEN, SUPER_KEY, can_call, simulated
from tests.support.narrow import present

EXPORT = "/app/xml_cdr/xml_cdr_export.php"
GATEWAYS, EXTENSIONS = "/app/gateways/gateways.php", "/app/extensions/extensions.php"
EDIT = "/app/extensions/extension_edit.php"
LIVE, EXEC = "/app/calls_active/calls_active_inc.php", "/app/basic_operator_panel/exec.php"
HEX64 = re.compile(r"name='([0-9a-f]{64})' value='([0-9a-f]{64})'")


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param) as simulator:
        yield simulator


@asynccontextmanager
async def logged_in(
    pbx: FusionPbxSimulator, key: str = SUPER_KEY, host: str = MCON
) -> AsyncIterator[AsyncClient]:
    async with httpx.AsyncClient(base_url=pbx.url, headers={"Host": host}) as http:
        token = HEX64.search((await http.get("/login.php")).text)
        known: dict[str, str] = {str(token[1]): str(token[2])} if token else {}
        window = {"start_epoch": "1", "stop_epoch": "1", "key": key, **known}
        assert (await http.get(EXPORT, params=window)).status_code == 200
        yield http


@pytest.fixture
async def http(pbx: FusionPbxSimulator) -> AsyncIterator[AsyncClient]:
    async with logged_in(pbx) as client:
        yield client


async def enter(http: AsyncClient, pbx: FusionPbxSimulator, domain: str) -> None:
    change = {"domain_uuid": pbx.pbx.domains[domain].uuid, "domain_change": "true"}
    assert (await http.get("/core/domains/domains.php", params=change)).status_code == 302


async def token_of(http: AsyncClient, path: str, **params: str) -> dict[str, str]:
    found = present(HEX64.search((await http.get(path, params=params)).text))
    return {str(found[1]): str(found[2])}


def ticked(kind: str, uuids: list[str]) -> dict[str, str]:
    return {
        name: value
        for number, uuid in enumerate(uuids)
        for name, value in (
            (f"{kind}[{number}][checked]", "true"),
            (f"{kind}[{number}][uuid]", uuid),
        )
    }


def messages(html: str) -> str:
    return unescape(" ".join(re.findall(r"display_message\('(.*?)', '", html)))


def gateway(pbx: FusionPbxSimulator, name: str = "Trunk A") -> Gateway:
    return next(g for g in pbx.pbx.gateways.values() if g.name == name)


class Form(HTMLParser):
    """The fields that a browser would send of the form `frm`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.options: dict[str, list[tuple[str, bool]]] = {}
        self._select = ""
        self.feed(html)
        for name, options in self.options.items():
            chosen = [value for value, is_chosen in options if is_chosen]
            self.fields[name] = (chosen or [options[0][0]])[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and given.get("name") and "disabled" not in given:
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
            self.options[self._select] = []
        elif tag == "option":
            self.options[self._select].append((given.get("value", ""), "selected" in given))


async def form_of(http: AsyncClient, extension: SimulatedExtension) -> Form:
    answer = await http.get(EDIT, params={"id": extension.uuid})
    assert answer.status_code == 200
    return Form(answer.text)


async def save(http: AsyncClient, extension: SimulatedExtension, **changed: str) -> httpx.Response:
    """Open the form, change fields and save, as a person would; returns the next page."""
    return await post(http, extension, (await form_of(http, extension)).fields | changed)


async def post(
    http: AsyncClient, extension: SimulatedExtension, fields: dict[str, str]
) -> httpx.Response:
    answer = await http.post(EDIT, params={"id": extension.uuid}, data=fields)
    assert answer.status_code == 302
    return await http.get(EDIT, params={"id": extension.uuid})


# -- gateways ---------------------------------------------------------------------------------


async def test_stop_kills_each_enabled_gateway_and_shows_each_reply(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    a, b = gateway(pbx), gateway(pbx, "Trunk B")
    off = pbx.pbx.add_gateway(Gateway("Trunk C", enabled=False))
    form = {"action": "stop", **ticked("gateways", [a.uuid, b.uuid, off.uuid, "unknown"])}
    form |= await token_of(http, GATEWAYS, show="all")
    assert (await http.post(GATEWAYS, data=form)).headers["location"] == "gateways.php"
    assert (a.live, b.live, a.enabled, b.enabled) == (False, False, True, True)
    shown = messages((await http.get(GATEWAYS, params={"show": "all", "search": "Trunk A"})).text)
    for name in ("Trunk A", "Trunk B"):
        assert f"<strong>{name}</strong>: +OK gateway marked for deletion." in shown
    assert "Trunk C" not in shown
    assert pbx.pbx.commands["killgw"] == 2
    assert not can_call(pbx)


async def test_many_gateways_are_toggled_by_one_post_and_the_same_post_flips_them_back(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    uuids = [g.uuid for g in pbx.pbx.gateways.values()]
    form = {"action": "toggle", **ticked("gateways", [*uuids, "unknown"])}
    form |= await token_of(http, GATEWAYS, show="all")
    for enabled in (False, True):
        await http.post(GATEWAYS, data=form)
        assert {g.enabled for g in pbx.pbx.gateways.values()} == {enabled}


async def test_without_the_event_socket_stop_has_no_message_and_columns_are_missing(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    headings = [f"<th>{name}</th>" for name in ("Status", "Action", "State")]
    page = (await http.get(GATEWAYS, params={"show": "all"})).text
    assert all(heading in page for heading in headings)
    assert "Running" in page
    pbx.pbx.event_socket = False
    form = {"action": "stop", **ticked("gateways", [gateway(pbx).uuid])}
    await http.post(GATEWAYS, data=form | await token_of(http, GATEWAYS))
    page = (await http.get(GATEWAYS, params={"show": "all"})).text
    assert not any(heading in page for heading in headings)
    assert messages(page) == ""
    assert gateway(pbx).live


async def test_a_toggle_with_the_lies_fault_is_only_reported_as_done(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    a, b = gateway(pbx), gateway(pbx, "Trunk B")
    planned = {"kind": "toggle-lies", "value": a.uuid, "times": 1}
    (await http.post("/_sim/faults", json=planned)).raise_for_status()
    form = {"action": "toggle", **ticked("gateways", [b.uuid, a.uuid])}
    form |= await token_of(http, GATEWAYS)
    assert (await http.post(GATEWAYS, data=form)).status_code == 302
    assert (a.enabled, b.enabled) == (True, False)
    await http.post(GATEWAYS, data=form)
    assert (a.enabled, b.enabled) == (False, True)


# -- extensions -------------------------------------------------------------------------------


async def test_extensions_are_toggled_within_the_session_s_domain_only(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    ours = present(pbx.pbx.find_extension("2112", MCON))
    other = present(pbx.pbx.find_extension("2112", RUCKEN))
    form = {"action": "toggle", **ticked("extensions", [ours.uuid, other.uuid])}
    form |= await token_of(http, EXTENSIONS)
    await http.post(EXTENSIONS, data=form)
    assert (ours.enabled, other.enabled) == (False, True)
    assert pbx.pbx.commands["cache-delete"] == 1


async def test_show_all_lists_every_tenant_s_extensions_to_superadmins_only(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    assert (await http.get(EXTENSIONS, params={"show": "all"})).text.count("class='list-row'") == 3
    async with logged_in(pbx, ADMIN_KEY) as admin:
        page = (await admin.get(EXTENSIONS, params={"show": "all"})).text
    assert page.count("class='list-row'") == 2


async def test_the_whole_form_sent_back_changes_toll_allow_and_nothing_else(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", MCON))
    extension.toll_allow = "local:domestic"
    extension.form = {"description": 'quote " and <b>', "hold_music": "local_stream://default"}
    before = (extension.password, extension.enabled, extension.domain)
    form = await form_of(http, extension)
    assert form.fields["toll_allow"] == "local,domestic"
    page = await post(http, extension, form.fields | {"toll_allow": ""})
    assert "Update Completed" in messages(page.text)
    assert extension.toll_allow == ""
    assert (extension.password, extension.enabled, extension.domain) == before
    assert extension.form["description"] == 'quote " and <b>'
    assert extension.form["hold_music"] == "local_stream://default"
    assert dict(pbx.pbx.commands) == {"cache-delete": 1, "reloadacl": 1}
    await save(http, extension, toll_allow="local,domestic")
    assert extension.toll_allow == "local:domestic"


async def test_a_post_of_few_fields_empties_the_others(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", MCON))
    extension.accountcode, password = "A-1", extension.password
    token = await token_of(http, EDIT, id=extension.uuid)
    await post(http, extension, {"extension": "2112", "toll_allow": "", **token})
    assert extension.password != password
    is_old = pbx.logins.line == "5.5"
    assert (extension.enabled, extension.accountcode) == ((False, "") if is_old else (True, "A-1"))
    assert extension.user_context == ("" if is_old else MCON)


async def test_with_toll_names_toll_allow_is_a_select_that_empties_other_values(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    (await http.put("/_sim/toll-names", json=["domestic", "local,domestic"])).raise_for_status()
    extension = present(pbx.pbx.find_extension("2112", MCON))
    for stored, kept in (("local:domestic", "local:domestic"), ("international", "")):
        extension.toll_allow = stored
        form = await form_of(http, extension)
        offered = [value for value, _ in form.options["toll_allow"]]
        assert offered == ["", "domestic", "local,domestic"]
        await post(http, extension, form.fields)
        assert extension.toll_allow == kept


@pytest.mark.parametrize("right", ["extension_toll", "extension_edit", "extension_password"])
async def test_without_a_right_its_field_is_neither_shown_nor_stored(
    pbx: FusionPbxSimulator, right: str
) -> None:
    key = "key-of-one-who-may-nearly-all-0123456789"
    pbx.pbx.add_user(User("some", MCON, key, "superadmin", without=[right]))
    extension = present(pbx.pbx.find_extension("2112", MCON))
    extension.toll_allow, password = "domestic", extension.password
    async with logged_in(pbx, key) as http:
        form = await form_of(http, extension)
        assert ("toll_allow" in form.fields) == (right != "extension_toll")
        assert ("password" in form.fields) == (right != "extension_password")
        page = await post(http, extension, form.fields | {"toll_allow": "", "description": "x"})
    assert "Update Completed" in messages(page.text), "whatever was written"
    written = right != "extension_edit"
    assert extension.form.get("description", "") == ("x" if written else "")
    assert extension.toll_allow == ("" if right == "extension_password" else "domestic")
    assert extension.password == password


async def test_without_extension_domain_5_5_moves_the_extension_unless_its_domain_was_entered(
    pbx: FusionPbxSimulator,
) -> None:
    key = "key-of-one-who-stays-in-a-domain-0123456789"
    pbx.pbx.add_user(User("some", MCON, key, "superadmin", without=["extension_domain"]))
    extension = present(pbx.pbx.find_extension("2112", RUCKEN))
    async with logged_in(pbx, key) as http:
        await enter(http, pbx, RUCKEN)
        await save(http, extension)
        assert extension.domain == RUCKEN
        await enter(http, pbx, MCON)
        await save(http, extension)
        assert extension.domain == (MCON if pbx.logins.line == "5.5" else RUCKEN)


async def test_with_extension_domain_the_form_itself_names_the_domain(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", RUCKEN))
    await save(http, extension)
    assert extension.domain == RUCKEN


async def test_the_first_save_creates_a_voicemail_box(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", MCON))
    extension.voicemail = False
    await save(http, extension)
    assert extension.voicemail


async def test_a_save_without_token_or_with_the_lies_fault_stores_nothing(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", MCON))
    form = await form_of(http, extension)
    token_name = next(name for name in form.fields if len(name) == 64)
    changed = form.fields | {"description": "x"}
    await post(http, extension, {n: v for n, v in changed.items() if n != token_name})
    assert "description" not in extension.form
    planned = {"kind": "toggle-lies", "value": extension.uuid}
    (await http.post("/_sim/faults", json=planned)).raise_for_status()
    page = await save(http, extension, description="x")
    assert "Update Completed" in messages(page.text)
    assert "description" not in extension.form
    await save(http, extension, description="x")
    assert extension.form["description"] == "x"


# -- calls ------------------------------------------------------------------------------------


async def test_toll_allow_applies_after_the_cache_entry_is_deleted(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    extension = present(pbx.pbx.find_extension("2112", MCON))
    assert can_call(pbx), "no route tests it"
    pbx.pbx.add_route(Route("North America", MCON, toll_allow="domestic"))
    assert not can_call(pbx)
    await save(http, extension, toll_allow="domestic,local")
    assert can_call(pbx)
    extension.toll_allow = ""
    assert can_call(pbx), "cached"
    await save(http, extension, toll_allow="")
    assert not can_call(pbx)
    asked = {"extension": "2112", "domain": MCON}
    for more, allowed in (({"number": "911"}, True), ({"inbound": "1"}, True), ({}, False)):
        answer = (await http.get("/_sim/can-call", params=asked | more)).json()
        assert answer["can_call"] is allowed
    assert can_call(pbx, "2112", RUCKEN), "a route of another tenant"


async def test_the_dialplan_page_shows_the_condition_among_unrelated_options(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    routes = [
        pbx.pbx.add_route(Route("tests", toll_allow="domestic")),
        pbx.pbx.add_route(Route("does not", MCON)),
    ]
    listed = await http.get("/app/dialplans/dialplans.php", params={"show": "all"})
    for route, tests in zip(routes, (True, False), strict=True):
        assert f"dialplan_edit.php?id={route.uuid}" in listed.text
        page = await http.get("/app/dialplans/dialplan_edit.php", params={"id": route.uuid})
        form = Form(page.text)
        kinds = [v for n, v in form.fields.items() if n.endswith("[dialplan_detail_type]")]
        assert ("${toll_allow}" in kinds) is tests
        assert "${toll_allow}" in page.text


async def begin(http: AsyncClient, **spec: bool | str) -> dict[str, Any]:
    call = {"extension": "2112", "domain": MCON, "number": "14165550100", "seconds": 60, **spec}
    answer = await http.post("/_sim/live", json=call)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()[0]
    return found


def listed_calls(html: str) -> list[tuple[list[str], list[str]]]:
    rows = re.findall(r"<tr class='list-row'>.*?</tr>", html, re.DOTALL)
    return [
        (
            re.findall(r"\[uuid\]' value='(.*?)'", row),
            [unescape(cell).strip() for cell in re.findall(r"<td>(.*?)&nbsp;</td>", row)],
        )
        for row in rows
    ]


async def test_a_live_call_is_listed_by_channel_killed_and_recorded(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    mine, other = await begin(http), await begin(http, domain=RUCKEN, bridged=False)
    everything = listed_calls((await http.get(LIVE, params={"show": "all"})).text)
    assert [uuids[0] for uuids, _ in everything] == [
        mine["uuid"],
        mine["other_uuid"],
        other["uuid"],
    ]
    assert everything[0][1][:1] + everything[0][1][2:4] == ["internal", MCON, "2112"]
    assert everything[1][1][0] == "external"
    assert len(listed_calls((await http.get(LIVE)).text)) == 2, "the session's domain"
    answer = await http.get(EXEC, params={"cmd": "uuid_kill", "call_id": mine["uuid"]})
    assert (answer.status_code, answer.text) == (200, "")
    left = listed_calls((await http.get(LIVE, params={"show": "all"})).text)
    assert [uuids[0] for uuids, _ in left] == [other["uuid"]]
    record = pbx.pbx.calls[-1].columns
    assert (record["xml_cdr_uuid"], record["billsec"]) == (mine["uuid"], "60")
    assert (record["direction"], record["destination_number"]) == ("outbound", "14165550100")


async def test_a_call_ends_by_either_channel_and_never_without_the_event_socket(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    call = await begin(http, direction="inbound")
    pbx.pbx.event_socket = False
    order = {"cmd": "uuid_kill", "call_id": call["other_uuid"]}
    answer = await http.get(EXEC, params=order)
    assert (answer.status_code, answer.text) == (200, "")
    assert listed_calls((await http.get(LIVE, params={"show": "all"})).text) == []
    pbx.pbx.event_socket = True
    assert len(listed_calls((await http.get(LIVE, params={"show": "all"})).text)) == 2
    await http.get(EXEC, params=order)
    assert pbx.pbx.live == {}


async def test_what_a_user_sees_of_live_calls_depends_on_rights(pbx: FusionPbxSimulator) -> None:
    for right, key in (
        ("call_active_view", "key-of-one-who-sees-no-call-0123456789"),
        ("call_active_all", "key-of-one-who-sees-its-own-calls-0123456789"),
        ("call_active_hangup", "key-of-one-who-sees-no-uuids-0123456789"),
        ("operator_panel_view", "key-of-one-who-ends-no-call-0123456789"),
    ):
        pbx.pbx.add_user(User(right, MCON, key, "superadmin", without=[right]))
        async with logged_in(pbx, key) as http:
            call = await begin(http, domain=RUCKEN)
            page = (await http.get(LIVE, params={"show": "all"})).text
            await http.get(EXEC, params={"cmd": "uuid_kill", "call_id": call["uuid"]})
            assert (page == "access denied") is (right == "call_active_view")
            rows = listed_calls(page)
            assert bool(rows) is (right in ("call_active_hangup", "operator_panel_view"))
            assert any(uuids for uuids, _ in rows) is (right == "operator_panel_view")
            assert bool(pbx.pbx.live) is (right == "operator_panel_view")
            (await http.delete("/_sim/live")).raise_for_status()
            assert pbx.pbx.live == {}


# -- inventory --------------------------------------------------------------------------------


async def download(http: AsyncClient, path: str, *columns: str) -> list[dict[str, str]]:
    token = await token_of(http, path)
    answer = await http.post(path, data={"column_group[]": list(columns), **token})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_extensions_are_downloaded_as_proper_csv_of_the_session_s_domain(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    path, extension = "/app/extensions/extension_download.php", pbx.pbx.extensions
    first = present(pbx.pbx.find_extension("2112", MCON))
    first.toll_allow, first.caller_name = "local:domestic", 'A "quoted", name\nof two lines'
    columns = ("extension", "enabled", "toll_allow", "effective_caller_id_name", "no_such_column")
    rows = await download(http, path, *columns)
    assert rows[0] == {
        "extension": "2112",
        "enabled": "true",
        "toll_allow": "local:domestic",
        "effective_caller_id_name": first.caller_name,
    }
    assert len(rows) == sum(e.domain == MCON for e in extension.values())
    await enter(http, pbx, RUCKEN)
    assert [row["toll_allow"] for row in await download(http, path, "toll_allow")] == [""]
    refused = await http.post(path, data={"column_group[]": ["extension"]})
    assert refused.status_code == 302


async def test_destinations_are_listed_and_downloaded_with_their_actions(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    pbx.pbx.add_destination(Destination("5195550101", MCON, "2112"))
    pbx.pbx.add_destination(Destination("5195550102", RUCKEN))
    path = "/app/destinations/destinations.php"
    for params, shown in (({"show": "all"}, True), ({}, False)):
        page = (await http.get(path, params=params)).text
        assert "5195550101" in page
        assert ("5195550102" in page) is shown
    columns = ("destination_number", "destination_actions", "destination_enabled")
    rows = await download(http, "/app/destinations/destination_download.php", *columns)
    assert [row["destination_number"] for row in rows] == ["5195550101"]
    assert json.loads(rows[0]["destination_actions"]) == [
        {"destination_app": "transfer", "destination_data": f"2112 XML {MCON}"}
    ]


# -- controls ---------------------------------------------------------------------------------


async def test_the_control_hand_sets_the_state_of_an_element(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    uuid = gateway(pbx).uuid
    for wanted, enabled in (({"enabled": False}, False), ({"enabled": False}, False), ({}, True)):
        hand = {"kind": "gateways", "uuid": uuid, **wanted}
        answer = (await http.post("/_sim/hand", json=hand)).json()
        assert answer["enabled"] is enabled
    extension = present(pbx.pbx.find_extension("2112", MCON))
    hand = {"kind": "extensions", "uuid": extension.uuid, "toll_allow": "local,domestic"}
    (await http.post("/_sim/hand", json=hand)).raise_for_status()
    assert (extension.toll_allow, extension.enabled) == ("local:domestic", True)
    for wrong in ({"kind": "gateways", "uuid": "x"}, {"kind": "calls", "uuid": uuid}):
        assert (await http.post("/_sim/hand", json=wrong)).status_code == 400


async def test_changes_list_each_change_and_its_time(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    uuid = gateway(pbx).uuid
    (await http.post("/_sim/hand", json={"kind": "gateways", "uuid": uuid})).raise_for_status()
    hand = {"kind": "gateways", "uuid": uuid, "live": False}
    (await http.post("/_sim/hand", json=hand)).raise_for_status()
    changes = (await http.get("/_sim/changes")).json()
    assert [(c["what"], c["value"], c["uuid"], c["at"]) for c in changes] == [
        ("enabled", False, uuid, pbx.pbx.now()),
        ("live", False, uuid, pbx.pbx.now()),
    ]
    later = await http.get("/_sim/changes", params={"after": str(changes[0]["number"])})
    assert later.json() == changes[1:]


async def test_the_state_has_flags_live_calls_and_request_counts(
    pbx: FusionPbxSimulator, http: AsyncClient
) -> None:
    await begin(http)
    (await http.delete("/_sim/requests")).raise_for_status()
    for _ in range(3):
        await http.get(GATEWAYS)
    state = (await http.get("/_sim/state")).json()
    assert state["requests"] == {f"GET {GATEWAYS}": 3}
    assert [call["number"] for call in state["live"]] == ["14165550100"]
    assert {(e["toll_allow"], e["enabled"]) for e in state["extensions"]} == {("", True)}
    assert {(g["live"], g["enabled"]) for g in state["gateways"]} == {(True, True)}


async def test_the_switch_costs_are_set_by_name(pbx: FusionPbxSimulator, http: AsyncClient) -> None:
    costs = {"latency_s": 0.01, "row_s": 0.02, "extension_s": 0.03}
    answer = (await http.put("/_sim/switch", json=costs)).json()
    assert answer == {"event_socket": True, **costs}
    for wrong in ({"latency": 1}, {"latency_s": -1}, {"event_socket": "down"}):
        assert (await http.put("/_sim/switch", json=wrong)).status_code == 400
    assert (await http.put("/_sim/switch", json={})).json() == answer
