"""Templates in WHMCS's syntax: each supported form, each error, and rendering that never raises."""

import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.merge_fields import (
    MERGE_FIELDS,
    SAMPLE_ACCOUNT,
    SAMPLE_FUNDS,
    THRESHOLD,
    ClientAccount,
    ClientFunds,
    MailContext,
    custom_field,
    merge_values,
)
from notifier.template import LONGEST, parse_template, render, warnings
from notifier.template_files import load_catalogue, load_templates
from notifier.words.catalogue import TEMPLATE_NAMES
from notifier.words.values import MergeValues
from ringfence_contracts.errors import BadInput

SEEDS = Path(__file__).parents[2] / "fixtures" / "mails"
NOON = datetime(2026, 1, 15, 17, 0, tzinfo=UTC)
VALUES = merge_values(
    SAMPLE_ACCOUNT,
    SAMPLE_FUNDS,
    MailContext(company_name="Maple & Voice", signature="M\nV", at=NOON),
)


def rendered(body: str, values: MergeValues = VALUES) -> str:
    accepted = parse_template("Low Balance Alert", f"Subject: s\n\n{body}")
    return render(accepted, values).text.rstrip("\n")


def values_of(
    *,
    credit_micro: int = 8_000_000,
    threshold_micro: int | None = 15_000_000,
    currency: str = "CAD",
    language: str = "",
) -> MergeValues:
    account = replace(SAMPLE_ACCOUNT, threshold_micro=threshold_micro, language=language)
    return merge_values(account, ClientFunds(credit_micro, 16_880_000, currency))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{$client_credit}", "8.00"),
        ("${$client_credit}", "$8.00"),
        (f"${{${THRESHOLD}}}.00", "$15.00"),
        (f"{{${THRESHOLD}}}.00", "15.00"),
        (f"{{${THRESHOLD}}}", "15"),
        ("{$client_due_invoices_balance}", "$16.88 CAD"),
        ("${$client_due_invoices_balance}", "$16.88 CAD"),
        ("{ $client_credit }", "{ $client_credit }"),
        ("{\t$client_credit}", "{\t$client_credit}"),
        ("a {} b } c {", "a {} b } c {"),
        ("$client_credit", "$client_credit"),
        ("{$client_id}{$client_id}", "10421042"),
        ("{$client_id}.00", "1042.00"),
        ("${$client_id}", "$1042"),
        ("{$client_credit }", "8.00"),
        ("{$company_name}", "Maple & Voice"),
        ("{$signature}", "M\nV"),
        ("{$date}, {$time}", "January 15, 2026, 12:00\u202fp.m. EST"),
    ],
)
def test_fields_render_as_in_whmcs(body: str, expected: str) -> None:
    assert rendered(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{$client_company_name|default:'you'}", "you"),
        ('{$client_company_name|default:"it\'s you"}', "it's you"),
        ("{$client_first_name|default:'you'}", "Ada"),
        (f"${{${THRESHOLD}|default:'none'}}.00", "none"),
        (f"${{${THRESHOLD}|default:'0'}}.00", "$0.00"),
        ("{$client_first_name|upper}", "ADA"),
        ("{$client_first_name|lower|capitalize|escape|trim}", "Ada"),
        ("{$client_custom_field_shoesize|default:'?'}", "?"),
        ("a{* {$anything} {if} *}b", "ab"),
        ("{literal}p {color:red}{/literal}", "p {color:red}"),
        ("{ldelim}$x{rdelim}", "{$x}"),
        ("{if $client_id}yes{/if}", "yes"),
        ("{if $client_company_name}{$client_company_name}{else}none{/if}", "none"),
        ("{if $client_credit <= 0}a{elseif $client_credit < 10}b{else}c{/if}", "b"),
        ("{if $client_credit <= 0}a{else if $client_credit < 8}b{else}c{/if}", "c"),
        ("{if !$client_company_name}1{/if}", "1"),
        ("{if not $client_company_name and $client_id eq '1042'}1{/if}", "1"),
        ("{if $client_id == '7' or ($client_credit gte 8 && $client_id)}1{/if}", "1"),
        ("{if empty($client_company_name)}1{/if}", "1"),
        ("{if isset($client_id)}1{/if}", "1"),
        ("{if $client_first_name == 'Ada'}{if $client_id neq 3}in{/if}{/if}", "in"),
        ("{if true}1{/if}{if false}2{/if}{if null}3{/if}", "1"),
        ("{if $client_due_invoices_balance > 16.87}owes{/if}", "owes"),
        (f"{{if ${THRESHOLD}}}1{{else}}off{{/if}}", "off"),
        ("a\n{if $client_id}\nb\n{/if}\nc", "a\nb\nc"),
        ("a\n  {* note *}\nb", "a\nb"),
    ],
)
def test_each_known_form_of_smarty(body: str, expected: str) -> None:
    account = replace(SAMPLE_ACCOUNT, company_name="", threshold_micro=None)
    assert rendered(body, merge_values(account, SAMPLE_FUNDS)) == expected


@pytest.mark.parametrize(
    "tag",
    [
        "{$client_crédit}",
        "{$client_phone}",
        "{$Client_Id}",
        "{$client_credit|number_format:2}",
        "{$client_credit|default}",
        "{$client_credit|upper:1}",
        "{$client_credit|default:$client_id}",
        '{$client_credit|default:"$client_id"}',
        "{$client_credit|default:`ls`}",
        "{$client.credit}",
        "{$client_credit->x()}",
        "{$client_credit[0]}",
        "{$smarty.now}",
        "{$smarty.server.PATH}",
        "{foreach $client_id as $x}",
        "{php}echo 1;{/php}",
        "{include file='/etc/passwd'}",
        "{math equation='1'}",
        "{assign var='a' value='b'}",
        "{eval var=$client_id}",
        "{/if}",
        "{else}",
        "{elseif $client_id}",
        "{if system('ls')}x{/if}",
        "{if $client_phone}x{/if}",
        "{if $client_id ==}x{/if}",
        "{if}x{/if}",
        "{if ($client_id}x{/if}",
        "{if $client_id $client_id}x{/if}",
        "{if $client.id}x{/if}",
        "{if \"$client_id\" == 'a'}x{/if}",
        "{if $client_id}x",
        "{if $client_id}a{else}b{else}c{/if}",
        "{if $client_id}a{else}b{elseif $client_id}c{/if}",
        "{* a comment",
        "{literal}x",
        "{{$client_credit}}",
        "{color:red}",
        "{\u00a0$client_credit}",
        "{$}",
        "{$client_credit",
        "{'text'}",
        "{if " + "(" * 100 + "1" + ")" * 100 + "}x{/if}",
        "{if 1}" * 100,
    ],
)
def test_unknown_syntax_and_fields_are_rejected_with_line_and_alternatives(
    tag: str,
) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_template("VoIP Zero Balance", f"Subject: s\n\nfirst\nsecond {tag} end")
    assert "'VoIP Zero Balance', line 4" in str(refusal.value)
    assert refusal.value.expected


def test_the_error_for_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="client_due_invoices_balance"):
        parse_template("x", "{$client_balance}")


def test_the_sample_templates_render_byte_for_byte() -> None:
    catalogue = load_catalogue(SEEDS)
    low = render(catalogue.template("Low Balance Alert", ""), VALUES)
    assert "Account# 1042 is: 8.00\n" in low.text
    assert low.text.count("set at $15.00\n") == 1
    zero = render(catalogue.template("VoIP Zero Balance", ""), values_of(credit_micro=-40_000))
    assert "Credit Balance: -$0.04\n" in zero.text
    assert "Outstanding Balance: $16.88 CAD\n" in zero.text
    assert "Low Balance Threshold: $15.00\n" in zero.text
    link = "https://www.ictvoip.ca/clientarea.php?action=addfunds"
    assert f'<a href="{link}">{link}</a>' in zero.html
    assert not any(warnings(catalogue.template(name, "")) for name in TEMPLATE_NAMES)


@pytest.mark.parametrize(
    ("currency", "language", "threshold_micro", "credit", "threshold"),
    [
        ("GBP", "en", 15_000_000, "£8.00", "£15.00"),
        ("EUR", "en", 15_500_000, "€8.00", "€15.50"),
        ("CAD", "en", 15_500_000, "$8.00", "$15.50"),
        ("CAD", "en", 1_500_000_000, "$8.00", "$1,500.00"),
        ("CAD", "fr", 15_000_000, "8,00\xa0$", "15,00\xa0$"),
        ("EUR", "fr", 15_000_000, "8,00\xa0€", "15,00\xa0€"),
        ("USD", "fr-CA", 15_000_000, "8,00\xa0$\xa0US", "15,00\xa0$\xa0US"),
        ("JPY", "en", 15_000_000, "¥8", "¥15"),
        ("CHF", "en", 15_000_000, "CHF\xa08.00", "CHF\xa015.00"),
        ("CAD", "en", None, "$8.00", "off"),
        ("CAD", "en", 125_000, "$8.00", "$0.125"),
        ("ZZZ", "xx", 15_000_000, "ZZZ\xa08.00", "ZZZ\xa015.00"),
    ],
)
def test_the_sample_templates_are_correct_for_every_currency_language_and_threshold(
    currency: str, language: str, threshold_micro: int | None, credit: str, threshold: str
) -> None:
    zero = load_catalogue(SEEDS).template("VoIP Zero Balance", "")
    values = values_of(currency=currency, language=language, threshold_micro=threshold_micro)
    text = render(zero, values).text
    assert f"Credit Balance: {credit}\n" in text
    assert f"Low Balance Threshold: {threshold}\n" in text


@pytest.mark.parametrize(
    ("micro", "credit", "debt"),
    [
        (0, "$0.00", "$0.00 CAD"),
        (1, "$0.00", "$0.01 CAD"),
        (-1, "-$0.01", "$0.00 CAD"),
        (1_499_999_999, "$1,499.99", "$1,500.00 CAD"),
        (10**15, "$1,000,000,000.00", "$1,000,000,000.00 CAD"),
    ],
)
def test_a_credit_is_never_shown_larger_nor_a_debt_smaller_than_it_is(
    micro: int, credit: str, debt: str
) -> None:
    values = merge_values(SAMPLE_ACCOUNT, ClientFunds(micro, micro, "CAD"))
    assert rendered("${$client_credit}", values) == credit
    assert rendered("{$client_due_invoices_balance}", values) == debt


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("${$client_credit}.50", 1),
        ("$ {$client_credit}", 1),
        ("{$client_credit} CAD", 1),
        ("{$client_credit}$", 1),
        ("{$client_credit} €", 1),
        ("US${$client_credit}", 1),
        ("$${$client_credit}", 1),
        ("<b>$</b>{$client_credit}", 1),
        ("&pound;{$client_credit}", 1),
        ("${$client_id}", 1),
        ("{if $client_id}$ {$client_credit}{/if}", 1),
        ("{$client_custom_field_shoesize}", 1),
        (f"${{${THRESHOLD}}}. 00", 0),
        (f"${{${THRESHOLD}}}.00", 0),
        ("${$client_due_invoices_balance}", 0),
        ("${$client_credit}. Bye", 0),
        ("{$client_custom_field_ccauthonfile}", 0),
    ],
)
def test_each_part_that_will_look_wrong_has_a_warning(body: str, count: int) -> None:
    found = warnings(parse_template("x", f"Subject: s\n\na\n{body}"))
    assert len(found) == count, found
    assert all(warning.startswith("line 4: ") for warning in found)


def test_a_body_without_a_subject_gets_the_configured_one() -> None:
    assert render(parse_template("x", "Hello", subject="For {$client_id}"), VALUES).subject == (
        "For 1042"
    )
    assert render(parse_template("x", "Subject: own\nHello", subject="set"), VALUES).subject == (
        "own"
    )
    assert render(parse_template("VoIP Restored", "Hello"), VALUES).subject == "VoIP Restored"


def test_own_templates_get_the_subject_of_the_setting_or_the_language() -> None:
    low = load_catalogue(SEEDS).template("Low Balance Alert", "")
    assert render(low, VALUES).subject == "Low Balance Alert: your calling credit is running low"
    set_by_operator = load_catalogue(SEEDS, subjects={"Low Balance Alert": "Top up, {$client_id}"})
    low = set_by_operator.template("Low Balance Alert", "")
    assert render(low, VALUES).subject == "Top up, 1042"


@pytest.mark.parametrize("source", ["Subject: s", "Subject: s\n\n \n", "", "Subject: s\n\na\x00b"])
def test_a_template_without_text_is_refused(source: str) -> None:
    with pytest.raises(BadInput):
        parse_template("Low Balance Alert", source)


def test_a_template_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadInput, match="at most"):
        parse_template("x", "a" * (LONGEST + 1))


def test_a_subject_takes_fields_and_stays_one_line() -> None:
    accepted = parse_template("x", "subject: For {$client_first_name}\r\nbody\r\n")
    words = render(accepted, VALUES | {"client_first_name": "Ada\r\nBcc: all@example.net\x07"})
    assert words.subject == "For Ada Bcc: all@example.net"


def test_values_are_escaped_in_html_and_plain_in_the_plain_part() -> None:
    plain = parse_template("x", "Subject: s\n\nDear {$client_name},\nyes\n\nBye")
    words = render(plain, VALUES | {"client_name": 'A <b> & "C"'})
    assert words.text == 'Dear A <b> & "C",\nyes\n\nBye\n'
    assert words.html == "<p>Dear A &lt;b&gt; &amp; &quot;C&quot;,<br>\nyes</p>\n<p>Bye</p>\n"


def test_a_template_pasted_as_html_gets_a_readable_plain_part() -> None:
    source = (
        "Subject: s\n\n<style>p { color: red }</style><p>Dear {$client_name},</p>\n"
        '<p>Top up <a href="https://example.net/add?a=1&amp;b=2">here</a>.'
        "<br />Bye &amp; thanks</p><table><tr><th>Credit:</th><td>{$client_credit}</td></tr>"
        "</table><p>{$signature}</p>"
    )
    words = render(parse_template("x", source), VALUES | {"client_name": "<i>A</i> & B"})
    assert "<p>Dear &lt;i&gt;A&lt;/i&gt; &amp; B,</p>" in words.html
    assert "<p>M<br>\nV</p>" in words.html
    assert words.text == (
        "Dear <i>A</i> & B,\n\nTop up here (https://example.net/add?a=1&b=2).\nBye & thanks\n\n"
        "Credit: 8.00\n\nM\nV\n"
    )


@pytest.mark.parametrize("typed", ["{$client_email}", "{if true}x{/if}", "{php}", "{literal}"])
@pytest.mark.parametrize("body", ["Dear {$client_name}", "<p>Dear {$client_name}</p>"])
def test_client_data_is_never_parsed_as_a_template(typed: str, body: str) -> None:
    words = render(parse_template("x", body), VALUES | {"client_name": typed})
    assert words.text == f"Dear {typed}\n"
    assert f"Dear {typed}" in words.html


def test_only_addresses_that_the_template_writes_become_links() -> None:
    plain = parse_template("x", "See https://pay.example.net/?id={$client_id}. From {$client_name}")
    words = render(
        plain, VALUES | {"client_name": "https://evil.example.net", "client_id": '7"><b'}
    )
    assert words.html.count("<a ") == 1
    assert '<a href="https://pay.example.net/?id=7">https://pay.example.net/?id=7</a>' in words.html
    assert "From https://evil.example.net" in words.html


@given(
    value=st.text(st.characters(exclude_characters="\x00")),
    markup=st.sampled_from(["<p>{}</p>", '<a href="{}">x</a>', "<td>{}<br>"]),
)
def test_no_value_becomes_an_element_of_an_html_template(value: str, markup: str) -> None:
    accepted = parse_template("x", "Subject: s\n\n" + markup.format("{$client_name}"))
    words = render(accepted, VALUES | {"client_name": value})
    bare = markup.format("")
    assert words.html.count("<") == bare.count("<")
    assert words.html.count('"') == bare.count('"')


pieces = st.sampled_from(
    [
        "{$client_credit}", "{$client_name|default:'x'}", "$", ".00", "{if $client_id}",
        "{else}", "{/if}", "{elseif $client_credit > 1}", "{*", "*}", "{literal}", "{/literal}",
        "<p>", "</p>", "<![", "<!--", "<a href='", "&#", "&lt;",
        "\n", "\r\n", " ", "{", "}", "Subject: ",
        "https://a.b/", "<html>", "<style>", "</style>", "<table>", "\u202e", "\ud7ff", "{ldelim}",
    ]
)  # fmt: skip
sources = st.lists(pieces | st.text(string.printable, max_size=5), max_size=25).map("".join)


@given(source=sources, name=st.text(max_size=20))
@example(source="<p><![x", name="")
@example(source="<![CDATA[<p>", name="<![")
def test_no_valid_template_and_no_value_raises_while_rendering(source: str, name: str) -> None:
    """A template that loads can be rendered with any values; any other is rejected at loading."""
    try:
        accepted = parse_template("x", source)
    except BadInput:
        return
    for values in (VALUES | {"client_name": name}, values_of(credit_micro=-1), {}):
        words = render(accepted, values)
        assert words.subject
        assert "\n" not in words.subject
        warnings(accepted)


def test_merge_values_have_the_forms_that_templates_rely_on() -> None:
    account = ClientAccount(
        "42", 1, "Ada", "Moreau", "", "a@example.net", True, " $12.5 ", 12_500_000
    )
    account = replace(account, custom_fields={"CC-Auth on File 2": "yes"})
    values = merge_values(account, ClientFunds(8_009_999, 16_880_000, "CAD"))
    assert values["client_name"] == "Ada Moreau"
    assert values["client_custom_field_ccauthonfile2"] == "yes"
    assert rendered(f"{{${THRESHOLD}}}", values) == "12.50"
    assert VALUES["client_name"] == "Ada Moreau (Moreau & Daughters)"


def test_a_custom_fields_name_keeps_lower_case_letters_and_digits() -> None:
    assert custom_field("Low Balance Threshold") == THRESHOLD
    assert custom_field("CC-Auth on File 2") == "client_custom_field_ccauthonfile2"


def test_every_packaged_template_of_every_language_is_accepted_without_a_warning() -> None:
    languages = load_catalogue(None).languages
    assert set(languages) == {"en", "fr"}
    for language in languages.values():
        assert set(language.templates) == set(TEMPLATE_NAMES)
        for accepted in language.templates.values():
            assert warnings(accepted) == []
            assert render(accepted, dict.fromkeys(MERGE_FIELDS, "x")).text


def _folder(path: Path, **files: str) -> Path:
    for name in ("Low Balance Alert", "VoIP Zero Balance"):
        (path / f"{name}.html").write_text("Subject: s\n\n<p>{$client_name}</p>")
    for name, text in files.items():
        (path / name.replace("_", " ").replace("0", ".")).write_text(text)
    return path


def test_own_templates_are_loaded_by_name_and_language_with_any_suffix(
    tmp_path: Path,
) -> None:
    folder = _folder(tmp_path, Low_Balance_Alert0fr0tpl="Bonjour", VoIP_Restored="Back")
    catalogue = load_catalogue(folder)
    words = {
        (name, code): render(catalogue.template(name, code), VALUES).text
        for name in TEMPLATE_NAMES
        for code in ("en", "fr-CA", "de")
    }
    assert words["Low Balance Alert", "fr-CA"] == "Bonjour\n"
    assert words["Low Balance Alert", "de"] == "Ada Moreau (Moreau & Daughters)\n"
    assert words["VoIP Restored", "en"] == "Back\n"
    assert "Merci de votre paiement" in words["VoIP Restored", "fr-CA"]
    assert "Votre crédit" not in words["VoIP Zero Balance", "en"]


def test_a_missing_or_duplicate_template_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Low Balance Alert"):
        load_templates(tmp_path)
    _folder(tmp_path, Low_Balance_Alert="Subject: s\n\nb")
    with pytest.raises(BadInput, match="exactly one file"):
        load_templates(tmp_path)


GERMAN = """
[words]
name = "Deutsch"
off = "aus"
add_funds = "Guthaben aufladen"
reason = "Sie erhalten diese Nachricht, weil Sie bei uns telefonieren."
unsubscribe = "Abbestellen"
unsubscribe_by_reply = "Antworten Sie, um keine weiteren Nachrichten zu erhalten."
"""


def _german(**bodies: str) -> str:
    tables = [
        f"[templates.\"{name}\"]\nsubject = 'Betreff'\nbody = '''{bodies.get(name[:3], 'Hallo')}'''"
        for name in TEMPLATE_NAMES
    ]
    return GERMAN + "\n".join(tables)


def test_another_language_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text(_german(Low="Guthaben ${$client_credit}"))
    catalogue = load_catalogue(tmp_path)
    words = render(
        catalogue.template("Low Balance Alert", "de"), values_of(currency="EUR", language="de")
    )
    assert words.text == "Guthaben 8,00\xa0€\n"
    assert catalogue.language("de-AT").words["off"] == "aus"
    assert load_catalogue(tmp_path, language="de").language("xx").code == "de"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("de", GERMAN, "templates"),
        ("de", _german().replace("off = ", "of = "), "off"),
        ("de", _german().replace("VoIP Restored", "Restored"), "VoIP Restored"),
        ("de", _german(Low="{$guthaben}"), "line 1"),
        ("de", "x = [", "TOML"),
        ("zz", _german(), "language's code"),
    ],
)
def test_an_incomplete_language_file_is_rejected_by_name(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / f"{name}.toml").write_text(content)
    with pytest.raises(BadInput, match=said):
        load_catalogue(tmp_path)


def test_an_unknown_default_language_is_rejected() -> None:
    with pytest.raises(BadInput, match="en, fr"):
        load_catalogue(None, language="de")
