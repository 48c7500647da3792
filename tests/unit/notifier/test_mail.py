"""A rendered mail to a client: layout, both parts, headers, languages, tokens."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.form.layout import Layout, UnsubscribeLinks
from notifier.form.mail import MailFacts, RenderedMail, render
from notifier.form.settings import FormSettings
from notifier.html_text import text_of
from notifier.merge_fields import SAMPLE_ACCOUNT, SAMPLE_FUNDS, ClientAccount
from notifier.template_files import load_catalogue
from ringfence.mail.unsubscribe import VALID_FOR, BadToken, make_token, read_token

KEY = b"a key for tests, long enough"
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PACKAGED = load_catalogue(None)
SEEDS = load_catalogue(Path(__file__).parents[2] / "fixtures" / "mails")
LAYOUT = Layout(
    company="Maple & Voice",
    logo_url="https://example.net/logo.png",
    address="12 King Street",
    signature="Maple\nVoice",
    pay_link="https://billing.example.net/pay?a=1&b=2",
    from_name="",
    reply_to="help@example.net",
    unsubscribe=UnsubscribeLinks("https://billing.example.net/", KEY),
)
NAMES = ("Low Balance Alert", "VoIP Zero Balance", "VoIP Restored")


def mail(
    name: str = "Low Balance Alert",
    account: ClientAccount = SAMPLE_ACCOUNT,
    layout: Layout = LAYOUT,
    *,
    catalogue: object = PACKAGED,
    off: bool = True,
) -> RenderedMail:
    facts = MailFacts(name, account, SAMPLE_FUNDS, NOW, service_is_off=off)
    return render(facts, catalogue, layout)  # type: ignore[arg-type]


def words(text: str) -> list[str]:
    """Words and addresses, without the punctuation beside links that only one part has."""
    return re.findall(r"[\w$%&/?=.:-]*\w", re.sub(r"-- \n|[()]", " ", text))


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", NAMES)
def test_the_plain_part_says_all_that_the_html_part_says(name: str, language: str) -> None:
    account = replace(SAMPLE_ACCOUNT, language=language)
    for catalogue in (PACKAGED, SEEDS):
        found = mail(name, account, replace(LAYOUT, logo_url=""), catalogue=catalogue)
        plain = set(words(found.text))
        assert set(words(text_of(found.html))) - plain == set()
        assert "https://billing.example.net/unsubscribe/" in found.text
        assert ("pay?a=1&b=2" in found.text) == (name != "VoIP Restored")


def test_a_mail_can_be_read_without_pictures_and_without_a_style_sheet() -> None:
    found = mail()
    assert '<img src="https://example.net/logo.png" alt="Maple &amp; Voice"' in found.html
    assert found.html.count("<img") == 1
    assert re.search(
        r'<a href="https://billing.example.net/pay\?a=1&amp;b=2" style="[^"]+', found.html
    )
    assert re.search(r'<td class="words" style="[^"]*padding', found.html)
    assert "<script" not in found.html
    assert '<html lang="en">' in found.html


def test_headers_have_reply_to_and_one_click_unsubscription() -> None:
    found = mail()
    link = found.headers["List-Unsubscribe"].strip("<>")
    assert link.startswith("https://billing.example.net/unsubscribe/")
    assert read_token(link.rpartition("/")[2], KEY, NOW) == "1042"
    assert html.escape(link) in found.html
    assert found.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found.headers["Reply-To"] == "help@example.net"
    assert found.from_name == "Maple & Voice"
    assert mail(layout=replace(LAYOUT, from_name="Billing")).from_name == "Billing"
    assert mail(account=replace(SAMPLE_ACCOUNT, cc=("b@example.net",))).cc == ("b@example.net",)


def test_a_mail_without_a_layout_is_complete_and_says_how_to_unsubscribe() -> None:
    found = mail(layout=Layout())
    assert found.headers == {}
    assert "reply and ask us to turn them off" in found.text
    assert "Add funds" not in found.html


def test_a_mail_is_in_the_clients_language_or_the_default_one() -> None:
    french = mail(account=replace(SAMPLE_ACCOUNT, language="fr-CA"))
    assert french.subject.startswith("Solde bas")
    assert "Crédit : 8,00\xa0$\n" in french.text.replace("\u202f", "\xa0")
    assert '<html lang="fr">' in french.html
    assert "Ajouter des fonds" in french.html
    german = mail(account=replace(SAMPLE_ACCOUNT, language="de"))
    assert german.subject.startswith("Low Balance Alert")


def test_no_mail_says_that_the_service_is_off_while_it_is_on() -> None:
    off, on = mail("VoIP Zero Balance"), mail("VoIP Zero Balance", off=False)
    assert "switched off for now" in off.text
    assert "is switched off" not in on.text + on.subject
    assert "Calls will be switched off" in on.text
    seed = mail("VoIP Zero Balance", catalogue=SEEDS, off=False)
    assert "not Active" not in seed.text
    assert "not Active" in mail("VoIP Zero Balance", catalogue=SEEDS).text


def test_a_template_that_is_a_whole_document_is_left_as_it_is(tmp_path: Path) -> None:
    whole = "<!doctype html><html><body><p>{$client_name}</p></body></html>"
    for name in ("Low Balance Alert", "VoIP Zero Balance"):
        (tmp_path / f"{name}.html").write_text(whole)
    found = mail(catalogue=load_catalogue(tmp_path))
    assert found.html.count("<html") == 1
    assert "Maple" not in found.html


@given(
    name=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    template=st.sampled_from(NAMES),
    off=st.booleans(),
)
def test_no_name_breaks_a_mail_or_injects_a_part(name: str, template: str, off: bool) -> None:
    account = replace(SAMPLE_ACCOUNT, first_name=name, last_name="", company_name="")
    plain = mail(template, replace(account, first_name="x"), off=off)
    found = mail(template, account, off=off)
    assert found.subject == plain.subject
    assert found.html.count("<") == plain.html.count("<")
    assert found.headers == plain.headers


@given(text=st.text(max_size=300), at=st.integers(0, 10**6))
def test_a_token_contains_its_account_and_no_other_text_is_valid(text: str, at: int) -> None:
    account = "".join(c for c in text if c.isalnum()) or "a"
    token = make_token(account, KEY, NOW + timedelta(seconds=at))
    assert read_token(token, KEY, NOW + timedelta(seconds=at)) == account
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token)
    with pytest.raises(BadToken):
        read_token(text, KEY, NOW)


def test_forged_changed_and_old_tokens_are_invalid() -> None:
    token = make_token("anna", KEY, NOW)
    other = make_token("otto", KEY, NOW)
    for bad in (
        make_token("anna", b"the key of somebody else", NOW),
        other.partition(".")[0] + "." + token.partition(".")[2],
        token[:-1],
        f"{token}A",
    ):
        with pytest.raises(BadToken, match="not made by us"):
            read_token(bad, KEY, NOW)
    assert read_token(token, KEY, NOW + VALID_FOR) == "anna"
    for late in (VALID_FOR + timedelta(seconds=1), -timedelta(days=2)):
        with pytest.raises(BadToken, match="too old"):
            read_token(token, KEY, NOW + late)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("NOTIFIER_COLOUR", "red", "hexadecimal"),
        ("NOTIFIER_PAY_LINK", "javascript:alert(1)", "https://"),
        ("NOTIFIER_LOGO_URL", 'https://x/"onerror=', "https://"),
        ("NOTIFIER_LANGUAGE", "klingon", "such as en"),
        ("NOTIFIER_REPLY_TO", "a@b, c@d", "one bare mail address"),
        ("NOTIFIER_OPERATOR_TIME_ZONE", "Mars/Olympus", "America/Toronto"),
        ("NOTIFIER_PUBLIC_URL", "https://b.example.net", "unsubscribe_key"),
        ("UNSUBSCRIBE_KEY", "short", "at least 16"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"RINGFENCE_{variable}", value)
    with pytest.raises(ValidationError, match=said):
        FormSettings()


def test_settings_make_the_layout_and_no_key_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("a key for tests, long enough\n")
    monkeypatch.setenv("RINGFENCE_UNSUBSCRIBE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("RINGFENCE_NOTIFIER_PUBLIC_URL", "https://b.example.net")
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SIGNATURE", r"Maple\nVoice")
    layout = FormSettings().layout()
    assert layout.unsubscribe == UnsubscribeLinks("https://b.example.net", KEY)
    assert layout.signature == "Maple\nVoice"
    assert "long enough" not in repr(layout) + repr(FormSettings())
