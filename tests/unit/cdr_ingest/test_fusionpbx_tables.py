"""Parsing FusionPBX pages: live calls, destinations, downloads, answers to commands."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.fusionpbx.calls import read_calls
from ringfence_pbx.fusionpbx.destinations import Did, did_of, first_extension, leads_to
from ringfence_pbx.fusionpbx.download import read_download
from ringfence_pbx.fusionpbx.pages import is_login_page, read_list
from ringfence_pbx.fusionpbx.status import count_answers, messages, read_status
from tests.support.narrow import present

A = "297ab33e-2c2f-8196-552c-f3567d2caaf8"
B = "e68d9689-2769-e013-28fa-6214bf47fca3"
ODD = st.text("<>/&;#![]'\"= \nabcdehilnorstuw0123456789", max_size=60)


def table(headings: list[str], *rows: str) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(f"<tr class='list-row'>{row}</tr>" for row in rows)
    return (
        f"<form id='form_list'><table><tr class='list-header'>{head}</tr>{body}</table>"
        f"<input type='hidden' name='{'0a' * 32}' value='{'f9' * 32}'></form>"
    )


def cells(*texts: str) -> str:
    return "".join(f"<td>{text}&nbsp;</td>" for text in texts)


def box(kind: str, uuid: str, number: int = 0) -> str:
    return (
        f"<td class='checkbox'><input type='checkbox' name='{kind}[{number}][checked]'>"
        f"<input type='hidden' name='{kind}[{number}][uuid]' value='{uuid}'></td>"
    )


CALLS = ["", "Profile", "Created", "Domain", "Number", "CID Name", "CID Number", "Destination"]
CALLS += ["App", "Codec"]


def call(
    uuid: str,
    domain: str,
    number: str,
    caller: str,
    destination: str,
    app: str = "",
    name: str = "Ada",
) -> str:
    cell = cells("internal", "2026", domain, number, name, caller, destination, app, "PCMU")
    return box("calls", uuid) + cell


def test_live_calls_are_read_leg_by_leg() -> None:
    found = present(
        read_calls(table(CALLS, call(A.upper(), "A.example.com", "101", "101", "14165550100")))
    )
    (leg,) = found.channels
    assert (leg.uuid, leg.domain, leg.number) == (A, "a.example.com", "101")
    assert (leg.cid_number, leg.destination) == ("101", "14165550100")
    assert not leg.is_emergency


def test_columns_are_found_by_their_headings() -> None:
    narrow = ["Profile", "Number", "Destination"]
    (leg,) = present(read_calls(table(narrow, cells("internal", "101", "911")))).channels
    assert (leg.uuid, leg.domain, leg.number, leg.destination) == ("", "", "101", "911")
    assert leg.is_emergency


@pytest.mark.parametrize(
    "row",
    [
        call(A, "a", "101", "101", "911"),
        call(A, "a", "911", "101", "x"),
        call(A, "a", "101", "911", "101"),
        call(A, "a", "101", "101", "9 911"),
        call(A, "a", "101", "101", "14165550100", "bridge:sofia/gateway/x/911"),
    ],
)
def test_an_emergency_number_in_any_cell_is_found(row: str) -> None:
    assert present(read_calls(table(CALLS, row))).channels[0].is_emergency


@pytest.mark.parametrize("number", ["14169110100", "91101", "19995551112", "1911555"])
def test_emergency_digits_within_a_longer_number_do_not_count(number: str) -> None:
    row = call(A, "a", "101", "4169110112", number, "bridge:sofia/external/14169115550")
    assert not present(read_calls(table(CALLS, row))).channels[0].is_emergency


@pytest.mark.parametrize("html", ["", "access denied", "<p>x</p>", table(["Name"], cells("x"))])
def test_another_page_is_not_a_list_of_calls(html: str) -> None:
    assert read_calls(html) is None


DIDS = ["", "Domain", "Type", "Prefix", "Number", "Actions", "Enabled", "Description"]


def did(*texts: str) -> Did | None:
    html = table(DIDS, box("destinations", A) + cells(*texts))
    (row,) = present(read_list(html, "destinations", show_all=True)).rows
    return did_of(row)


def test_a_did_is_read_with_its_extension() -> None:
    found = present(
        did("a.example.com", "Inbound", "+1", "(416) 555-0100", "transfer:101 XML a", "True", "x")
    )
    assert (found.number, found.domain, found.leads_to) == ("14165550100", "a.example.com", "101")
    assert (found.enabled, found.description, found.uuid) == (True, "x", A)


def test_a_disabled_did_and_rows_that_are_no_did() -> None:
    assert present(did("a", "Inbound", "", "100", "", "False", "")).enabled is False
    assert present(did("a", "Inbound", "", "100", "", "Wahr", "")).enabled is None
    assert did("a", "Outbound", "", "100", "", "True", "") is None
    assert did("a", "Inbound", "", "none", "", "True", "") is None


@pytest.mark.parametrize(
    ("stored", "extension"),
    [
        ('[{"destination_app": "transfer", "destination_data": "101 XML a.example.com"}]', "101"),
        ('[{"destination_app":"lua","destination_data":"x"},'
         '{"destination_app":"transfer","destination_data":"102 XML a"}]', "102"),
        ('[{"destination_app": "transfer", "destination_data": "*99101 XML a"}]', ""),
        ('[{"destination_app": "transfer"}]', ""),
        ("", ""), ("[]", ""), ("null", ""), ("7", ""), ("{", ""), ('["x"]', ""), ("[" * 9000, ""),
    ],
)  # fmt: skip
def test_the_extension_is_read_from_stored_actions(stored: str, extension: str) -> None:
    assert first_extension(stored) == extension


def test_the_extension_is_read_from_a_shown_action() -> None:
    assert leads_to("101") == "101"
    assert leads_to("Extension 102") == "102"
    assert leads_to("Ring group sales") == ""


NEEDED = ("extension_uuid", "extension", "toll_allow")


def written(*rows: tuple[str, str, str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


VALUES = st.text().filter(lambda t: "\r" not in t and "\x00" not in t)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=5))
def test_any_values_are_read_from_a_download(rows: list[tuple[str, str, str]]) -> None:
    found = read_download(written(NEEDED, *rows), NEEDED)
    assert [tuple(row.values()) for row in present(found)] == rows


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "extension,toll_allow\n1,2\n",
        "extension_uuid,extension,toll_allow\na,b\n",
        "extension_uuid,extension,toll_allow\na,b,c",
        'extension_uuid,extension,toll_allow\na,b,"c\n',
        "Fatal error: x\n",
    ],
)
def test_an_incomplete_download_is_refused(text: str) -> None:
    assert read_download(text, NEEDED) is None


def test_a_domain_without_extensions_has_an_empty_download() -> None:
    assert read_download("\n", NEEDED) == []


def message_script(text: str) -> str:
    return f"<script>display_message('{text}', 'positive', '7000');</script>"


@pytest.mark.parametrize("line_break", ["&lt;br&gt;", "&lt;br/&gt;", "<br />", "\\n"])
def test_equal_answers_are_counted_separately(line_break: str) -> None:
    """Two trunks may have one name: counted once, the flag of one would be unknown."""
    one = "&lt;strong&gt;Trunk&lt;/strong&gt;: +OK gateway marked for deletion."
    html = message_script(
        line_break.join(["Gateway Stopped", one, one, "X: -ERR no such gateway."])
    )
    assert count_answers(html) == 3
    assert len(messages(html)) == 4
    assert len(read_status(html).answers) == 2, "the status has each answer once"


def test_very_many_answers_are_counted() -> None:
    names = (f"&lt;strong&gt;{'x' * 200} {n}&lt;/strong&gt;: +OK done" for n in range(400))
    assert count_answers(message_script("&lt;br&gt;".join(names))) == 400


def test_the_sip_profile_that_runs_a_gateway_is_read() -> None:
    link = f"cmd.php?profile=my%20profile&amp;gateway={A}&amp;action=killgw"
    row = f"{cells('Trunk@x', 'Gateway', 'sip:x', 'REGED')}<td><a href='{link}'>Stop</a></td>"
    found = read_status(table(["Name"], row))
    assert found.profile_of == {A: "my profile"}
    assert found.names == {A: "Trunk@x"}


def test_the_running_state_and_registration_of_a_gateway_are_read() -> None:
    def gateway(number: int, uuid: str, button: str, state: str, flag: str) -> str:
        action = f"<button type='submit'>{button}</button>" if button else "&nbsp;"
        return (
            f"{box('gateways', uuid, number)}<td><a href='gateway_edit.php?id={uuid}'>T</a></td>"
            f"<td>x</td><td>{action}</td><td>{state}</td><td><button>{flag}</button></td>"
        )

    html = table(
        ["", "Gateway", "Status", "Action", "State", "Enabled"],
        gateway(0, A, "Stop", "REGED", "True"),
        gateway(1, B, "Start", "&nbsp;", "True"),
        gateway(2, A.replace("2", "3"), "", "&nbsp;", "False"),
    )
    rows = present(read_list(html, "gateways")).rows
    assert [(row.running, row.state, row.enabled) for row in rows] == [
        (True, "REGED", True),
        (False, "", True),
        (None, "", False),
    ]


@pytest.mark.parametrize("name", ["gateway", "extension", "extension_uuid"])
def test_a_form_with_a_sip_password_is_not_the_login_page(name: str) -> None:
    """Otherwise each read of it would cause a new login, and then a refusal."""
    password = "<input type='password' name='password'>"
    assert is_login_page(f"<form><input name='username'>{password}</form>")
    assert not is_login_page(f"<form><input type='hidden' name='{name}'>{password}</form>")


@given(ODD, ODD)
def test_any_text_in_a_page_is_tolerated(one: str, other: str) -> None:
    html = table(CALLS, call(A, one, other, one, other)) + one + message_script(other) + other
    read_calls(html)
    read_calls(one)
    count_answers(html)
    read_status(html)
    read_download(one + "\n" + other, NEEDED)
    leads_to(one)
    first_extension(other)
    page = read_list(html, "destinations", show_all=True)
    for row in page.rows if page else ():
        did_of(row)


def test_an_overlong_character_reference_is_tolerated_everywhere() -> None:
    """Python refuses to convert so many digits."""
    endless = f"&#{'9' * 5000};"
    link = f"cmd.php?profile={endless}&gateway={A}&action=killgw"
    row = f"{cells(endless, 'Gateway', endless, endless)}<td><a href='{link}'>x</a></td>"
    html = table(["Name"], row) + message_script(f"{endless} +OK")
    assert set(read_status(html).gateways) == {A}
    assert count_answers(html) == 1
    assert present(read_calls(table(CALLS, call(A, endless, endless, endless, endless)))).channels
