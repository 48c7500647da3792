"""A record of a topic as a page shows it."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from console.feed.decoded import SECRET_NAME, DecodedEvent, decode
from console.web.formats import Formats
from ringfence_contracts.examples import all_examples, examples_of
from ringfence_contracts.schemas import schema_of
from ringfence_contracts.topics import ACCOUNT_CHANGED, ALL_TOPICS, CALL_RATED, Topic

FORMATS = Formats("en_CA", "America/Toronto")


def shown(value: bytes | None, topic: Topic = CALL_RATED, key: bytes = b"anna") -> DecodedEvent:
    record: ConsumerRecord[Any, Any] = ConsumerRecord(
        topic.name, 3, 7, 1_763_000_000_000, 0, key, value, None, len(key), 0, ()
    )
    return decode(record, topic, FORMATS)


def field_names(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for each in node for name in field_names(each)}
    if not isinstance(node, dict):
        return set()
    within = {name for each in node.values() for name in field_names(each)}
    return within | set(node.get("properties", {}))


@pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.name)
def test_no_field_of_a_contract_is_hidden(topic: Topic) -> None:
    """Or a page would say "…" where there is no secret, and not see what is wrong with it."""
    names = field_names(schema_of(topic))
    assert names
    assert [name for name in names if SECRET_NAME.search(name)] == []


def test_every_example_is_decoded() -> None:
    assert [each.name for each in all_examples() if shown(each.value, each.topic).problem] == []


def test_an_event_has_words_and_its_place() -> None:
    event = shown(examples_of(CALL_RATED)[0].value)
    assert (event.key, event.partition, event.offset, event.problem) == ("anna", 3, 7, "")
    assert event.words


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "record: got [1]"),
        (b'{"call_id": 1}', "call_id: got 1"),
        (None, "the record has no value"),
    ],
)
def test_a_reason_is_given_where_it_cannot_be_decoded(value: bytes | None, reason: str) -> None:
    assert reason in shown(value).problem


def test_a_record_without_a_value_deletes_only_where_the_topic_is_compacted() -> None:
    deleted, wrong = shown(None, ACCOUNT_CHANGED), shown(None, CALL_RATED)
    assert (deleted.is_deletion, deleted.problem) == (True, "")
    assert (wrong.is_deletion, bool(wrong.problem)) == (False, True)


@pytest.mark.parametrize(
    "value",
    [
        b'{"a": {"smtp_password": "s3cr3t"}}',
        b'{"call_id": {"token": "s3cr3t"}}',
        b'[{"x-api-key": ["s3cr3t"]}]',
        b"private-key: s3cr3t",
        b'{"client_secret": "s3cr3t"',
        b"password = s3cr3t and more",
        b"Authorization: Bearer s3cr3t\nnext",
        b"{'token': 's3cr3t'",
        b'{"token": "s3cr3t without an end',
    ],
)
def test_a_secret_is_neither_in_the_text_nor_in_the_reason(value: bytes) -> None:
    event = shown(value)
    assert "s3cr3t" not in event.text + event.problem
    assert "…" in event.text


def test_what_is_long_is_cut() -> None:
    event = shown(b'{"call_id": "' + b"x" * 1_000_000 + b'"}', key=b"k" * 10_000)
    assert (len(event.text) < 5000, len(event.key) < 500, len(event.problem) < 500) == (
        True, True, True,
    )  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "value",
    [b"9" * 9000, b"token" * 9000, b'"token' * 9000, b"token" + b" " * 9000, b"[" * 9000],
)
def test_no_text_holds_up_the_other_pages(value: bytes) -> None:
    """A pattern that tried each part again took minutes of the one thread of all pages."""
    assert "it is not" in shown(value).problem


def test_a_secret_far_from_its_name_is_hidden_in_a_text() -> None:
    found = shown(b"no JSON: api_key_of_the_carrier" + b" " * 50 + b"=" + b" " * 50 + b"abcdef")
    assert "abcdef" not in found.text


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_can_be_sent_to_a_browser(value: bytes, key: bytes) -> None:
    event = shown(value, key=key)
    (event.text + event.key + event.problem + event.words).encode()
