"""Outbound routes are read from their list and pages; other pages are known as such."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.fusionpbx.routes import ListedRoute, OutboundRoute, read_route, read_routes
from tests.support.narrow import present

UUID = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


def line(tag: str, kind: str, data: str, number: int = 0) -> str:
    name = f"dialplan_details[{number}]"
    return f"""<select name='{name}[dialplan_detail_tag]'><option value=''></option>
        <option value='{tag}' selected='selected'>{tag}</option></select>
        <select name='{name}[dialplan_detail_type]'>
        <optgroup label='selected'><option value="{kind}">{kind}</option></optgroup>
        <option value='${{toll_allow}}'>${{toll_allow}}</option></select>
        <input name='{name}[dialplan_detail_data]' value="{data}">"""


def page(*lines: str) -> str:
    return f"<form><input name='dialplan_name' value='x'>{''.join(lines)}</form>"


def xml(kind: str) -> str:
    condition = f'&lt;condition field="{kind}" expression="local"/&gt;'
    return f"<textarea name='dialplan_xml'>{condition}</textarea>"


TOLL = line("condition", "${toll_allow}", "international")
NUMBER = line("condition", "destination_number", r"^(\d{11})$", 1)


@pytest.mark.parametrize(
    ("html", "tests"),
    [
        (page(TOLL, NUMBER), True),
        (page(NUMBER), False),
        (page(line("action", "${toll_allow}", "x"), NUMBER), False),
        (page(xml("${toll_allow}")), True),
        (page(xml("context")), False),
    ],
)
def test_only_a_condition_on_toll_allow_counts_not_its_name(html: str, tests: bool) -> None:
    assert read_route(html) == OutboundRoute(tests_toll_allow=tests, is_emergency=False)


@pytest.mark.parametrize("number", ["^(911)$", "(^911$|^933$)", "^112$"])
def test_a_route_for_emergency_numbers_is_recognised(number: str) -> None:
    assert present(read_route(page(line("condition", "destination_number", number)))).is_emergency


def test_the_list_shows_names_and_flags() -> None:
    row = f"<input type='hidden' name='dialplans[0][uuid]' value='{UUID.upper()}'>"
    html = f"""<form id='form_list'><table><tr class='list-header'><th></th><th>Name</th>
        <th>Enabled</th></tr><tr class='list-row'><td>{row}</td><td>Local</td>
        <td><button>True</button></td></tr></table></form>"""
    assert read_routes(html) == (ListedRoute(UUID, "Local", True),)


@given(st.text())
def test_another_page_is_rejected(html: str) -> None:
    assert read_routes(html) is None
    assert read_route(html) is None
