"""The reject limit counts each source by itself, within a window."""

from datetime import UTC, datetime, timedelta

from ringfence.kafka.failures.reject_limit import NO_SOURCE, RejectLimit, source_of
from ringfence_contracts.records import Received

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_source_is_over_after_the_limit_and_no_other_is() -> None:
    limit = RejectLimit(3)
    assert [limit.is_over("north", NOW) for _ in range(5)] == [False] * 3 + [True] * 2
    assert not limit.is_over("south", NOW)


def test_rejects_that_are_older_than_the_window_do_not_count() -> None:
    limit = RejectLimit(3, HOUR)
    assert not any(limit.is_over("north", NOW + n * HOUR) for n in range(20))


def test_a_source_that_is_over_stays_so_until_it_is_reset() -> None:
    limit = RejectLimit(1, HOUR)
    limit.set_over(["north"])
    assert limit.is_over("north", NOW + 9 * HOUR)
    limit.reset("north")
    assert not limit.is_over("north", NOW)


def test_any_number_of_sources_takes_bounded_memory_and_stops_nothing() -> None:
    limit = RejectLimit(2)
    assert not any(limit.is_over(f"source-{n}", NOW) for n in range(50_000))


def test_the_source_of_a_record_is_its_key_as_a_bounded_text() -> None:
    def of(key: bytes | None) -> str:
        return source_of(Received("call.completed.v1", 0, 0, key, b""))

    assert of(b"pbx-1:north.example") == "pbx-1:north.example"
    assert (of(None), of(b""), of(b" ")) == (NO_SOURCE,) * 3
    assert of(b"\xff\x00") == "\ufffd\ufffd"
    assert len(of(b"x" * 9999)) == 200
