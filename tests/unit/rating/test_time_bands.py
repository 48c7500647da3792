"""Which time band of a package a call belongs to, and what this changes of its price."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.posting.reference_data import ReferenceData
from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import Rated, Unrated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from rating.pricing.time_bands import TimeBands
from ringfence_contracts.events.account import DAYS, Service, TimeBand
from ringfence_testing import records

EVENING = {"name": "evening", "days": DAYS[:5], "begins": "18:00", "ends": "08:00"}
WEEKEND = {"name": "weekend", "days": ["sat", "sun"], "begins": "00:00", "ends": "00:00"}
LUNCH = {"name": "lunch", "days": ["mon"], "begins": "12:00", "ends": "12:30"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def bands(*described: dict[str, Any]) -> list[TimeBand]:
    return [TimeBand.model_validate(each) for each in described]


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-01-12T17:59:59", None),  # a Monday
        ("2026-01-12T18:00:00", "evening"),
        ("2026-01-13T07:59:59", "evening"),
        ("2026-01-13T08:00:00", None),
        ("2026-01-16T23:59:59", "evening"),
        ("2026-01-17T07:00:00", "weekend"),  # Friday's evening, too: the first of both counts
        ("2026-01-18T23:59:59", "weekend"),
        ("2026-01-19T00:00:00", None),
        ("2026-01-19T12:15:00", "lunch"),
        ("2026-01-20T12:15:00", None),
    ],
)
def test_the_first_band_that_has_the_local_time_counts(local: str, expected: str | None) -> None:
    named = bands(WEEKEND, EVENING, LUNCH)
    place = TimeBands(named).place(datetime.fromisoformat(local))
    assert (None if place is None else named[place].name) == expected


def test_a_band_of_sunday_night_ends_on_monday() -> None:
    night = TimeBands(bands(EVENING | {"days": ["sun"]}))
    assert night.place(datetime(2026, 1, 19, 7, 59)) == 0
    assert night.place(datetime(2026, 1, 19, 8, 0)) is None


clocks = st.times().map(lambda found: found.strftime("%H:%M"))
any_band = st.builds(
    TimeBand,
    name=st.just("a"),
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple),
    begins=clocks,
    ends=clocks,
)
local_times = st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1))


@given(st.lists(any_band, min_size=1, max_size=4), local_times)
def test_any_bands_have_a_time_if_one_of_their_days_reaches_it(
    described: list[TimeBand], local: datetime
) -> None:
    def has(band: TimeBand) -> bool:
        for day_before in (0, 1):
            date = local.date() - timedelta(days=day_before)
            begins = datetime.combine(date, datetime.strptime(band.begins, "%H:%M").time())
            ends = datetime.combine(date, datetime.strptime(band.ends, "%H:%M").time())
            if ends <= begins:
                ends += timedelta(days=1)
            if DAYS[date.weekday()] in band.days and begins <= local < ends:
                return True
        return False

    expected = next((place for place, band in enumerate(described) if has(band)), None)
    assert TimeBands(described).place(local) == expected


def matched(
    *described: dict[str, Any], zone: str = "America/Toronto", flat_rate: str | None = None
) -> Match:
    package = {
        "tariff_id": "day", "markup_percent": "200", "time_bands": described,
        "inbound_enabled": True, "custom_inbound_rate": "0.06",
    }  # fmt: skip
    service = Service.model_validate(
        {
            "service_id": "s1", "name": "trunk", "kind": "fusionpbx", "server_id": "pbx1",
            "tenant": "north.example", "package": package, "flat_rate": flat_rate,
        }
    )  # fmt: skip
    account = records.account("a1", services=(service,), time_zone=zone)
    found = ProductIndex([account]).match(records.call())
    assert isinstance(found, Match)
    return found


VERSIONS = [
    TariffVersion(n, name, "CAD", LONG_AGO, Deck([("1", "North America", rate, 60, 60, 1)]))
    for n, (name, rate) in enumerate((("day", "0.06"), ("night", "0.03"), ("dear", "0.90")))
]
TARIFFS = TariffVersions(VERSIONS)


def rated(match: Match, answered: str, **fields: Any) -> Rated:
    at = datetime.fromisoformat(answered)
    times = {"started_at": at, "answered_at": at, "ended_at": at + timedelta(seconds=60)}
    outcome = rate_call(records.call(**{"billsec": 60, **times, **fields}), match, TARIFFS)
    assert isinstance(outcome, Rated), outcome
    return outcome


@pytest.mark.parametrize(
    ("band", "cost_micro", "tariff_id", "markup"),
    [
        ({"tariff_id": "night"}, 60_000, "night", "200"),
        ({"markup_percent": "50"}, 30_000, "day", "50"),
        ({"tariff_id": "night", "markup_percent": "100"}, 30_000, "night", "100"),
    ],
)
def test_a_band_replaces_tariff_and_markup(
    band: dict[str, str], cost_micro: int, tariff_id: str, markup: str
) -> None:
    match = matched(EVENING | band)
    outcome = rated(match, "2026-01-12T19:00:00-05:00")
    explained = outcome.explanation
    assert outcome.cost_micro == cost_micro
    assert (explained["tariff_id"], explained["markup_percent"]) == (tariff_id, markup)
    assert explained["time_band"] == "evening"
    by_day = rated(match, "2026-01-12T17:00:00-05:00")
    assert by_day.cost_micro == 120_000
    assert "time_band" not in by_day.explanation


def test_the_clock_is_that_of_the_account_and_the_answer_decides() -> None:
    band = EVENING | {"tariff_id": "night"}
    instant = "2026-01-12T22:30:00+00:00"  # 17:30 in Toronto, 23:30 in Paris
    costs = [rated(matched(band, zone=z), instant).cost_micro for z in
             ("America/Toronto", "Europe/Paris")]  # fmt: skip
    assert costs == [120_000, 60_000]
    started = datetime.fromisoformat("2026-01-12T17:59:50-05:00")
    late = rated(matched(band), "2026-01-12T18:00:00-05:00", started_at=started)
    assert late.cost_micro == 60_000


@pytest.mark.parametrize("instant", ["2026-11-01T05:30:00+00:00", "2026-11-01T06:30:00+00:00"])
def test_an_hour_that_a_clock_shows_twice_is_in_the_band_twice(instant: str) -> None:
    one = WEEKEND | {"begins": "01:00", "ends": "02:00", "tariff_id": "night"}
    assert rated(matched(one), instant).explanation["time_band"] == "weekend"


def test_inbound_calls_and_flat_rates_are_the_same_at_all_times() -> None:
    band = EVENING | {"tariff_id": "night", "markup_percent": "10"}
    evening = "2026-01-12T19:00:00-05:00"
    inbound = rated(matched(band), evening, direction="inbound")
    assert (inbound.cost_micro, "time_band" in inbound.explanation) == (60_000, False)
    flat = rated(matched(band, flat_rate="0.5"), evening)
    assert (flat.cost_micro, "time_band" in flat.explanation) == (500_000, False)


def test_a_band_without_a_tariff_in_force_lets_its_calls_wait() -> None:
    at = datetime.fromisoformat("2026-01-12T19:00:00-05:00")
    call = records.call(billsec=60, started_at=at, answered_at=at, ended_at=at)
    outcome = rate_call(call, matched(EVENING | {"tariff_id": "weekly"}), TARIFFS)
    assert isinstance(outcome, Unrated)
    assert "tariff weekly has no version in force" in outcome.detail


def test_the_dearest_rate_of_a_call_in_progress_is_that_of_any_band() -> None:
    """The call may have been answered in any of them: the brake must not be late."""
    service = matched(EVENING | {"tariff_id": "dear"}).service
    reference = ReferenceData()
    reference.put_account(records.account("a1", services=(service,)))
    for version in VERSIONS:
        reference.put_tariff(version)
    assert reference.dearest_micro("a1", "s1", 60, datetime(2026, 1, 12, tzinfo=UTC)) == 1_800_000
