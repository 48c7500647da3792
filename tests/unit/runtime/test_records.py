"""Records are validated; a rejection names the field, the value and the reason."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from ringfence_contracts.errors import BadInput, Reject, shown
from ringfence_contracts.events.balance import BalanceLow
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.records import Headers, Outgoing, Received, first_problem, parse
from ringfence_contracts.topics import ALL_TOPICS, PAYMENT_RECEIVED, dead_letter_topics

PAYMENT = (
    b'{"payment_id": "5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11", "account_id": "acme",'
    b' "kind": "top-up", "amount_micro": 1, "currency": "CAD",'
    b' "received_at": "2026-01-15T12:00:00Z"}'
)
EVENT_ID = UUID("0b0f3d3c-97a5-5e3a-8d0e-7a6d3a1f9f10")


def record(value: bytes = PAYMENT, headers: Headers = ()) -> Received:
    return Received("payment.received.v1", 3, 7, b"acme", value, headers)


def outgoing(**changes: object) -> Outgoing:
    fields = {
        "topic": PAYMENT_RECEIVED,
        "key": "acme",
        "value": PAYMENT,
        "event_id": EVENT_ID,
        "time": datetime(2026, 1, 15, 12, tzinfo=UTC),
        "source": "accounts",
    }
    return Outgoing(**(fields | changes))  # type: ignore[arg-type]


def test_a_valid_record_is_read() -> None:
    payment = parse(PaymentReceived, record())
    assert (payment.account_id, payment.amount_micro, payment.reference) == ("acme", 1, "")


def test_unknown_fields_are_ignored() -> None:
    assert parse(PaymentReceived, record(PAYMENT.replace(b"{", b'{"later": [1], ', 1)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PAYMENT.replace(b"top-up", b"refund"), "kind: got 'refund', expected 'top-up'"),
        (PAYMENT.replace(b": 1,", b": 1.5,"), "amount_micro: got 1.5, expected a whole number"),
        (PAYMENT.replace(b'"acme"', b'"a b"'), "account_id: got 'a b', expected an id of letters"),
        (PAYMENT.replace(b"12:00:00Z", b"12:00:00"), "received_at: got '2026-01-15T12:00:00'"),
        (PAYMENT.replace(b"CAD", b"cad"), "currency: got 'cad'"),
        (PAYMENT[:-9], "record: got "),
        (b"", "record: got b'', expected valid JSON"),
        (b"{}", "payment_id is missing (and 5 more)"),
        (b"[]", "record: got [], expected a JSON object"),
        (b"\xff", "record: got "),
    ],
)
def test_an_invalid_record_is_rejected_with_its_first_invalid_field(
    value: bytes, reason: str
) -> None:
    with pytest.raises(Reject) as rejected:
        parse(PaymentReceived, record(value))
    assert str(rejected.value).startswith(reason)


def test_nul_characters_are_refused() -> None:
    value = PAYMENT.replace(b"{", b'{"reference": "a\\u0000b", ', 1)
    with pytest.raises(Reject, match=r"reference: .*must not contain NUL"):
        parse(PaymentReceived, record(value))


def test_a_reason_with_a_long_value_is_short() -> None:
    value = PAYMENT.replace(b"CAD", b"C" * 100_000)
    with pytest.raises(Reject) as rejected:
        parse(PaymentReceived, record(value))
    assert len(str(rejected.value)) < 300
    assert "(100002 characters)" in str(rejected.value)


def test_a_nested_problem_is_reported_with_its_path() -> None:
    class Inner(BaseModel):
        numbers: list[int]

    class Outer(BaseModel):
        inner: Inner

    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate({"inner": {"numbers": [1, "x", "y"]}})
    assert first_problem(wrong.value).startswith("inner.numbers.1: got 'x', ")
    assert first_problem(wrong.value).endswith("(and 1 more)")


def test_shown_keeps_one_line() -> None:
    assert "\n" not in shown("a\nb")
    assert len(shown("x" * 1000)) < 240


def test_bad_input_says_field_value_and_what_was_expected() -> None:
    error = BadInput("amount", "1,50", "an amount such as 1.50")
    assert str(error) == "amount: got '1,50', expected an amount such as 1.50"
    assert (error.field, error.value, error.expected) == (
        "amount",
        "1,50",
        "an amount such as 1.50",
    )


@pytest.mark.parametrize("raw", [None, b"", b"7", b"\xff\xfe", str(EVENT_ID).encode()[:-1]])
def test_an_invalid_event_id_is_rejected(raw: bytes | None) -> None:
    headers = () if raw is None else (("ce_id", raw),)
    with pytest.raises(Reject, match=r"header ce_id: got .*, expected a UUID"):
        _ = record(headers=headers).event_id


def test_a_header_without_a_value_is_as_if_it_were_missing() -> None:
    received = record(headers=(("ce_id", None), ("ce_correlationid", None)))
    assert (received.header("ce_id"), received.correlation_id) == ("", "")
    with pytest.raises(Reject, match="header ce_id"):
        _ = received.event_id


def test_a_value_that_python_refuses_to_show_is_described() -> None:
    assert shown(10**5000) == "a value of type int that is too large to be shown"


def test_the_first_cause_is_its_own_correlation() -> None:
    first = record(headers=(("ce_id", str(EVENT_ID).encode()),))
    assert first.correlation_id == str(EVENT_ID)
    later = record(headers=(*first.headers, ("ce_correlationid", b"the-first")))
    assert later.correlation_id == "the-first"
    for empty in (b"", None):
        without = record(headers=(*first.headers, ("ce_correlationid", empty)))
        assert without.correlation_id == str(EVENT_ID)
    assert record().correlation_id == ""


def test_what_is_published_is_read_back_with_the_same_attributes() -> None:
    event = outgoing(correlation_id="the-first", subject="invoice-7")
    back = record(event.value, tuple(event.headers()))
    assert back.event_id == EVENT_ID
    assert back.correlation_id == "the-first"
    assert back.header("ce_type") == "payment.received.v1"
    assert back.header("ce_source") == "/ringfence/accounts"
    assert back.header("ce_subject") == "invoice-7"
    assert back.header("ce_time") == "2026-01-15T12:00:00+00:00"


def test_the_subject_defaults_to_the_key() -> None:
    assert dict(outgoing().headers())["ce_subject"] == b"acme"
    assert "ce_correlationid" not in dict(outgoing().headers())


def test_payloads_write_instants_with_their_zone_and_read_them_as_the_same_instant() -> None:
    low = BalanceLow(
        account_id="acme",
        crossing=1,
        balance_version=1,
        balance_micro=1,
        outstanding_micro=0,
        threshold_micro=2,
        currency="CAD",
        occurred_at=datetime(2026, 1, 15, 7, tzinfo=timezone(timedelta(hours=-5))),
    )
    back = BalanceLow.model_validate_json(low.to_json())
    assert back == low
    assert back.occurred_at == datetime(2026, 1, 15, 12, tzinfo=UTC)


def test_every_reader_has_a_dead_letter_topic() -> None:
    places = dead_letter_topics()
    assert len(places) == len(set(places))
    for topic in ALL_TOPICS:
        for reader in topic.readers:
            assert f"{topic.name}.dlq.{reader}" in places
