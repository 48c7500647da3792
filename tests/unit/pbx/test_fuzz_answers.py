"""Whatever a PBX or a provider answers, the readers of its pages and documents survive it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.decimal_json import MAX_DEPTH, TOO_DEEP, read_json
from ringfence_pbx.fusionpbx.calls import read_calls
from ringfence_pbx.fusionpbx.destinations import did_of, first_extension, leads_to
from ringfence_pbx.fusionpbx.download import read_download
from ringfence_pbx.fusionpbx.form import read_form
from ringfence_pbx.fusionpbx.pages import find_token, is_denied, is_login_page, is_lost, read_list
from ringfence_pbx.fusionpbx.routes import read_route, read_routes
from ringfence_pbx.fusionpbx.status import count_answers, messages, read_status
from ringfence_pbx.lesnet.orders import PointerNotFound, at_pointer
from ringfence_pbx.vodia.accounts import accounts_of, tenants_of
from tests.support.hostile import EXAMPLES, damaged, documents, nested, survives

PAGE = (
    "<html><body><form method='post'><table class='list'><tr class='list-header'><th>Gateway</th>"
    "<th>Destination</th><th>Enabled</th></tr><tr class='list-row' href='gateway_edit.php?id=1'>"
    "<td class='checkbox'><input type='checkbox' name='gateways[0][checked]' value='true'>"
    "<input type='hidden' name='gateways[0][uuid]' value='297ab33e-2c2f-8196-552c-f3567d2caaf8'>"
    "</td><td><a href='x' title=\"Edit\">carrier</a></td><td>14165550100</td><td><button "
    "type='submit' title='x' onclick=\"list_action_set('toggle');\"><span class='button-label'>"
    "True</span></button></td></tr></table><input type='hidden' name='"
    f"{'0a' * 32}' value='{'f9' * 32}'><select name='a'><option value='1' selected>b</option>"
    "</select><textarea name='dialplan_detail_data[0]'>&#49;&amp;</textarea></form></body></html>"
)
VODIA: dict[str, Any] = {
    "accounts": [{"name": "2112", "alias": ["5484815577"], "disabled": "false", "display": "Ann"}]
}
LESNET: dict[str, Any] = {"status": "ok", "peer": {"state": "enabled", "dids": ["12046664021"]}}


def every_page(html: str) -> None:
    """Every reader of a page of FusionPBX."""
    for kind in ("gateways", "extensions", "domains", "destinations"):
        listed = read_list(html, kind, show_all=kind == "domains")
        for row in listed.rows if listed else ():
            did_of(row)
    form = read_form(html, "a")
    if form is not None:
        form.filled({"a": "2"})
    read_routes(html)
    read_route(html)
    read_calls(html)
    read_status(html)
    readers: tuple[Callable[[str], object], ...] = (
        find_token, is_login_page, is_denied, is_lost, messages, count_answers,
    )  # fmt: skip
    for read in readers:
        read(html)


@EXAMPLES
@given(damaged(PAGE.encode()) | st.binary(max_size=300))
def test_any_page_of_fusionpbx(body: bytes) -> None:
    assert survives(lambda: every_page(body.decode("utf-8", "replace")))


@pytest.mark.parametrize(
    "html",
    ["<div>" * 20_000, "<" * 100_000, "<a " * 50_000, "&#" * 100_000, "<![CDATA[" * 10_000],
    ids=["nested", "open", "attributes", "entities", "sections"],
)
def test_a_page_that_is_made_to_be_slow(html: str) -> None:
    assert survives(lambda: every_page(html))


@EXAMPLES
@given(st.text(max_size=200) | documents({"destination_app": "transfer"}).map(repr))
def test_any_stored_actions(text: str) -> None:
    assert survives(lambda: first_extension(text))
    assert survives(lambda: leads_to(text))


@EXAMPLES
@given(damaged(b'"extension","number_alias"\r\n"2112",""\r\n"2113","x"\r\n'))
def test_any_download_of_fusionpbx(body: bytes) -> None:
    assert survives(lambda: read_download(body.decode("utf-8", "replace"), {"extension"}))


@EXAMPLES
@given(documents(VODIA) | documents(VODIA["accounts"][0]))
def test_any_document_of_vodia(body: bytes) -> None:
    def read() -> None:
        found = read_json(body)
        str(found)
        accounts_of(found)
        tenants_of(found)
        tenants_of([found, found])
        accounts_of([found])

    survives(read, ValueError)


@EXAMPLES
@given(documents(LESNET), st.sampled_from(("/peer/state", "/peer/dids/0", "/~0~1", "", "/a/²")))
def test_any_document_of_lesnet(body: bytes, pointer: str) -> None:
    survives(lambda: at_pointer(read_json(body), pointer), ValueError, PointerNotFound)


@pytest.mark.parametrize("depth", [1, MAX_DEPTH, MAX_DEPTH + 1, 500])
def test_what_is_nested_too_deep_is_replaced_and_the_rest_is_read(depth: int) -> None:
    read = read_json(f'[{{"deep": {nested(depth)}}}, {{"good": 1.5}}]'.encode())
    assert json.dumps(read[1], default=str) == '{"good": "1.5"}'
    assert (TOO_DEEP in json.dumps(read[0])) == (depth > MAX_DEPTH - 2)
