"""A warning is logged before a source deletes calls that were not read."""

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cdr_ingest.polling.retention import RetentionWatch

DAY = 86_400
NOW = 1_800_000_000


@pytest.fixture
def watch() -> RetentionWatch:
    return RetentionWatch("pbx-2", "lane", retention_s=7 * DAY, margin_s=DAY)


def measure(
    watch: RetentionWatch, days_ago: float, now: int = NOW
) -> tuple[int, list[tuple[str, str]]]:
    """The seconds that are left, and the levels and events of the log."""
    with capture_logs() as logs:
        left_s = watch.measure(int(now - days_ago * DAY), now)
    return left_s, [(log["log_level"], log["event"]) for log in logs]


def test_a_feed_that_is_read_has_the_whole_retention_left(
    watch: RetentionWatch,
) -> None:
    assert measure(watch, 0) == (7 * DAY, [])
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
def test_it_warns_a_day_before_calls_are_lost_and_logs_an_error_once_they_are(
    watch: RetentionWatch, days_ago: float, left_days: float, logged: list[tuple[str, str]]
) -> None:
    left_s, events = measure(watch, days_ago)
    assert left_s == pytest.approx(left_days * DAY, abs=2)
    assert events == logged


def test_it_repeats_the_warning_once_an_hour(watch: RetentionWatch) -> None:
    counts = [len(measure(watch, 6.5, NOW + minutes * 60)[1]) for minutes in range(0, 121, 20)]
    assert counts == [1, 0, 0, 1, 0, 0, 1]


def test_it_warns_again_after_a_read_in_between(watch: RetentionWatch) -> None:
    measure(watch, 6.5)
    measure(watch, 0)
    assert len(measure(watch, 6.5)[1]) == 1
