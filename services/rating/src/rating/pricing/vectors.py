"""The cases of rating's conformance file: the terms of a call, and its expected price."""

from typing import NamedTuple

from rating.pricing.price import CallFees, Charge, PriceTerms
from ringfence_contracts.errors import BadInput

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
FURTHER_COLUMNS = ("minimum_cost", "maximum_cost", "payphone_surcharge")
"""Columns that a file may have behind these. Blank, or without them: no such amount."""


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
            free_seconds_left=_whole(row, "free_seconds_left"),
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
        markup = row["markup_percent"]
        return PriceTerms.outbound(rate, initial_s, increment_s, markup_percent=markup, fees=fees)
    if direction == "inbound":
        return PriceTerms.inbound(rate, initial_s, increment_s, fees=fees)
    raise BadInput("direction", row["direction"], "outbound or inbound")


def _whole(row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInput(column, row[column], "a whole number")
    return int(text)
