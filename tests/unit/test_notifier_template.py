"""Templates: Smarty's variables, nothing else of it, and mails that hold whatever clients type."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from notifier.command import template as template_command
from notifier.merge_fields import (
    MERGE_FIELDS,
    SAMPLE_ACCOUNT,
    SAMPLE_FUNDS,
    Account,
    Funds,
    custom_field,
    merge_values,
)
from notifier.smtp import Mail, Sender, compose
from notifier.template import parse_template, render, warnings
from notifier.template_files import TEMPLATE_NAMES, load_templates
from ringfence.errors import BadInput

THRESHOLD = "client_custom_field_lowbalancethreshold"
UUID_OF_TEST = UUID(int=7)
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
VALUES = merge_values(SAMPLE_ACCOUNT, SAMPLE_FUNDS)


def rendered(body: str, **values: str) -> str:
    accepted = parse_template("Low Balance Alert", f"Subject: s\n\n{body}")
    return render(accepted, VALUES | values).text.rstrip("\n")


@pytest.mark.parametrize(
    ("body", "values", "expected"),
    [
        ("{$client_credit}", {"client_credit": "8.00"}, "8.00"),
        ("${$client_credit}", {"client_credit": "8.00"}, "$8.00"),
        (f"${{${THRESHOLD}}}.00", {THRESHOLD: "15"}, "$15.00"),
        (f"${{${THRESHOLD}}}.00", {THRESHOLD: "12.50"}, "$12.50.00"),
        ("{ $client_credit }", {}, "{ $client_credit }"),
        ("{\t$client_credit}", {}, "{\t$client_credit}"),
        ("a {} b } c {", {}, "a {} b } c {"),
        ("$client_credit", {}, "$client_credit"),
        ("{$client_id}{$client_id}", {"client_id": "7"}, "77"),
        ("{$client_credit}", {"client_credit": "{$client_id}"}, "{$client_id}"),
    ],
)
def test_smartys_variables_render_as_in_smarty(
    body: str, values: dict[str, str], expected: str
) -> None:
    assert rendered(body, **values) == expected


@pytest.mark.parametrize(
    "tag",
    [
        "{$client_crédit}",
        "{$client_phone}",
        "{$Client_Id}",
        "{$client_credit|upper}",
        "{$client_credit }",
        "{$client.credit}",
        "{if $client_credit}",
        "{/if}",
        "{* a comment *}",
        "{literal}",
        "{{$client_credit}}",
        "{color:red}",
        "{\u00a0$client_credit}",
        "{$}",
        "{$client_credit",
    ],
)
def test_other_syntax_and_unknown_fields_are_refused_with_template_line_and_what_is_known(
    tag: str,
) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_template("VoIP Zero Balance", f"Subject: s\n\nfirst\nsecond {tag} end")
    assert "'VoIP Zero Balance', line 4" in str(refusal.value)
    assert "{$client_due_invoices_balance}" in refusal.value.expected


@pytest.mark.parametrize(
    ("source", "line"),
    [("Hello\n\nbody", "line 1"), ("Subject:\n\nbody", "line 1"), ("Subject: {$x}\n\nb", "line 1")],
)
def test_a_subject_is_wanted_and_checked(source: str, line: str) -> None:
    with pytest.raises(BadInput, match=line):
        parse_template("Low Balance Alert", source)


@pytest.mark.parametrize("source", ["Subject: s", "Subject: s\n\n \n", "Subject: s\n\na\x00b"])
def test_a_template_without_text_is_refused(source: str) -> None:
    with pytest.raises(BadInput):
        parse_template("Low Balance Alert", source)


def test_a_subject_takes_fields_and_stays_one_line() -> None:
    accepted = parse_template("x", "subject: For {$client_first_name}\r\nbody\r\n")
    words = render(accepted, VALUES | {"client_first_name": "Ada\r\nBcc: all@example.net\x07"})
    assert words.subject == "For Ada Bcc: all@example.net"


def test_values_are_escaped_in_html_and_plain_in_the_plain_part() -> None:
    plain = parse_template("x", "Subject: s\n\nDear {$client_name},\nyes\n\nBye")
    words = render(plain, VALUES | {"client_name": 'A <b> & "C"'})
    assert words.text == 'Dear A <b> & "C",\nyes\n\nBye\n'
    assert words.html == ("<p>Dear A &lt;b&gt; &amp; &quot;C&quot;,<br>\nyes</p>\n<p>Bye</p>\n")


def test_a_template_pasted_as_html_gets_a_readable_plain_part() -> None:
    source = (
        "Subject: s\n\n<style>p { color: red }</style><p>Dear {$client_name},</p>\n"
        '<p>Top up <a href="https://example.net/add?a=1&amp;b=2">here</a>.'
        "<br />Bye &amp; thanks</p>"
    )
    words = render(parse_template("x", source), VALUES | {"client_name": "<i>A</i> & B"})
    assert "<p>Dear &lt;i&gt;A&lt;/i&gt; &amp; B,</p>" in words.html
    assert words.text == (
        "Dear <i>A</i> & B,\n\nTop up here (https://example.net/add?a=1&b=2).\nBye & thanks\n"
    )


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (f"${{${THRESHOLD}}}.00", 1),
        ("{$client_credit}.00", 1),
        ("{$client_due_invoices_balance}.50", 1),
        ("${$client_due_invoices_balance}", 1),
        ("${$client_due_invoices_balance}.00", 2),
        (f"${{${THRESHOLD}}}. 00", 0),
        ("${$client_credit}. Bye", 0),
    ],
)
def test_decimals_or_signs_written_twice_earn_a_warning(body: str, count: int) -> None:
    found = warnings(parse_template("x", f"Subject: s\n\na\n{body}"))
    assert len(found) == count
    assert all(warning.startswith("line 4: ") for warning in found)


@given(values=st.fixed_dictionaries({name: st.text() for name in MERGE_FIELDS}))
def test_no_values_break_a_mail_or_escape_from_its_text(values: dict[str, str]) -> None:
    """Whatever clients type, both templates render, and become one well-formed mail."""
    values = {name: value.replace("\x00", "") for name, value in values.items()}
    for accepted in load_templates(None).values():
        words = render(accepted, values)
        assert "\n" not in words.subject
        bare = words.html
        for ours in ("<p>", "</p>", "<br>"):
            bare = bare.replace(ours, "")
        assert "<" not in bare
        mail = Mail(
            message_id=UUID_OF_TEST,
            recipient="ada@example.net",
            subject=words.subject,
            text=words.text,
            html=words.html,
            written_at=NOON,
        )
        assert compose(mail, Sender("billing@example.net")).isascii()


@given(value=st.text(), markup=st.sampled_from(["<p>{}</p>", '<a href="{}">x</a>', "<td>{}<br>"]))
def test_no_value_becomes_an_element_of_an_html_template(value: str, markup: str) -> None:
    accepted = parse_template("x", "Subject: s\n\n" + markup.format("{$client_name}"))
    words = render(accepted, VALUES | {"client_name": value})
    bare = markup.format("")
    assert words.html.count("<") == bare.count("<")
    assert words.html.count('"') == bare.count('"')


def test_merge_values_have_the_forms_that_templates_rely_on() -> None:
    account = Account("42", 1, "Ada", "Moreau", "", "a@example.net", True, " $12.5 ", 12_500_000)
    values = merge_values(account, Funds(8_009_999, 16_880_000, "CAD"))
    assert values["client_name"] == "Ada Moreau"
    assert values["client_credit"] == "8.00"
    assert values["client_due_invoices_balance"] == "$16.88 CAD"
    assert values[THRESHOLD] == " $12.5 "
    assert VALUES["client_name"] == "Ada Moreau (Moreau & Daughters)"


@pytest.mark.parametrize(
    ("debt_micro", "currency", "expected"),
    [
        (0, "CAD", "$0.00 CAD"),
        (1, "USD", "$0.01 USD"),
        (1_500_000_000, "EUR", "€1500.00 EUR"),
        (10_000, "CHF", "0.01 CHF"),
    ],
)
def test_a_debt_is_never_shown_smaller_than_it_is(
    debt_micro: int, currency: str, expected: str
) -> None:
    shown = merge_values(SAMPLE_ACCOUNT, Funds(0, debt_micro, currency))
    assert shown["client_due_invoices_balance"] == expected


def test_a_custom_fields_name_keeps_lower_case_letters_and_digits() -> None:
    assert custom_field("Low Balance Threshold") == THRESHOLD
    assert custom_field("CC-Auth on File 2") == "client_custom_field_ccauthonfile2"


def test_the_packaged_templates_are_accepted_without_a_warning() -> None:
    for name, accepted in load_templates(None).items():
        assert accepted.name == name
        assert warnings(accepted) == []


def _folder(path: Path, **files: str) -> Path:
    for name in TEMPLATE_NAMES:
        (path / f"{name}.html").write_text("Subject: s\n\n<p>{$client_name}</p>")
    for name, text in files.items():
        (path / name.replace("_", " ")).write_text(text)
    return path


def test_operators_files_are_loaded_by_name_whatever_their_ending(tmp_path: Path) -> None:
    assert set(load_templates(_folder(tmp_path))) == set(TEMPLATE_NAMES)


def test_a_missing_or_doubled_template_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Low Balance Alert"):
        load_templates(tmp_path)
    _folder(tmp_path, Low_Balance_Alert="Subject: s\n\nb")
    with pytest.raises(BadInput, match="exactly one file"):
        load_templates(tmp_path)


def test_the_check_command_shows_a_template_with_sample_values(tmp_path: Path) -> None:
    file = tmp_path / "Low Balance Alert.tpl"
    file.write_text(f"Subject: For {{$client_id}}\n\nat ${{${THRESHOLD}}}.00 <b>now</b>")
    result = CliRunner().invoke(template_command, ["check", str(file), "--html"])
    assert result.exit_code == 0
    assert "Subject: For 1042" in result.output
    assert "at $15.00 now" in result.output
    assert "<b>now</b>" in result.output
    assert "line 3" in result.stderr


def test_the_check_command_refuses_what_the_service_would(tmp_path: Path) -> None:
    file = tmp_path / "Low Balance Alert.tpl"
    file.write_text("Subject: s\n\n{$client_credit|upper}")
    result = CliRunner().invoke(template_command, ["check", str(file)])
    assert isinstance(result.exception, BadInput)
