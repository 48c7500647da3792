"""Dead letters always fit: the reason and the place of a record are whole, the rest is cut."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.kafka.failures.dead_letters import (
    SIZES,
    WHOLE_BYTES,
    DeadLetter,
    dead_letter,
    source_row,
)
from ringfence_contracts.records import Received, Rejected
from ringfence_contracts.topics import CALL_COMPLETED, DEAD_LETTER_BYTES

HEADERS = (("ce_id", b"1"), ("nothing", None), ("odd", b"\xff\x00"))


def rejected(value: bytes, *, reason: str = "no good", **fields: Any) -> Rejected:
    received = Received(CALL_COMPLETED.name, 3, 1042, b"pbx-1:north", value, HEADERS)
    return Rejected(received._replace(**fields), reason)


def size_of(letter: DeadLetter) -> int:
    """What a record of these parts takes, without what Kafka adds."""
    _, key, value, headers = letter
    return len(key) + len(value) + sum(len(n.encode()) + len(v or b"") for n, v in headers)


def test_a_record_that_fits_is_whole_with_its_reason_and_place() -> None:
    letter = dead_letter(rejected(b"{}"), "rating")
    assert letter.topic == "call.completed.v1.dlq.rating"
    assert (letter.key, letter.value) == (b"pbx-1:north", b"{}")
    assert letter.headers == [
        *HEADERS,
        ("dlq_reason", b"no good"),
        ("dlq_topic", b"call.completed.v1"),
        ("dlq_partition", b"3"),
        ("dlq_offset", b"1042"),
    ]


def test_the_largest_record_of_a_topic_is_whole() -> None:
    value = b"x" * (1024 * 1024)
    letter = dead_letter(rejected(value), "rating")
    assert letter.value == value
    assert "dlq_truncated" not in dict(letter.headers)


def test_a_record_that_does_not_fit_is_cut_and_says_how_long_it_was() -> None:
    letter = dead_letter(rejected(b"x" * DEAD_LETTER_BYTES), "rating")
    assert dict(letter.headers)["dlq_truncated"] == str(DEAD_LETTER_BYTES).encode()
    assert dict(letter.headers)["dlq_offset"] == b"1042"
    assert 0.9 * WHOLE_BYTES < size_of(letter) <= WHOLE_BYTES


def test_a_traceback_keeps_its_end() -> None:
    dead = rejected(b"{}")._replace(traceback="first\n" * 5000 + "KeyError: 'the bug'")
    headers = dict(dead_letter(dead, "rating").headers)
    traceback = headers["dlq_traceback"]
    assert traceback is not None
    assert traceback.endswith(b"KeyError: 'the bug'")


@given(
    st.binary(max_size=3000).map(lambda raw: raw * 800),
    st.lists(
        st.tuples(st.text(max_size=50), st.none() | st.binary(max_size=100)).map(
            lambda h: (h[0], h[1] and h[1] * 500)
        ),
        max_size=50,
    ).map(tuple),
    st.none() | st.binary(max_size=3000),
    st.text(alphabet=st.characters(), max_size=9000),
    st.sampled_from(SIZES),
)
def test_any_record_fits_with_its_reason_and_place(
    value: bytes,
    headers: tuple[tuple[str, bytes | None], ...],
    key: bytes | None,
    reason: str,
    limit: int,
) -> None:
    dead = rejected(value, reason=reason, key=key, headers=headers)
    letter = dead_letter(dead, "rating", limit)
    assert size_of(letter) <= limit
    last = dict(letter.headers[max(0, len(letter.headers) - 6) :])
    assert (last["dlq_partition"], last["dlq_offset"]) == (b"3", b"1042")
    whole = letter.value == value and len(letter.headers) == len(headers) + 4
    assert whole or "dlq_truncated" in last or "dlq_headers_left_out" in last


@given(st.binary(max_size=5000).map(lambda raw: raw * 900), st.text(max_size=5000))
def test_any_row_of_a_source_fits(raw: bytes, key: str) -> None:
    assert size_of(source_row("t", key, raw, "no good")) <= WHOLE_BYTES
