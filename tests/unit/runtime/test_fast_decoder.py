"""The fast decoder gives the same result as the model for every record."""

import json
from functools import cache
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, model_validator

from ringfence.kafka.fast_decoder import FastDecoder
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.model import EventData
from ringfence_contracts.records import Received, parse
from ringfence_contracts.topics import CALL_COMPLETED
from tests.support.examples import examples

CALL: dict[str, Any] = {
    "call_id": "82bef7d7-2a58-5dce-9098-ddb05e30eb2b",
    "server_id": "pbx-1",
    "tenant": "mcon.example",
    "source": "fusionpbx-pull",
    "source_call_id": "a",
    "direction": "outbound",
    "started_at": "2026-11-20T12:00:00Z",
    "answered_at": "2026-11-20T12:00:01.25Z",
    "ended_at": "2026-11-20T14:01:00+02:00",
    "billsec": 59,
    "destination_number": "+442079460000",
}
CHANGE: dict[str, Any] = {
    "account_id": "1001",
    "version": 7,
    "balance_micro": -(10**16),
    "from_version": 6,
    "from_balance_micro": 0,
    "currency": "CAD",
    "cause": "charge",
    "cause_id": "82bef7d7-2a58-5dce-9098-ddb05e30eb2b",
    "occurred_at": "2026-11-20T12:00:00Z",
}

INSTANTS = (
    "2026-11-20T12:00:00", "2026-11-20 12:00:00Z", "2026-11-20T12:00:00-05:30", "2026-11-20",
    "2026-11-20T24:00:00Z", "2026-02-29T00:00:00Z", "2026-11-20T12:00:60Z", "2026-11-20t12:00z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1763640000", "infinity",
)  # fmt: skip
IDS = ("82BEF7D7-2A58-5DCE-9098-DDB05E30EB2B", "82bef7d72a585dce9098ddb05e30eb2b", "{}", "urn:")
TEXTS = (
    "", "\x00", "x" * 100, "x" * 101, "x" * 1000, "x" * 1001, "é" * 1000, "𝟏" * 1000, "𝟏" * 1001,
    "1001\n", "\n", "a b", ".a", "CAD", "CAD\n", "ok", "7",
)  # fmt: skip
NUMBERS = (
    0,
    -1,
    2**53 - 1,
    2**53,
    10**17,
    10**17 + 1,
    -(10**17) - 1,
    604_800,
    604_801,
    7.0,
    10**30,
)
OTHERS: tuple[object, ...] = (None, True, 1.5, [], {}, [1])

texts = st.text(max_size=8) | st.sampled_from(TEXTS)
anything = (
    texts
    | st.datetimes().map(lambda at: at.isoformat() + "Z")
    | st.uuids().map(str)
    | st.integers()
    | st.floats()
    | st.sampled_from((*INSTANTS, *IDS, *NUMBERS, *OTHERS))
)


def result_of(model: type[EventData], read: Any, value: bytes) -> dict[str, Any] | str:
    """The fields that were read, or the reason for which the record was rejected."""
    try:
        found = read(Received(CALL_COMPLETED.name, 0, 0, None, value))
    except Reject as reason:
        return str(reason)
    return {name: getattr(found, name) for name in model.model_fields}


@cache
def reader_of(model: type[EventData]) -> FastDecoder[EventData]:
    """The decoder of the model, made once."""
    return FastDecoder(model)


def assert_same(model: type[EventData], value: bytes) -> None:
    """Assert that decoder and model give the same result for these bytes."""
    expected = result_of(model, lambda received: parse(model, received), value)
    assert result_of(model, reader_of(model).parse, value) == expected


@pytest.mark.parametrize(("model", "valid"), [(CallCompleted, CALL), (BalanceChanged, CHANGE)])
def test_odd_values_of_a_field_give_the_result_of_the_model(
    model: type[EventData], valid: dict[str, Any]
) -> None:
    """Every field with every odd value, while the other fields are plain."""
    for name in model.model_fields:
        for odd in (*INSTANTS, *IDS, *TEXTS, *NUMBERS, *OTHERS):
            assert_same(model, json.dumps(valid | {name: odd}).encode())


@pytest.mark.parametrize(("model", "valid"), [(CallCompleted, CALL), (BalanceChanged, CHANGE)])
@given(data=st.data())
@settings(max_examples=examples(6))
def test_any_record_gives_the_result_of_the_model(
    model: type[EventData], valid: dict[str, Any], data: st.DataObject
) -> None:
    """Fields with values of every kind, missing fields and unknown fields."""
    names = st.sampled_from([*model.model_fields, "unknown"])
    record = valid | data.draw(st.dictionaries(names, anything, max_size=3))
    for name in data.draw(st.sets(names, max_size=1)):
        record.pop(name, None)
    assert_same(model, json.dumps(record, ensure_ascii=data.draw(st.booleans())).encode())


@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.booleans())
@example(at=0, byte=0, cut=False)
@settings(max_examples=examples(6))
def test_damaged_bytes_give_the_result_of_the_model(at: int, byte: int, cut: bool) -> None:
    """A byte changed anywhere, or the rest missing."""
    value = bytearray(
        json.dumps(CALL | {"caller_name": "Zoë", "unknown": [1, {"a": "b"}]}).encode()
    )
    at %= len(value)
    value[at] = byte
    assert_same(CallCompleted, bytes(value[:at] if cut else value))


@pytest.mark.parametrize(
    "written",
    [
        rb"\ud800", rb"\udc00\ud800", rb"\ud83d\ude00", rb"\u0000", rb"\\u0000", rb"\x", rb"\u12",
        b"\x1f", b"\x7f", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b'","caller_name":"twice', b'",',
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", [b"caller_name", b"unknown"])
def test_odd_texts_give_the_result_of_the_model(field: bytes, written: bytes) -> None:
    """Surrogates, NUL, control characters, invalid UTF-8, a repeated name."""
    record = json.dumps(CALL).encode()[:-1]
    assert_same(CallCompleted, record + b',"' + field + b'":"' + written + b'"}')


@pytest.mark.parametrize("model", [CallCompleted, BalanceChanged])
def test_a_plain_record_is_decoded_without_the_model(model: type[EventData]) -> None:
    """The result is no instance of the model, so the model was not called."""
    plain = CALL if model is CallCompleted else CHANGE
    found = FastDecoder(model).parse(Received("t", 0, 0, None, json.dumps(plain).encode()))
    assert not isinstance(found, EventData)


class Nested(EventData):
    """A model within a model."""

    inner: CallCompleted


class Checked(EventData):
    """A field with its own validator."""

    even: Annotated[int, AfterValidator(abs)]


class Multiple(EventData):
    """An unknown bound."""

    tens: Annotated[int, Field(multiple_of=10)]


class Whole(EventData):
    """A validator of the whole model."""

    one: UUID

    @model_validator(mode="after")
    def _fits(self) -> "Whole":
        return self


@pytest.mark.parametrize("model", [Nested, Checked, Multiple, Whole])
def test_a_model_with_other_fields_or_validators_is_refused(model: type[EventData]) -> None:
    """When the decoder is made, not at the first record that it would accept wrongly."""
    with pytest.raises(TypeError, match=r"cannot be decoded fast|validator of its own"):
        FastDecoder(model)
