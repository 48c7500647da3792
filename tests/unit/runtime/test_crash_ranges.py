"""A record that crashes is found by the offsets at which processes ended."""

from hypothesis import given
from hypothesis import strategies as st

from ringfence.kafka.failures.crash_ranges import (
    BatchPart,
    CrashRange,
    divide,
    narrowed,
    offsets_of,
)
from ringfence_contracts.records import Received

T = "call.completed.v1"


def batch(*places: tuple[int, int]) -> list[Received]:
    return [Received(T, partition, offset, b"k", b"{}") for partition, offset in places]


def test_overlapping_ends_narrow_the_range_and_others_begin_a_new_one() -> None:
    first = narrowed(None, 10, 500, alone=False)
    assert first == CrashRange(10, 500, 1, alone=False)
    second = narrowed(first, 100, 900, alone=False)
    assert second == CrashRange(100, 500, 2, alone=False)
    assert narrowed(second, 300, 300, alone=True) == CrashRange(300, 300, 3, alone=True)
    assert narrowed(second, 501, 600, alone=False) == CrashRange(501, 600, 1, alone=False)


def test_after_one_end_nothing_is_handled_alone() -> None:
    records = batch((0, 1), (0, 2))
    assert list(divide(records, {(T, 0): CrashRange(1, 2, 1, alone=False)})) == [BatchPart(records)]


def test_after_two_ends_the_suspects_are_alone_and_the_others_together_in_their_order() -> None:
    records = batch((0, 1), (1, 7), (0, 2), (0, 3), (0, 4), (1, 8))
    known = CrashRange(2, 3, 2, alone=False)
    assert list(divide(records, {(T, 0): known})) == [
        BatchPart(records[:2]),
        BatchPart([records[2]]),
        BatchPart([records[3]]),
        BatchPart(records[4:]),
    ]


def test_a_record_that_ended_the_process_a_third_time_alone_is_dead() -> None:
    known = CrashRange(2, 2, 3, alone=True)
    assert list(divide(batch((0, 2)), {(T, 0): known})) == [BatchPart(batch((0, 2)), known)]


def test_a_record_that_was_not_alone_at_the_last_end_is_not_dead() -> None:
    """It may be the only record of its partition in a batch with the one that crashes."""
    known = CrashRange(2, 2, 3, alone=False)
    assert list(divide(batch((0, 2)), {(T, 0): known})) == [BatchPart(batch((0, 2)))]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30),
    st.dictionaries(
        st.integers(0, 2),
        st.builds(
            lambda first, length, crashes, alone: CrashRange(first, first + length, crashes, alone),
            st.integers(0, 9), st.integers(0, 5), st.integers(1, 5), st.booleans(),
        ),
    ),
)  # fmt: skip
def test_every_record_is_in_one_part_in_the_order_of_the_batch(
    places: list[tuple[int, int]], ranges: dict[int, CrashRange]
) -> None:
    records = batch(*places)
    parts = list(divide(records, {(T, partition): known for partition, known in ranges.items()}))
    assert [record for part in parts for record in part.records] == records
    assert all(len(part.records) == 1 for part in parts if part.dead)


def test_the_offsets_of_a_batch_are_those_of_each_partition() -> None:
    found = offsets_of(batch((0, 5), (1, 9), (0, 4)))
    assert found == {(T, 0): (4, 5), (T, 1): (9, 9)}
