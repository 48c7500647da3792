"""Which mail an event gives, to whom, and what becomes of it after each answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import SMTPUTF8
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.attempts import Persistence, Reply, decide_fate
from notifier.breaker import Breaker
from notifier.merge_fields import SAMPLE_ACCOUNT
from notifier.notice import (
    Notice,
    is_address,
    low_alert,
    put_into_words,
    would_be_zero_mail,
    zero_mail,
)
from notifier.smtp import Mail, Sender, SmtpServer, compose
from notifier.template_files import load_templates
from ringfence.events.balance import BalanceLow, BalanceZero
from ringfence.events.service import ServiceSuspended

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CAUSE = UUID(int=1)
TEMPLATES = load_templates(None)


def low(**changes: object) -> BalanceLow:
    facts: dict[str, object] = {
        "account_id": "1042",
        "crossing": 2,
        "balance_version": 3,
        "balance_micro": 8_000_000,
        "outstanding_micro": 0,
        "threshold_micro": 15_000_000,
        "currency": "CAD",
        "occurred_at": NOON,
    }
    return BalanceLow.model_validate(facts | changes)


def suspended(**changes: object) -> ServiceSuspended:
    facts: dict[str, object] = {
        "account_id": "1042",
        "service_id": "s-1",
        "server_id": "pbx-1",
        "mode": "auto",
        "cause_id": CAUSE,
        "zero_mail": True,
        "balance_micro": -10_000,
        "outstanding_micro": 16_880_000,
        "currency": "CAD",
        "confirmed_at": NOON,
        "evidence": "enabled: false",
    }
    return ServiceSuspended.model_validate(facts | changes)


def the_zero_mail(**changes: object) -> Notice:
    notice = zero_mail(suspended(**changes), "corr")
    assert notice is not None
    return notice


def test_a_low_alert_tells_the_balance_at_the_crossing() -> None:
    message = put_into_words(low_alert(low(), CAUSE, "corr"), SAMPLE_ACCOUNT, TEMPLATES)
    assert (message.state, message.recipient) == ("pending", "ada@example.net")
    assert "Credit: $8.00" in message.text
    assert "told at: $15" in message.text


def test_each_crossing_has_its_own_alert_and_a_replay_the_same() -> None:
    first, again = low_alert(low(), CAUSE, ""), low_alert(low(), CAUSE, "")
    assert first.message_id == again.message_id
    others = [low_alert(low(), UUID(int=2), ""), low_alert(low(account_id="b"), CAUSE, "")]
    assert first.message_id not in {other.message_id for other in others}


def test_services_that_one_crossing_suspended_share_one_mail() -> None:
    ids = {the_zero_mail(service_id=s).message_id for s in ("s-1", "s-2", "s-3")}
    assert len(ids) == 1
    assert the_zero_mail(cause_id=UUID(int=2)).message_id not in ids
    assert the_zero_mail(account_id="other").message_id not in ids


def test_the_zero_mail_is_named_after_the_hold_and_by_its_cause_where_that_is_not_known() -> None:
    first = the_zero_mail(hold=4)
    again = the_zero_mail(hold=4, cause_id=UUID(int=2), service_id="s-2")
    assert again.message_id == first.message_id
    others = [the_zero_mail(hold=5), the_zero_mail(hold=4, account_id="other"), the_zero_mail()]
    assert first.message_id not in {other.message_id for other in others}


def test_what_a_client_in_shadow_would_get_has_its_words_and_an_id_of_its_own() -> None:
    shadow = replace(SAMPLE_ACCOUNT, mode="shadow")
    zero = BalanceZero(**low().model_dump() | {"reason": "credit", "hold": 4})
    would_be = would_be_zero_mail(zero, CAUSE, "")
    assert would_be is not None
    assert would_be.message_id != the_zero_mail(hold=4).message_id
    for notice in (would_be, low_alert(low(), CAUSE, "")):
        message = put_into_words(notice, shadow, TEMPLATES)
        assert (message.state, message.shadow) == ("skipped", True)
        assert "$8.00" in message.text
    assert would_be_zero_mail(zero.model_copy(update={"mail_owed": False}), CAUSE, "") is None


def test_what_would_not_be_mailed_is_not_said_to_be() -> None:
    for account in (replace(SAMPLE_ACCOUNT, wants_mail=False), replace(SAMPLE_ACCOUNT, email="")):
        shadow = replace(account, mode="shadow")
        message = put_into_words(low_alert(low(), CAUSE, ""), shadow, TEMPLATES)
        assert (message.state, "would" in message.reason) == ("skipped", False)


def test_the_zero_mail_tells_credit_debt_and_threshold() -> None:
    message = put_into_words(the_zero_mail(), SAMPLE_ACCOUNT, TEMPLATES)
    assert "Dear Ada Moreau (Moreau & Daughters)," in message.text
    assert "Credit: $-0.01" in message.text
    assert "Outstanding invoices: $16.88 CAD" in message.text


def test_a_balance_that_nothing_told_is_shown_as_none() -> None:
    message = put_into_words(the_zero_mail(balance_micro=None), SAMPLE_ACCOUNT, TEMPLATES)
    assert "Credit: $0.00" in message.text


def test_no_mail_is_owed_where_the_suspender_says_so() -> None:
    assert zero_mail(suspended(zero_mail=False), "") is None


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (replace(SAMPLE_ACCOUNT, wants_mail=False), "opted out"),
        (replace(SAMPLE_ACCOUNT, email="  "), "no e-mail address"),
        (replace(SAMPLE_ACCOUNT, email="a@b.example, c@d.example"), "can not be one"),
        (replace(SAMPLE_ACCOUNT, email="a@b.example\r\nBcc: x@y.example"), "can not be one"),
    ],
)
def test_who_can_or_will_not_be_written_to_is_skipped(account: object, reason: str) -> None:
    for notice in (low_alert(low(), CAUSE, ""), the_zero_mail()):
        message = put_into_words(notice, account, TEMPLATES)  # type: ignore[arg-type]
        assert message.state == "skipped"
        assert reason in message.reason


def test_a_blank_threshold_stops_the_alert_and_not_the_zero_mail() -> None:
    account = replace(SAMPLE_ACCOUNT, low_balance_threshold="", threshold_micro=None)
    alert = put_into_words(low_alert(low(), CAUSE, ""), account, TEMPLATES)
    assert (alert.state, alert.reason) == ("skipped", "the client has no low balance threshold")
    assert put_into_words(the_zero_mail(), account, TEMPLATES).state == "pending"


def test_without_its_account_a_notice_waits() -> None:
    assert put_into_words(the_zero_mail(), None, TEMPLATES).state == "waiting"


@given(text=st.one_of(st.text(), st.emails(), st.from_regex(r"\A[^@]{1,90}@[^@]{1,90}\Z")))
def test_what_passes_for_an_address_can_be_written_to(text: str) -> None:
    """No address that is let through can break a header, or the mail."""
    if is_address(text):
        mail = Mail(CAUSE, text, "s", "text", "<p>text</p>", NOON)
        content = compose(mail, Sender("billing@example.net", "The Billing"))
        (header,) = message_from_string(content.decode(), policy=SMTPUTF8).get_all("To")
        (address,) = header.addresses
        assert address.username == text.rpartition("@")[0]


def test_a_mail_has_both_parts_and_an_id_made_from_its_own() -> None:
    content = compose(Mail(CAUSE, "a@b.example", "é", "t", "<p>t</p>", NOON), Sender("x@y.example"))
    assert f"<{CAUSE}@y.example>".encode() in content
    assert b"text/plain" in content
    assert b"text/html" in content
    assert b"Date: Thu, 15 Jan 2026 12:00:00 +0000" in content


def test_a_servers_password_is_not_shown() -> None:
    assert "hush" not in repr(SmtpServer("h", 25, user="u", password="hush"))


def fate_of(verdict: str, attempts: int = 1, age_s: float = 0, **persistence: object) -> object:
    return decide_fate(
        Reply(verdict, "451 later"),  # type: ignore[arg-type]
        attempts=attempts,
        created_at=NOON - timedelta(seconds=age_s),
        now=NOON,
        persistence=Persistence(**persistence),  # type: ignore[arg-type]
    ).state


@pytest.mark.parametrize(
    ("attempts", "delay_s"), [(1, 5), (2, 10), (3, 20), (8, 640), (9, 900), (500, 900)]
)
def test_a_deferred_mail_is_tried_after_five_seconds_doubling_to_a_quarter_hour(
    attempts: int, delay_s: int
) -> None:
    fate = decide_fate(
        Reply("deferred", "451"),
        attempts=attempts,
        created_at=NOON,
        now=NOON,
        persistence=Persistence(),
    )
    assert fate.state == "pending"
    assert fate.next_attempt_at - NOON == timedelta(seconds=delay_s)


def test_each_answer_has_its_fate() -> None:
    assert fate_of("accepted") == "sent"
    assert fate_of("refused") == "failed"
    assert fate_of("deferred", age_s=86_400 - 901, attempts=20) == "pending"
    assert fate_of("deferred", age_s=86_400 - 899, attempts=20) == "failed"
    assert fate_of("unknown") == "in-doubt"
    assert fate_of("unknown", resend_in_doubt=True) == "pending"


def test_the_breaker_lets_one_probe_through_and_waits_longer_each_time() -> None:
    breaker, now = Breaker(first_s=1, longest_s=4), NOON
    assert breaker.may_try(now)
    assert breaker.may_try(now)
    waits = []
    for _ in range(5):
        breaker.failed(now)
        assert breaker.is_open
        waits.append((breaker.next_probe_at - now).total_seconds())
        assert not breaker.may_try(breaker.next_probe_at - timedelta(milliseconds=1))
        now = breaker.next_probe_at
        assert breaker.may_try(now)
        assert not breaker.may_try(now), "a second probe while the first has not ended"
    assert waits == [1, 2, 4, 4, 4]
    breaker.worked()
    assert breaker.may_try(now)
    assert breaker.may_try(now)
