"""Which bundle of free minutes pays for a number."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.free_bundles import NATIONAL, FreeBundles
from rating.pricing.number import NumberPlan
from rating.pricing.rate_call import Rated, rate_call
from ringfence_contracts.events.account import Package
from tests.unit.rating.test_rate_call import call, matched, versions

EUROPE = {"name": "europe", "minutes": 200, "prefixes": ["44", "33"]}
LONDON = {"name": "london", "minutes": 50, "prefixes": ["4420"]}
NEAR = {"name": "near", "minutes": 10, "prefixes": ["1416", "1900"]}
PACKAGE: dict[str, Any] = {
    "tariff_id": "t",
    "free_minutes": 100,
    "free_bundles": [EUROPE, LONDON, NEAR],
    "free_minutes_prefixes": ["1876", "49", "1613555"],
    "free_minutes_without": ["1604", "491", "1613", "1876234"],
}


def bundles(**changes: Any) -> FreeBundles:
    return FreeBundles(Package.model_validate(PACKAGE | changes))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("442079460018", "london"),
        ("441214960018", "europe"),
        ("33142685300", "europe"),
        ("14162345678", "near"),
        ("19005551234", None),
        ("15192345678", NATIONAL),
        ("16042345678", None),
        ("493012345678", NATIONAL),
        ("4915112345678", None),
        ("16132345678", None),
        ("16135550123", NATIONAL),
        ("18762345678", None),
        ("18763345678", NATIONAL),
        ("390612345678", None),
    ],
)
def test_the_longest_prefix_decides_and_then_the_national_bundle(
    number: str, expected: str | None
) -> None:
    assert bundles().bundle_of(NumberPlan().read(f"+{number}")) == expected


def test_a_prefix_both_in_and_out_is_out() -> None:
    both = bundles(free_minutes_prefixes=["1604"], free_minutes_without=["1604"])
    assert both.bundle_of(NumberPlan().read("16042345678")) is None


@pytest.mark.parametrize("number", ["411", "2112", "*98"])
def test_no_bundle_pays_for_a_short_number(number: str) -> None:
    named = [{"name": "all", "minutes": 1, "prefixes": ["4", "2", "9"]}]
    assert bundles(free_bundles=named).bundle_of(NumberPlan().read(number)) is None


def test_without_prefixes_the_national_bundle_pays_for_national_numbers() -> None:
    plain = FreeBundles(Package(tariff_id="t", free_minutes=2))
    assert plain.granted_s == {NATIONAL: 120}
    assert plain.bundle_of(NumberPlan().read("14162345678")) == NATIONAL
    assert plain.bundle_of(NumberPlan().read("442079460018")) is None
    assert FreeBundles(None).granted_s == {}


@given(
    prefixes=st.lists(st.text("123456789", min_size=1, max_size=8), max_size=8, unique=True),
    number=st.sampled_from(["14162345678", "442079460018", "33142685300", "18762345678"]),
)
def test_a_bundle_pays_exactly_if_one_of_its_prefixes_begins_the_number(
    prefixes: list[str], number: str
) -> None:
    named = [
        {"name": f"b{index}", "minutes": 1, "prefixes": [prefix]}
        for index, prefix in enumerate([*prefixes, number[:3]])
        if prefix not in prefixes[:index]
    ]
    found = bundles(free_bundles=named).bundle_of(NumberPlan().read(f"+{number}"))
    longest = max((p for p in [*prefixes, number[:3]] if number.startswith(p)), key=len)
    assert found == next(each["name"] for each in named if each["prefixes"] == [longest])


def test_an_explanation_names_a_bundle_only_where_it_was_used() -> None:
    match = matched({"free_bundles": [LONDON]})
    found = [rate_call(call("+442079460018"), match, versions(), left_s) for left_s in (0, 30)]
    assert [each.explanation.get("bundle") for each in found if isinstance(each, Rated)] == [
        None,
        "london",
    ]
    national = rate_call(call("14165550101"), match, versions(), 30)
    assert isinstance(national, Rated)
    assert national.free_s == 30
    assert "bundle" not in national.explanation
