"""Recorded calls of odd lengths, from the post of a switch to the charge."""

import csv
from pathlib import Path

import pytest

from cdr_ingest.receiver.formats import READERS, Posted
from rating.exposure.long_calls import LONG_CALL_S
from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import NotBilled, Rated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.money import format_micro
from ringfence_pbx.servers import FusionPbxServer
from ringfence_testing.records import NOON, account

FOLDER = Path(__file__).parents[2] / "cases" / "durations"
CASES = list(csv.DictReader((FOLDER / "cases.csv").read_text(encoding="utf-8").splitlines()))
SERVER = FusionPbxServer.model_validate(
    {"kind": "fusionpbx", "url": "https://pbx1.example", "api_key": {"env": "KEY"}}
)


def posted(name: str) -> CallCompleted:
    body = (FOLDER / name).read_bytes()
    call = READERS["fusionpbx", "json"](Posted("pbx1", SERVER, "application/json", {}, body))
    assert isinstance(call, CallCompleted)
    return call


def versions() -> TariffVersions:
    text = (FOLDER / "tariff.csv").read_text(encoding="utf-8")
    deck = Deck(
        (row["Prefix"], row["Description"], row["RateValue"], increment_s, increment_s, 1)
        for row in csv.DictReader(text.splitlines())
        if (increment_s := int(row["Increment"]))
    )
    return TariffVersions([TariffVersion(1, "north", "CAD", NOON.replace(year=2020), deck)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_recorded_call_costs_what_it_should(case: dict[str, str]) -> None:
    call = posted(case["input"])
    found = ProductIndex([account(tenant="h1.voip.example")]).match(call)
    assert isinstance(found, Match)
    outcome = rate_call(call, found, versions())
    if case["cost"] == "0":
        assert isinstance(outcome, NotBilled)
        assert outcome.reason == "unanswered"
    else:
        assert isinstance(outcome, Rated)
        assert format_micro(outcome.cost_micro) == case["cost"]


def test_the_call_of_twelve_hours_is_one_that_an_operator_is_informed_of() -> None:
    assert posted("call-D04.json").billsec > LONG_CALL_S
    assert posted("call-D03.json").billsec <= LONG_CALL_S
