"""The price of an inbound call by its DID, and the surcharge for payphones."""

from typing import Any

import orjson
import pytest

from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import Rated, Unrated, rate_call
from rating.pricing.tariff import TariffVersions
from ringfence_contracts.events.account import Service
from ringfence_testing import records

RATES = [
    {"dids": "1519", "rate": "0.02", "increment": "60/60", "description": "Ontario"},
    {"dids": "15195550901", "rate": "0.03", "increment": "6/6"},
    {"dids": "toll-free", "rate": "0.035", "increment": "6/6"},
    {"dids": "1888", "rate": "0.05", "increment": "6/6"},
    {"dids": "1", "rate": "0.01", "increment": "60/60"},
]


def matched(**package: Any) -> Match:
    terms = {"tariff_id": "t", "inbound_enabled": True, "inbound_rates": RATES, **package}
    service = Service.model_validate(
        {
            "service_id": "s1", "name": "trunk", "kind": "fusionpbx", "server_id": "pbx1",
            "tenant": "north.example", "package": terms,
        }
    )  # fmt: skip
    found = ProductIndex([records.account("a1", services=(service,))]).match(records.call())
    assert isinstance(found, Match)
    return found


def outcome(did: str, ani_ii: str = "", **package: Any) -> Rated | Unrated:
    call = records.call(direction="inbound", caller_destination=did, ani_ii=ani_ii)
    found = rate_call(call, matched(**package), TariffVersions())
    assert isinstance(found, Rated | Unrated)
    return found


@pytest.mark.parametrize(
    ("did", "prefix", "cost_micro"),
    [
        ("15195550901", "15195550901", 30_000),
        ("5195550901", "15195550901", 30_000),
        ("15195550902", "1519", 20_000),
        ("16045550902", "1", 10_000),
        ("18005550902", "1800", 35_000),
        ("18885550902", "1888", 50_000),
        ("442079460018", None, 40_000),
    ],
)
def test_a_did_has_the_price_of_the_longest_row(
    did: str, prefix: str | None, cost_micro: int
) -> None:
    rated = outcome(did, custom_inbound_rate="0.04")
    assert isinstance(rated, Rated)
    assert rated.cost_micro == cost_micro
    explained = orjson.loads(rated.explanation_json())
    assert explained["prefix"] == prefix
    assert explained["rate_from"] == ("inbound-did" if prefix else "custom-inbound")


def test_a_did_without_a_price_waits() -> None:
    found = outcome("442079460018")
    assert isinstance(found, Unrated)
    assert "no custom inbound rate" in found.detail


@pytest.mark.parametrize(
    ("did", "ani_ii", "surcharged"),
    [
        ("18005550902", "27", True),
        ("18005550902", "29", True),
        ("8005550902", "70", True),
        ("18005550902", "00", False),
        ("18005550902", "", False),
        ("15195550902", "27", False),
    ],
)
def test_a_payphone_is_charged_for_on_toll_free_dids(
    did: str, ani_ii: str, surcharged: bool
) -> None:
    plain = outcome(did)
    found = outcome(did, ani_ii, payphone_surcharge="0.60")
    assert isinstance(plain, Rated)
    assert isinstance(found, Rated)
    assert found.cost_micro - plain.cost_micro == (600_000 if surcharged else 0)
    assert found.explanation.get("ani_ii") == (ani_ii if surcharged else None)
    assert ("payphone_surcharge" in found.explanation) == surcharged


def test_the_surcharge_applies_to_the_rate_of_all_dids_too() -> None:
    found = outcome(
        "18005550902", "27", inbound_rates=[], custom_inbound_rate="0.01", payphone_surcharge="0.6"
    )
    assert isinstance(found, Rated)
    assert found.cost_micro == 610_000
