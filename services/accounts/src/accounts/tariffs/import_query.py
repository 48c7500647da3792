"""The parameters of an import: of the version that it makes, and of the layout of its file."""

import csv
from typing import Annotated, Any, Literal

from pydantic import Field

from accounts.api.bodies import Body, InstantText
from accounts.tariffs.decks.columns import merged, read_mapping, split_pair
from accounts.tariffs.decks.layout import DeckLayout, PriceUnit
from ringfence_contracts.events.model import Currency, Id, Text

_DELIMITERS = {",": "comma", ";": "semicolon"}
_REMEMBERED = "; left out: as remembered"


class NewVersionFields(Body):
    """The fields of a new version that an import and a rollback share."""

    effective_from: InstantText | None = Field(None, description="left out: now")
    dry_run: bool = Field(False, description="validate and compare, write nothing")
    base: int | None = Field(
        None, ge=0, description="refuse unless compared with this version; 0: with none"
    )
    largest: int = Field(20, ge=0, le=1000, description="how many changes of each kind are shown")


class ImportQuery(NewVersionFields):
    """The query parameters of an import."""

    currency: Currency | None = Field(None, description="left out: as before")
    name: Text | None = Field(None, description="left out: as before, or the tariff's id")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="refuse unless these are the rows"
    )
    layout: Id | None = Field(
        None, description="the name of a carrier's layout, which several tariffs may share"
    )
    map: list[Annotated[str, Field(max_length=200)]] = Field(
        [], description="FIELD=COLUMN; remembered with the tariff when a version is made"
    )
    ignore_columns: list[Annotated[str, Field(max_length=2000)]] = Field(
        [],
        description="names of columns, separated by commas, from which nothing is computed; a name"
        " with a comma in quotes",
    )
    header_line: Literal["present", "none"] | None = Field(
        None, description="none: the first line is a row, and `map` gives positions (#2)"
    )
    delimiter: Literal["comma", "semicolon", "tab", "pipe", "auto", ",", ";"] | None = Field(
        None, description=f"auto: detected from the header{_REMEMBERED}"
    )
    decimal: Literal["point", "comma"] | None = Field(
        None, description=f"at first: point{_REMEMBERED}"
    )
    increment: str | None = Field(
        None, max_length=20, description=f"of rows that have none, such as 60/60{_REMEMBERED}"
    )
    rate_per: Literal["minute", "second"] | None = Field(
        None, description=f"the unit of the file's rates; at first: minute{_REMEMBERED}"
    )
    price_unit: PriceUnit | None = Field(
        None,
        description="the part of the currency in which the file's prices are; at first: one"
        f"{_REMEMBERED}",
    )
    dates: Literal["dmy", "mdy"] | None = Field(
        None, description=f"the order of day and month in 03/04/2027{_REMEMBERED}"
    )
    zone: str | None = Field(
        None,
        max_length=60,
        description=f"the zone in which dates begin; at first: UTC{_REMEMBERED}",
    )
    encoding: Literal["utf-8", "cp1252"] | None = Field(
        None, description=f"at first: utf-8, or utf-16 with its mark{_REMEMBERED}"
    )
    sheet: str | None = Field(
        None, max_length=100, description=f"of a workbook with several{_REMEMBERED}"
    )
    put_in_front: str | None = Field(
        None,
        pattern="^([1-9][0-9]{0,3})?$",
        description=f"digits before every code without a +; blank: none{_REMEMBERED}",
    )

    def version_fields(self) -> dict[str, Any]:
        """The fields of the version."""
        own = {*NewVersionFields.model_fields, "currency", "name", "sha256"}
        return self.model_dump(include=own)

    def layout_from(self, remembered: DeckLayout) -> DeckLayout:
        """The layout of this file: what is given replaces what is remembered. Raises BadInput."""
        mapping = merged(remembered.mapping, read_mapping(map(split_pair, self.map)))
        given: dict[str, Any] = {
            "delimiter": _DELIMITERS.get(self.delimiter or "", self.delimiter),
            "decimal_comma": None if self.decimal is None else self.decimal == "comma",
            "header": None if self.header_line is None else self.header_line == "present",
            "increment": self.increment,
            "rate_per": self.rate_per,
            "price_unit": self.price_unit,
            "dates": self.dates,
            "zone": self.zone,
            "encoding": self.encoding,
            "sheet": self.sheet,
            "put_in_front": self.put_in_front,
        }
        layout = remembered.with_settings({**given, "mapping": mapping})
        return layout.ignoring(name for cell in self.ignore_columns for name in _names_in(cell))


def _names_in(cell: str) -> list[str]:
    """The names in a parameter; one with a comma is written in quotes."""
    try:
        return next(csv.reader([cell], skipinitialspace=True, strict=True), [""])
    except csv.Error:
        return cell.split(",")
