"""Billing periods: months in the account's time zone, with daylight saving and leap days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.billing_period import is_zone, period_of, zone_of
from rating.pricing.call_time import answered_at, check_times, implausible_time
from rating.rerating.plan import RerateOrder
from ringfence_contracts.errors import Reject
from ringfence_testing.records import NOON, call


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("instant", "zone", "period"),
    [
        ("2026-11-01T03:59:59+00:00", "America/Toronto", date(2026, 10, 1)),
        ("2026-11-01T04:00:00+00:00", "America/Toronto", date(2026, 11, 1)),
        # the clocks went back at 06:00 UTC that day: December begins an hour later by UTC
        ("2026-12-01T04:59:59+00:00", "America/Toronto", date(2026, 11, 1)),
        ("2026-12-01T05:00:00+00:00", "America/Toronto", date(2026, 12, 1)),
        # and forward on 8 March
        ("2026-03-01T04:59:59+00:00", "America/Toronto", date(2026, 2, 1)),
        ("2026-04-01T03:59:59+00:00", "America/Toronto", date(2026, 3, 1)),
        ("2026-04-01T04:00:00+00:00", "America/Toronto", date(2026, 4, 1)),
        # London's clocks change on the last Sunday; the month's end lies beyond it
        ("2026-03-31T22:59:59+00:00", "Europe/London", date(2026, 3, 1)),
        ("2026-03-31T23:00:00+00:00", "Europe/London", date(2026, 4, 1)),
        ("2028-02-29T23:59:59+00:00", "UTC", date(2028, 2, 1)),
        ("2028-03-01T04:59:59+00:00", "America/Toronto", date(2028, 2, 1)),
        ("2026-02-28T13:29:59+00:00", "Australia/Adelaide", date(2026, 2, 1)),
        ("2026-02-28T13:30:00+00:00", "Australia/Adelaide", date(2026, 3, 1)),
        ("2026-12-31T10:00:00+00:00", "Pacific/Kiritimati", date(2027, 1, 1)),
        ("2027-01-01T11:59:59+00:00", "Etc/GMT+12", date(2026, 12, 1)),
        # an offset in the text changes nothing about the instant
        ("2026-11-01T00:00:00-04:00", "America/Toronto", date(2026, 11, 1)),
    ],
)
def test_months_begin_at_the_account_s_own_midnight(instant: str, zone: str, period: date) -> None:
    assert period_of(at(instant), zone) == period


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "a\x00b"])
def test_an_unknown_zone_counts_as_utc(name: str) -> None:
    assert not is_zone(name)
    assert zone_of(name) is UTC
    assert period_of(at("2026-11-01T00:00:00+00:00"), name) == date(2026, 11, 1)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)))
def test_a_period_is_the_month_of_the_local_date(moment: datetime) -> None:
    instant = moment.replace(tzinfo=UTC)
    shown = instant.astimezone(zone_of("America/St_Johns"))
    period = period_of(instant, "America/St_Johns")
    assert (period.year, period.month, period.day) == (shown.year, shown.month, 1)


@pytest.mark.parametrize(
    ("from_text", "to_text", "hours"),
    [
        ("2026-03-08", "2026-03-09", 23),
        ("2026-11-01", "2026-11-02", 25),
        ("2028-02-28", "2028-03-01", 48),
        ("2026-11-01T00:00-05:00", "2026-11-01T12:00-05:00", 12),
    ],
)
def test_the_days_of_a_rerating_have_the_length_of_local_days(
    from_text: str, to_text: str, hours: int
) -> None:
    start, end = RerateOrder("t", 1, from_text, to_text).span("America/Toronto")
    assert end - start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("seconds_after_start", "counts_s"), [(0, 0), (20, 20), (60, 60), (61, 0), (-1, 0), (None, 0)]
)
def test_an_answer_outside_of_the_call_is_ignored(
    seconds_after_start: int | None, counts_s: int
) -> None:
    answered = (
        None if seconds_after_start is None else NOON + timedelta(seconds=seconds_after_start)
    )
    assert answered_at(call(answered_at=answered)) == NOON + timedelta(seconds=counts_s)


@pytest.mark.parametrize(
    ("ahead", "believed"),
    [
        (timedelta(), True),
        (timedelta(days=1), True),
        (timedelta(days=1, seconds=1), False),
        (-timedelta(days=9000), True),
        (-timedelta(days=10_000), False),
    ],
)
def test_an_implausible_start_makes_the_call_wait(ahead: timedelta, believed: bool) -> None:
    assert (implausible_time(call(started_at=NOON + ahead), NOON) is None) == believed


@pytest.mark.parametrize("year", [1900, 1969, 2100, 9998])
def test_a_call_in_an_impossible_year_is_rejected(year: int) -> None:
    started = datetime(year, 6, 1, tzinfo=UTC)
    with pytest.raises(Reject, match="expected instants from 1970 to 2099"):
        check_times(call(started_at=started))
