"""An element is switched off again at most three times within any hour."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ringfence_testing.records import NOON
from suspender.upkeep.drift.repairs import HOUR, REPAIRS_PER_HOUR, repair

gaps = st.lists(st.integers(1, 5000).map(lambda s: timedelta(seconds=s)), max_size=60)


@given(gaps)
def test_at_most_three_repairs_an_hour_are_allowed_and_no_fewer(
    found_after: list[timedelta],
) -> None:
    now = NOON
    known: list[datetime] = []
    done: list[datetime] = []
    for gap in found_after:
        now += gap
        before = [at for at in done if at > now - HOUR]
        known, repaired = repair(known, now)
        assert repaired == (len(before) < 3)
        done += [now] if repaired else []
        assert known == [at for at in done if at > now - HOUR]
        assert len(known) <= REPAIRS_PER_HOUR == 3


def test_a_repair_of_exactly_an_hour_ago_no_longer_counts() -> None:
    repairs = [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]
    assert repair(repairs, NOON + HOUR - timedelta(seconds=1)) == (repairs, False)
    assert repair(repairs, NOON + HOUR) == ([*repairs[1:], NOON + HOUR], True)
