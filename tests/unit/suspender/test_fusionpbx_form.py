"""Reading a form as a browser does, and sending it back whole."""

import re
from html import escape

from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.fusionpbx.form import read_form
from tests.support.narrow import present

TOKEN = f"<input type='hidden' name='{'0a' * 32}' value='{'f9' * 32}'>"


def form(*fields: str) -> str:
    return f"<form id='other'><input name='q'></form><form method='post'>{''.join(fields)}</form>"


def pairs(*fields: str, having: str = "a", **changes: str) -> list[tuple[str, str]]:
    return present(read_form(form("<input name='a' value='1'>", *fields), having)).filled(changes)[
        1:
    ]


def test_every_kind_of_field_is_sent_as_it_is_shown() -> None:
    assert pairs(
        "<input type='hidden' name='h' value='&lt;&quot;&amp;'>",
        "<input name='plain'>",
        "<input type='checkbox' name='c1' checked><input type='checkbox' name='c2' value='x'>",
        "<input type='radio' name='r' value='1'><input type='radio' name='r' value='2' checked>",
        "<textarea name='t'>\nline 1\nline 2</textarea>",
        "<select name='s'><option value='x'>X</option><option value='y' selected>Y</select>",
        "<select name='m[]' multiple><option selected>one</option><option>two</option>"
        "<option selected value='3'>three</option></select>",
    ) == [
        ("h", '<"&'),
        ("plain", ""),
        ("c1", "on"),
        ("r", "2"),
        ("t", "line 1\nline 2"),
        ("s", "y"),
        ("m[]", "one"),
        ("m[]", "3"),
    ]


def test_what_a_browser_does_not_send_is_not_sent() -> None:
    assert (
        pairs(
            "<input value='no name'>",
            "<input name='d' disabled value='x'>",
            "<input type='submit' name='b' value='Save'><button name='b2'>Save</button>",
            "<input type='file' name='f'><select name='m[]' multiple><option>x</option></select>",
        )
        == []
    )


def test_a_list_without_selection_has_its_first_option_and_is_marked() -> None:
    found = present(
        read_form(form("<select name='s'><option value='1'>a<option value='2'>b</select>"), "s")
    )
    assert present(found.find("s")).value == "1"
    assert not present(found.find("s")).chosen
    assert present(found.find("s")).options == ["1", "2"]
    assert present(read_form(form("<select name='s'></select>"), "s")).filled({}) == [("s", "")]


def test_only_the_changed_field_is_changed() -> None:
    fields = ["<input name='toll_allow' value='x'>", TOKEN, "<input name='z' value='9'>"]
    assert pairs(*fields, toll_allow="") == [
        ("toll_allow", ""),
        ("0a" * 32, "f9" * 32),
        ("z", "9"),
    ]


def test_the_form_is_the_one_that_has_the_field() -> None:
    assert present(read_form(form("<input name='a'>"), "q")).filled({}) == [("q", "")]
    assert read_form(form("<input name='a'>"), "b") is None
    assert read_form("<input name='a'>", "a") is None
    assert not present(read_form(form("<input name='a'>"), "a")).has_token
    assert present(read_form(form("<input name='a'>", TOKEN), "a")).has_token


@given(st.dictionaries(st.text("abcxyz_[]0", min_size=1), st.text(), max_size=8))
def test_any_values_are_read_back_unchanged(values: dict[str, str]) -> None:
    values = {name: re.sub(r"\r|\x00", "", value) for name, value in values.items()}
    fields = [
        f'<input name="{escape(name)}" value="{escape(value)}">' for name, value in values.items()
    ]
    if values:
        assert present(read_form(form(*fields), next(iter(values)))).filled({}) == list(
            values.items()
        )


@given(
    st.text("<>/&;#![]'\"= \nabcdefinoprstux0123456789")
    | st.binary().map(lambda b: b.decode("latin-1"))
)
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    read_form(form("<input name='a'>", text), "a")
