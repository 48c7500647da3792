"""The doctor's checks of certificates and clocks, and its format of durations."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from ringfence_doctor.check_result import CheckResult, age, in_words
from ringfence_doctor.examinations.http import Address, clock_finding, tls_finding
from ringfence_testing.clock import FixedClock

NOW = FixedClock().now()


def clock(date: str, *, took_s: int = 0) -> CheckResult:
    asked_at = NOW - timedelta(seconds=took_s)
    return clock_finding("pbx1", date, asked_at=asked_at, came_at=NOW)


@pytest.mark.parametrize(
    ("ahead_s", "state"),
    [(0, "ok"), (-5, "ok"), (5, "ok"), (-60, "warn"), (60, "warn"), (200, "fail"), (-4000, "fail")],
)
def test_the_clocks_are_compared(ahead_s: int, state: str) -> None:
    """By the Date header, which has whole seconds."""
    finding = clock(format_datetime(NOW + timedelta(seconds=ahead_s), usegmt=True))
    way = "ahead of" if ahead_s > 0 else "behind"
    assert finding.state == state
    assert finding.message == (f"{abs(ahead_s)} s {way} ours" if ahead_s else "as ours")
    assert bool(finding.action) == (state != "ok")


def test_the_duration_of_the_request_is_no_clock_difference() -> None:
    date = format_datetime(NOW - timedelta(seconds=20), usegmt=True)
    assert clock(date, took_s=30).message == "as ours"
    assert clock(date).state == "warn"


def test_a_date_of_another_zone_is_the_same_time() -> None:
    plus = NOW.astimezone(tz=FixedClock().now().tzinfo) + timedelta(hours=2)
    assert clock(f"{plus:%a, %d %b %Y %H:%M:%S} +0200").state == "ok"


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Nov 2026 10:00:00 GMT"])
def test_a_response_without_a_valid_date_is_a_warning(date: str) -> None:
    assert clock(date).state == "warn"
    assert "does not tell" in clock(date).message


@pytest.mark.parametrize(
    ("url", "days", "state", "said"),
    [
        ("http://127.0.0.1:80/x", None, "ok", "none, on this machine"),
        ("http://pbx.example/x", None, "warn", "the password travels unencrypted"),
        ("https://pbx.example/x", None, "ok", "valid"),
        ("https://pbx.example/x", 15, "ok", "15 days more"),
        ("https://pbx.example/x", 13, "warn", "13 days more"),
    ],
)
def test_the_tls_check_reports_encryption_and_expiry(
    url: str, days: int | None, state: str, said: str
) -> None:
    address = Address(subject="pbx1", url=url, timeout_s=1, carries="the password")
    ends = None if days is None else NOW + timedelta(days=days, hours=1)
    finding = tls_finding(address, ends, NOW)
    assert finding.state == state
    assert said in finding.message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_durations_are_in_their_largest_unit(seconds: int, words: str) -> None:
    assert in_words(seconds) == words
    assert age(NOW - timedelta(seconds=seconds), NOW) == f"{words} ago"
    if seconds:
        assert age(NOW + timedelta(seconds=seconds), NOW) == f"{words} ahead of now"
