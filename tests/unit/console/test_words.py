"""What the live list says of each event, and that no record can end it."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.feed.words import happening_of
from console.web.formats import Formats
from ringfence_contracts.examples import examples_of
from ringfence_contracts.topics import ALL_TOPICS, Topic

FORMATS = Formats("en_CA", "America/Toronto")
SILENT = {
    "call.completed.v1", "call.unconfirmed.v1", "balance.changed.v1", "account.changed.v1",
    "tariff.published.v1", "operator.requested.v1", "source.gap-found.v1",
}  # fmt: skip


@pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.name)
def test_every_published_example_has_words_unless_its_topic_is_silent(topic: Topic) -> None:
    for example in examples_of(topic):
        happening = happening_of(FORMATS, topic.name, b"key", example.value)
        assert bool(happening.text) is (topic.name not in SILENT)
        assert happening.at is None or happening.at.tzinfo is not None


def test_an_event_names_its_account_and_not_its_key() -> None:
    topic = next(topic for topic in ALL_TOPICS if topic.name == "balance.zero.v1")
    example = examples_of(topic)[0]
    happening = happening_of(FORMATS, topic.name, b"another key", example.value)
    assert happening.account_id == example.document["account_id"]


@given(
    topic=st.sampled_from([topic.name for topic in ALL_TOPICS] + ["unknown.v9"]),
    key=st.none() | st.binary(max_size=30),
    value=st.none() | st.binary(max_size=300) | st.just(b"[" * 5000),
)
def test_a_record_that_cannot_be_read_has_no_words(
    topic: str, key: bytes | None, value: bytes | None
) -> None:
    assert happening_of(FORMATS, topic, key, value).text == ""


def test_the_zone_of_the_formats_exists() -> None:
    assert FORMATS.zone_named.startswith(str(ZoneInfo("America/Toronto")))
