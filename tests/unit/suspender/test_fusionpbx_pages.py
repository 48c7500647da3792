"""Reading FusionPBX's pages; the snippets are shaped like those of 5.0 to 5.6."""

import pytest

from ringfence_pbx.fusionpbx.pages import (
    find_token,
    gateway_name,
    is_denied,
    is_login_page,
    is_lost,
    read_list,
)
from ringfence_pbx.fusionpbx.status import read_status
from tests.support.narrow import present

A = "297ab33e-2c2f-8196-552c-f3567d2caaf8"
B = "e68d9689-2769-e013-28fa-6214bf47fca3"
NAME, VALUE = "0a" * 32, "f9" * 32


def row(
    number: int, uuid: str, name: str, label: str, *, domain: str = "", before: str = ""
) -> str:
    button = (
        f'<button type=\'submit\' alt="{label}" title="x" onclick="list_self_check(\'checkbox_'
        f"{number}'); list_action_set('toggle');\" class='btn btn-link'>"
        f"<span class='button-label  '>{label}</span></button>"
    )
    return (
        f"<tr class='list-row' href='gateway_edit.php?id={uuid}'>\n\t<td class='checkbox'>"
        f"<input type='checkbox' name='gateways[{number}][checked]' value='true'>"
        f"<input type='hidden' name='gateways[{number}][uuid]' value='{uuid}' /></td>\n"
        f"{f'<td>{domain}</td>' if domain else ''}"
        f"<td><a href='gateway_edit.php?id={uuid}' title=\"Edit\">{name}</a>\t</td>{before}"
        f"<td class='no-link center'>{button if label else ''}</td><td>True&nbsp;</td></tr>\n"
    )


def page(*rows: str, token: str = f"<input type='hidden' name='{NAME}' value='{VALUE}'>") -> str:
    return (
        "<form id='form_search'><input type='text' name='search'></form>"
        "<form id='form_list' method='post'><input type='hidden' name='action' value=''>"
        f"<table class='list'><tr class='list-header'><th>x</th></tr>{''.join(rows)}</table>"
        f"{token}</form>"
    )


def test_rows_and_token_are_read_from_a_list() -> None:
    found = present(
        read_list(page(row(0, A, "Trunk &amp; Co", "True"), row(1, B, "B", "False")), "gateways")
    )
    assert [(r.uuid, r.name, r.enabled) for r in found.rows] == [
        (A, "Trunk & Co", True),
        (B, "B", False),
    ]
    assert (present(found.token).name, present(found.token).value) == (NAME, VALUE)


def test_a_gateways_other_button_is_not_taken_for_its_flag() -> None:
    stop = "<td>Running</td><td><button><span>Stop</span></button></td><td>REGED</td>"
    found = present(read_list(page(row(0, A, "T", "False", before=stop)), "gateways"))
    assert found.rows[0].enabled is False


@pytest.mark.parametrize("label", ["", "Wahr", "Verdadero"])
def test_a_flag_that_cannot_be_switched_or_read_is_unknown(label: str) -> None:
    assert present(read_list(page(row(0, A, "T", label)), "gateways")).rows[0].enabled is None


def test_with_all_tenants_the_domain_precedes_the_name() -> None:
    html = page(row(0, A, "2112", "True", domain="a.example.com"))
    assert present(read_list(html, "gateways", show_all=True)).rows[0].domain == "a.example.com"


def test_rows_of_another_kind_are_ignored() -> None:
    assert present(read_list(page(row(0, A, "T", "True")), "extensions")).rows == ()


def test_a_login_page_is_no_list_even_with_a_token() -> None:
    html = (
        "<form><input type='text' name='username'><input type='password' name='password'>"
        f"<input type='hidden' name='{NAME}' value='{VALUE}'></form>"
    )
    assert is_login_page(html)
    assert read_list(html, "gateways") is None
    assert present(find_token(html)).name == NAME


@pytest.mark.parametrize("hidden", [("path", "0a" * 32), (NAME, "short"), (NAME, "zz" * 32)])
def test_only_a_name_and_value_of_64_hexadecimal_digits_are_a_token(
    hidden: tuple[str, str],
) -> None:
    html = f"<input type='hidden' name='{hidden[0]}' value='{hidden[1]}'>"
    assert find_token(html) is None


@pytest.mark.parametrize(
    ("location", "lost"),
    [
        ("/?path=%2Fapp%2Fgateways%2Fgateways.php", True),
        ("login.php", True),
        ("/logout.php", True),
        ("gateways.php", False),
        ("/core/dashboard/", False),
        ("sip_status.php?x=1", False),
    ],
)
def test_redirects_to_the_login_are_recognised(location: str, lost: bool) -> None:
    assert is_lost(location) is lost


def test_access_denied_counts_only_as_the_whole_page() -> None:
    assert is_denied("access denied\n")
    assert not is_denied("<p>access denied</p>")


def status_row(*cells: str, action: str = "") -> str:
    return f"<tr class='list-row'>{''.join(f'<td>{c}</td>' for c in cells)}<td>{action}</td></tr>"


def stop(uuid: str, action: str = "killgw") -> str:
    return f"<a href='cmd.php?profile=external&amp;gateway={uuid}&amp;action={action}'>Stop</a>"


PROFILE = status_row("external", "Profile", "sip:mod_sofia@192.0.2.1:5080", "RUNNING (0)")


def said(text: str, mood: str = "alert", quote: str = "'") -> str:
    return f"<script>display_message({quote}{text}{quote}, '{mood}', '3000');</script>"


def test_live_gateways_are_those_that_can_be_stopped() -> None:
    found = read_status(
        PROFILE
        + status_row("Trunk A@x", "Gateway", "sip:a", "TRYING", action=stop(A.upper()))
        + status_row("Trunk B@x", "Gateway", "sip:b", "REGED", action=stop(B, "other"))
        + f"<a href='/app/gateways/gateway_edit.php?id={B}'>B</a>"
    )
    assert found.gateways == {A: "TRYING"}
    assert found.profiles == ("external",)
    assert found.reached


def test_an_alias_is_not_a_profile() -> None:
    alias = status_row("a.example.com", "alias", "internal", "ALIASED")
    assert not read_status(alias).reached


def test_in_another_language_a_profile_is_recognised_by_its_state() -> None:
    assert read_status(PROFILE.replace("Profile", "Profil de SIP")).reached


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<div id='sofia_status'><table class='list'><tr class='list-header'></tr></table></div>",
        PROFILE + said("Connection to Event Socket failed.", "negative"),
        PROFILE + "<strong>Connection to Event Socket failed.<br /></strong>",
        status_row("Trunk A@x", "Gateway", "sip:a", "REGED", action=stop(A)),
    ],
)
def test_without_a_profile_or_with_a_failure_the_switch_was_not_reached(html: str) -> None:
    assert not read_status(html).reached


@pytest.mark.parametrize("quote", ["'", '"'])
def test_answers_of_the_switch_are_distinguished_from_other_messages(quote: str) -> None:
    both = "&lt;strong&gt;external&lt;/strong&gt; +OK scan complete&lt;br/&gt;-ERR it\\'s gone\\n"
    found = read_status(PROFILE + said("Toggled", "positive") + said(both, quote=quote))
    assert found.answers == ("external +OK scan complete", "-ERR it's gone")


def test_an_answer_that_was_not_escaped_for_html_reads_the_same() -> None:
    found = read_status(PROFILE + said("<strong>external</strong> Invalid Profile [x]"))
    assert found.answers == ("external Invalid Profile [x]",)


def test_a_function_of_that_name_is_not_a_message() -> None:
    html = "<script>function display_message(msg, mood) { x('+OK'); }</script>"
    assert read_status(html).answers == ()


def test_the_name_is_read_from_a_gateways_form() -> None:
    html = "<input class='formfld' type='text' name='gateway' value=\"Trunk &amp; Co\">"
    assert gateway_name(html) == "Trunk & Co"
    assert gateway_name(html.replace("Trunk &amp; Co", "")) == ""
    assert gateway_name(page(row(0, A, "T", "True"))) is None


@pytest.mark.parametrize(
    "odd", ["<![x[", "<![if !IE]>", "<!", "<?", f"&#{'9' * 5000};", "</", "&#x"]
)
def test_invalid_markup_is_ignored(odd: str) -> None:
    assert [
        r.uuid for r in present(read_list(page(row(0, A, "T", "True")) + odd, "gateways")).rows
    ] == [A]
