"""Which mail an event queues, whether it is still true, and its outcome after each reply."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import SMTPUTF8
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.form.mail import RenderedMail
from notifier.merge_fields import SAMPLE_ACCOUNT, ClientFunds
from notifier.owed.decision import (
    IN_SHADOW,
    BalanceWatchState,
    ConsumedState,
    DecisionFacts,
    DecisionRules,
    Drop,
    Send,
    Wait,
    decide_mail,
    funds_of,
)
from notifier.owed.notice import (
    MailNotice,
    low_alert,
    reminder,
    would_be_zero_mail,
    zero_mail,
    zero_mail_to_come,
)
from notifier.sending.attempts import Reply, RetryPolicy, decide_outcome
from notifier.sending.breaker import SmtpBreaker
from notifier.sending.mime import Mail, Sender, compose
from notifier.sending.smtp import SmtpServer
from ringfence.mail.address import is_mail_address
from ringfence_contracts.events.balance import BalanceLow, BalanceZero
from ringfence_contracts.events.service import ServiceSuspended
from tests.support.narrow import present

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CAUSE = UUID(int=1)
RULES = DecisionRules()


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


def the_alert(**changes: object) -> MailNotice:
    return low_alert(low(**changes), CAUSE, "corr")


def zero(**changes: object) -> BalanceZero:
    return BalanceZero.model_validate(
        low().model_dump() | {"reason": "credit", "hold": 4} | changes
    )


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


def the_zero_mail(**changes: object) -> MailNotice:
    notice = zero_mail(suspended(**changes), "corr")
    assert notice is not None
    return notice


def test_each_stay_has_its_own_alert_and_a_replay_the_same() -> None:
    first = low_alert(low(stay=7), CAUSE, "")
    again = low_alert(low(stay=7, crossing=9), UUID(int=2), "")
    assert first.message_id == again.message_id
    others = [low_alert(low(stay=8), CAUSE, ""), low_alert(low(stay=7, account_id="b"), CAUSE, "")]
    assert first.message_id not in {other.message_id for other in others}
    assert reminder(first, 1, NOON).message_id != reminder(first, 2, NOON).message_id


def test_the_id_of_an_alert_without_a_stay_number_is_derived_from_its_event() -> None:
    first, again = low_alert(low(), CAUSE, ""), low_alert(low(), CAUSE, "")
    assert first.message_id == again.message_id
    assert low_alert(low(), UUID(int=2), "").message_id != first.message_id


def test_services_that_one_crossing_suspended_share_one_mail() -> None:
    ids = {the_zero_mail(service_id=s).message_id for s in ("s-1", "s-2", "s-3")}
    assert len(ids) == 1
    assert the_zero_mail(cause_id=UUID(int=2)).message_id not in ids
    assert the_zero_mail(account_id="other").message_id not in ids


def test_the_id_of_a_zero_mail_is_derived_from_its_hold_or_else_its_cause() -> None:
    first = the_zero_mail(hold=4)
    again = the_zero_mail(hold=4, cause_id=UUID(int=2), service_id="s-2")
    to_come = zero_mail_to_come(zero(), CAUSE, "")
    assert to_come is not None
    assert first.message_id == again.message_id == to_come.message_id
    others = [the_zero_mail(hold=5), the_zero_mail(hold=4, account_id="other"), the_zero_mail()]
    assert first.message_id not in {other.message_id for other in others}


def test_no_zero_mail_is_queued_for_an_opening_balance_or_an_unnumbered_hold() -> None:
    assert zero_mail_to_come(zero(mail_owed=False), CAUSE, "") is None
    assert zero_mail_to_come(zero(hold=0), CAUSE, "") is None


def test_the_would_be_mail_of_a_client_in_shadow_has_an_id_of_its_own() -> None:
    shadow = DecisionFacts(replace(SAMPLE_ACCOUNT, mode="shadow"))
    would_be = would_be_zero_mail(zero(), CAUSE, "")
    assert would_be is not None
    assert would_be.message_id != the_zero_mail(hold=4).message_id
    for notice in (would_be, the_alert()):
        outcome = decide_mail(notice, shadow, NOON, RULES)
        assert isinstance(outcome, Drop)
        assert (outcome.reason, outcome.shadow) == (IN_SHADOW, True)
    assert would_be_zero_mail(zero(mail_owed=False), CAUSE, "") is None


def test_no_would_be_mail_is_recorded_if_none_would_be_sent() -> None:
    for account in (replace(SAMPLE_ACCOUNT, wants_mail=False), replace(SAMPLE_ACCOUNT, email="")):
        outcome = decide_mail(
            the_alert(), DecisionFacts(replace(account, mode="shadow")), NOON, RULES
        )
        assert isinstance(outcome, Drop)
        assert "would" not in outcome.reason


def test_no_mail_is_queued_if_the_suspender_excludes_it() -> None:
    assert zero_mail(suspended(zero_mail=False), "") is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": "  "}, "no e-mail address"),
        ({"email": "a@b.example, c@d.example"}, "cannot be one"),
        ({"email": "a@b.example\r\nBcc: x@y.example"}, "cannot be one"),
        ({"email": "a..b@x.com"}, "cannot be one"),
    ],
)
def test_a_mail_without_an_address_waits_for_one(changes: dict[str, str], reason: str) -> None:
    facts = DecisionFacts(replace(SAMPLE_ACCOUNT, **changes))  # type: ignore[arg-type]
    for notice in (the_alert(), the_zero_mail()):
        outcome = decide_mail(notice, facts, NOON, RULES)
        assert isinstance(outcome, Wait)
        assert reason in outcome.reason
        assert outcome.until is None


def test_a_client_who_opts_in_again_gets_the_dropped_mail() -> None:
    outcome = decide_mail(
        the_alert(), DecisionFacts(replace(SAMPLE_ACCOUNT, wants_mail=False)), NOON, RULES
    )
    assert outcome == Drop("the client opted out of mail", again=True)


def test_a_blank_threshold_stops_the_alert_and_not_the_zero_mail() -> None:
    account = replace(SAMPLE_ACCOUNT, low_balance_threshold="", threshold_micro=None)
    alert = decide_mail(the_alert(), DecisionFacts(account), NOON, RULES)
    assert alert == Drop("the client has no low balance threshold")
    assert decide_mail(the_zero_mail(), DecisionFacts(account), NOON, RULES) == Send()


def test_a_mail_waits_for_its_account() -> None:
    assert isinstance(decide_mail(the_zero_mail(), DecisionFacts(None), NOON, RULES), Wait)


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (ConsumedState("ok", 3), "rose above the threshold"),
        (ConsumedState("low", 3), "later alert"),
        (ConsumedState("exhausted", 3, zero_crossing=3), "reached zero"),
        (ConsumedState("ok", 5, zero_crossing=3), "reached zero"),
    ],
)
def test_an_alert_is_dropped_after_any_later_crossing(read: ConsumedState, reason: str) -> None:
    outcome = decide_mail(the_alert(), DecisionFacts(SAMPLE_ACCOUNT, read), NOON, RULES)
    assert isinstance(outcome, Drop)
    assert reason in outcome.reason
    assert (
        decide_mail(the_alert(crossing=6), DecisionFacts(SAMPLE_ACCOUNT, read), NOON, RULES)
        == Send()
    )


def owner(level: str, version: int = 3, hold: int = 4) -> BalanceWatchState:
    return BalanceWatchState(level, ClientFunds(7_000_000, 0, "CAD"), version, hold, 1)  # type: ignore[arg-type]


def test_balance_watchs_state_counts_before_its_event_is_consumed() -> None:
    for level in ("ok", "exhausted"):
        outcome = decide_mail(
            the_alert(), DecisionFacts(SAMPLE_ACCOUNT, balance_watch=owner(level)), NOON, RULES
        )
        assert isinstance(outcome, Drop)
    ended = DecisionFacts(SAMPLE_ACCOUNT, balance_watch=owner("low"))
    assert decide_mail(the_alert(), ended, NOON, RULES) == Send()
    assert isinstance(decide_mail(the_zero_mail(hold=4), ended, NOON, RULES), Drop)
    lasting = DecisionFacts(SAMPLE_ACCOUNT, balance_watch=owner("exhausted"))
    assert decide_mail(the_zero_mail(hold=4), lasting, NOON, RULES) == Send()


def test_balance_watchs_state_is_ignored_if_older_than_the_event() -> None:
    restored = DecisionFacts(SAMPLE_ACCOUNT, balance_watch=owner("ok", version=2, hold=3))
    assert decide_mail(the_alert(), restored, NOON, RULES) == Send()
    assert decide_mail(the_zero_mail(hold=4), restored, NOON, RULES) == Send()
    assert funds_of(the_alert(), restored).balance_micro == 8_000_000
    newer = DecisionFacts(SAMPLE_ACCOUNT, balance_watch=owner("low"))
    assert funds_of(the_alert(), newer).balance_micro == 7_000_000


def test_two_alerts_of_one_client_are_the_least_interval_apart() -> None:
    facts = DecisionFacts(SAMPLE_ACCOUNT, low_sent_at=NOON - timedelta(minutes=10))
    outcome = decide_mail(the_alert(), facts, NOON, RULES)
    assert isinstance(outcome, Wait)
    assert outcome.until == NOON + timedelta(minutes=50)
    assert decide_mail(the_alert(), facts, NOON + timedelta(minutes=50), RULES) == Send()
    assert decide_mail(the_zero_mail(), facts, NOON, RULES) == Send()


def test_the_zero_mail_waits_two_minutes_and_then_does_not_say_off() -> None:
    notice = zero_mail_to_come(zero(), CAUSE, "")
    assert notice is not None
    asked = DecisionFacts(SAMPLE_ACCOUNT, switch_off="asked", owed_since=NOON)
    outcome = decide_mail(notice, asked, NOON, RULES)
    assert isinstance(outcome, Wait)
    assert outcome.until == NOON + timedelta(minutes=2)
    late = NOON + timedelta(minutes=2)
    assert decide_mail(notice, replace(asked, switch_off="refused"), late, RULES) == Send(
        service_is_off=False
    )
    assert isinstance(decide_mail(notice, replace(asked, switch_off="refused"), NOON, RULES), Wait)
    assert decide_mail(notice, replace(asked, switch_off="off"), NOON, RULES) == Send()
    for cut in ("none", "asked"):
        # Another hold, an exemption, the brake or a paused server: the PBX did not refuse.
        facts = replace(asked, switch_off=cut)
        assert isinstance(decide_mail(notice, facts, late, RULES), Wait)


@given(text=st.one_of(st.text(), st.emails(), st.from_regex(r"\A[^@]{1,90}@[^@]{1,90}\Z")))
def test_every_accepted_address_can_be_mailed(text: str) -> None:
    """No accepted address can break a header or the mail."""
    if is_mail_address(text):
        mail = Mail(CAUSE, text, RenderedMail("s", "text", "<p>text</p>"), NOON)
        content = compose(mail, Sender("billing@example.net", "The Billing"))
        message = message_from_string(content.decode(), policy=SMTPUTF8)
        (header,) = present(message.get_all("To"))
        (address,) = header.addresses
        assert address.username == text.rpartition("@")[0]


def test_a_mail_has_both_parts_its_own_headers_and_an_id_made_from_its_own() -> None:
    rendered = RenderedMail(
        "é", "t", "<p>t</p>", "Acme", {"Reply-To": "help@acme.example"}, cc=("boss@b.example",)
    )
    mail = Mail(CAUSE, "a@b.example", rendered, NOON)
    content = compose(mail, Sender("x@y.example"))
    assert f"<{CAUSE}@y.example>".encode() in content
    assert b"text/plain" in content
    assert b"text/html" in content
    assert b"Date: Thu, 15 Jan 2026 12:00:00 +0000" in content
    assert b"From: Acme <x@y.example>" in content
    assert b"Reply-To: help@acme.example" in content
    assert b"Cc: boss@b.example" in content
    assert mail.recipients == ("a@b.example", "boss@b.example")


def test_a_servers_password_is_not_shown() -> None:
    assert "hush" not in repr(SmtpServer("h", 25, user="u", password="hush"))


def outcome_of(kind: str, attempts: int = 1, age_s: float = 0, **policy: object) -> object:
    return decide_outcome(
        Reply(kind, "451 later"),  # type: ignore[arg-type]
        attempts=attempts,
        due_at=NOON - timedelta(seconds=age_s),
        now=NOON,
        policy=RetryPolicy(**policy),  # type: ignore[arg-type]
    ).state


@pytest.mark.parametrize(
    ("attempts", "delay_s"), [(1, 5), (2, 10), (3, 20), (8, 640), (9, 900), (500, 900)]
)
def test_a_deferred_mail_is_tried_after_five_seconds_doubling_to_a_quarter_hour(
    attempts: int, delay_s: int
) -> None:
    outcome = decide_outcome(
        Reply("deferred", "451"),
        attempts=attempts,
        due_at=NOON,
        now=NOON,
        policy=RetryPolicy(),
    )
    assert outcome.state == "waiting"
    assert outcome.next_attempt_at - NOON == timedelta(seconds=delay_s)


def test_each_reply_has_its_outcome() -> None:
    assert outcome_of("accepted") == "sent"
    assert outcome_of("refused") == "failed"
    assert outcome_of("deferred", age_s=86_400 - 901, attempts=20) == "waiting"
    assert outcome_of("deferred", age_s=86_400 - 899, attempts=20) == "failed"
    assert outcome_of("unknown") == "in-doubt"
    assert outcome_of("unknown", resend_in_doubt=True) == "waiting"


def test_the_breaker_lets_one_probe_through_and_waits_longer_each_time() -> None:
    breaker, now = SmtpBreaker(first_s=1, longest_s=4), NOON
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
