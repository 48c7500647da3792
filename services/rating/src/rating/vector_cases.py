"""The cases of rating's conformance file: the terms of a call, and its expected price."""

from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from rating.pricing.billing_period import parse_instant, zone_of
from rating.pricing.free_bundles import FreeBundles
from rating.pricing.number import NumberPlan
from rating.pricing.price import CallFees, Charge, PriceTerms
from rating.pricing.time_bands import TimeBands
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package

COLUMNS = (
    "name",
    "direction",
    "billsec",
    "rate_per_min",
    "markup_percent",
    "initial_s",
    "increment_s",
    "connection_fee",
    "free_seconds_left",
    "expect_billed_s",
    "expect_free_used_s",
    "expect_cost_micro",
)
FURTHER_COLUMNS = (
    "minimum_cost",
    "maximum_cost",
    "payphone_surcharge",
    "number",
    "free_prefixes",
    "answered_at",
    "time_zone",
    "band_days",
    "band_begins",
    "band_ends",
    "band_markup_percent",
)
"""Columns that a file may have behind these. Blank, or without them: no such amount, free seconds
for every number, no time band.
"""


class PriceCase(NamedTuple):
    """One call: its terms and its expected price."""

    name: str
    terms: PriceTerms
    billsec: int
    free_seconds_left: int
    expected: Charge

    @classmethod
    def read(cls, row: dict[str, str]) -> "PriceCase":
        """A case from a row of the file. Raises BadInput by the column's name."""
        return cls(
            name=row["name"],
            terms=_terms(row),
            billsec=_whole(row, "billsec"),
            free_seconds_left=_free_seconds_left(row),
            expected=Charge(
                billed_s=_whole(row, "expect_billed_s"),
                free_s=_whole(row, "expect_free_used_s"),
                cost_micro=_whole(row, "expect_cost_micro"),
            ),
        )

    def mismatches(self) -> list[str]:
        """A line for every field that differs from what is expected."""
        got = self.terms.charge(self.billsec, self.free_seconds_left)
        columns = ("expect_billed_s", "expect_free_used_s", "expect_cost_micro")
        return [
            f"{self.name}: {column}: expected {expected}, got {actual}"
            for column, expected, actual in zip(columns, self.expected, got, strict=True)
            if expected != actual
        ]


def _terms(row: dict[str, str]) -> PriceTerms:
    rate = row["rate_per_min"]
    fees = CallFees(
        row["connection_fee"],
        row.get("minimum_cost", "").strip() or "0",
        row.get("maximum_cost", "").strip() or None,
        payphone_surcharge=row.get("payphone_surcharge", "").strip() or "0",
    )
    initial_s, increment_s = _whole(row, "initial_s"), _whole(row, "increment_s")
    direction = row["direction"].strip().casefold()
    if direction == "outbound":
        markup = _markup_percent(row)
        return PriceTerms.outbound(rate, initial_s, increment_s, markup_percent=markup, fees=fees)
    if direction == "inbound":
        return PriceTerms.inbound(rate, initial_s, increment_s, fees=fees)
    raise BadInput("direction", row["direction"], "outbound or inbound")


def _free_seconds_left(row: dict[str, str]) -> int:
    """Those of the bundle of `free_prefixes`, if the call's number is one of them."""
    left_s = _whole(row, "free_seconds_left")
    if not (prefixes := row.get("free_prefixes", "").strip()):
        return left_s
    bundle = {"name": "bundle", "minutes": 1, "prefixes": tuple(prefixes.split("/"))}
    bundles = FreeBundles(_package("free_prefixes", prefixes, free_bundles=(bundle,)))
    number = NumberPlan().read(f"+{row.get('number', '').strip().lstrip('+')}")
    return left_s if bundles.bundle_of(number) == "bundle" else 0


def _markup_percent(row: dict[str, str]) -> str:
    """That of the time band, if the call was answered in it."""
    if not (begins := row.get("band_begins", "").strip()):
        return row["markup_percent"]
    band = {
        "name": "band",
        "days": tuple(row.get("band_days", "").strip().split("/")),
        "begins": begins,
        "ends": row.get("band_ends", "").strip(),
    }
    named = "band_days, band_begins, band_ends"
    package = _package(named, " ".join(map(str, band.values())), time_bands=(band,))
    local = _answered_at(row).astimezone(zone_of(row.get("time_zone", "").strip()))
    is_in = TimeBands(package.time_bands).place(local) is not None
    return row.get("band_markup_percent", "").strip() if is_in else row["markup_percent"]


def _answered_at(row: dict[str, str]) -> datetime:
    text = row.get("answered_at", "").strip()
    return parse_instant("answered_at", text, "UTC")


def _package(column: str, text: str, **fields: Any) -> Package:
    try:
        return Package.model_validate({"tariff_id": "any", **fields})
    except ValidationError:
        expected = "prefixes such as 44/33; days such as mon/tue, and times such as 18:00"
        raise BadInput(column, text, expected) from None


def _whole(row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInput(column, row[column], "a whole number")
    return int(text)
