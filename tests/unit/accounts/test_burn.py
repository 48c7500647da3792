"""How fast a client uses its credit, and when it is out."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.situation.burn import Burn

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "week", "known_days", "pace"),
    [
        (0, 7_000_000, 7.0, 1_000_000),  # the mean of the week
        (3_000_000, 7_000_000, 7.0, 3_000_000),  # the last day was faster
        (2_000_000, 2_000_000, 0.2, 2_000_000),  # a client of today
        (0, 2_000_000, 4.0, 500_000),  # known for 4 days
        (-5, -5, 7.0, 0),  # more was given back than charged
        (0, 0, 1.0, 0),
    ],
)
def test_the_pace_is_the_faster_of_the_day_and_the_week(
    day: int, week: int, known_days: float, pace: int
) -> None:
    assert Burn(day, week, known_days).pace_micro == pace


def test_a_client_is_out_when_its_credit_is_used_at_this_pace() -> None:
    burn = Burn(2_000_000, 2_000_000, 1.0)
    assert burn.out_at(5_000_000, NOW) == NOW + timedelta(days=2.5)
    assert burn.out_at(0, NOW) == NOW
    assert burn.out_at(-1, NOW) == NOW


def test_a_client_without_calls_or_with_credit_for_years_is_not_out() -> None:
    assert Burn(0, 0, 1.0).out_at(5_000_000, NOW) is None
    assert Burn(1, 1, 1.0).out_at(5_000_000, NOW) is None
