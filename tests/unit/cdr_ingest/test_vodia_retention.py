"""A source that forgets is watched, and somebody is told while there is time."""

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cdr_ingest.polling.retention import RetentionWatch

DAY = 86_400
NOW = 1_800_000_000


@pytest.fixture
def watch() -> RetentionWatch:
    return RetentionWatch("pbx-2", "lane", retention_s=7 * DAY, margin_s=DAY)


def look(
    watch: RetentionWatch, days_ago: float, now: int = NOW
) -> tuple[int, list[tuple[str, str]]]:
    """What is left, and what is logged of it."""
    with capture_logs() as logs:
        left_s = watch.look(int(now - days_ago * DAY), now)
    return left_s, [(log["log_level"], log["event"]) for log in logs]


def test_a_lane_that_is_read_has_all_its_time_and_nothing_is_said(watch: RetentionWatch) -> None:
    assert look(watch, 0) == (7 * DAY, [])
    labels = {"server": "pbx-2", "lane": "lane"}
    assert REGISTRY.get_sample_value("ringfence_ingest_retention_left_seconds", labels) == 7 * DAY


@pytest.mark.parametrize(
    ("days_ago", "left_days", "logged"),
    [
        (5.9, 1.1, []),
        (6, 1, [("warning", "calls will be lost unless they are read")]),
        (6.9, 0.1, [("warning", "calls will be lost unless they are read")]),
        (7, 0, [("error", "calls may be lost for good")]),
        (30, -23, [("error", "calls may be lost for good")]),
    ],
)
def test_it_warns_a_day_before_calls_are_lost_and_says_when_they_are(
    watch: RetentionWatch, days_ago: float, left_days: float, logged: list[tuple[str, str]]
) -> None:
    left_s, said = look(watch, days_ago)
    assert left_s == pytest.approx(left_days * DAY, abs=2)
    assert said == logged


def test_it_says_so_once_an_hour(watch: RetentionWatch) -> None:
    said = [len(look(watch, 6.5, NOW + minutes * 60)[1]) for minutes in range(0, 121, 20)]
    assert said == [1, 0, 0, 1, 0, 0, 1]


def test_after_a_good_read_it_warns_anew(watch: RetentionWatch) -> None:
    look(watch, 6.5)
    look(watch, 0)
    assert len(look(watch, 6.5)[1]) == 1
