"""The layout of a carrier's files: all that an import has to know to read one, as it is remembered.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from accounts.packages.terms import INCREMENT, read_increment
from ringfence_contracts.errors import BadInput

DELIMITERS: Mapping[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
MOST_IGNORED = 200
PriceUnit = Literal["one", "hundredth", "thousandth"]
_PLACES: Mapping[PriceUnit | None, int] = {None: 0, "one": 0, "hundredth": 2, "thousandth": 3}


@dataclass(frozen=True)
class DeckLayout:
    """How to read a file. None: detected, or not declared.

    `mapping` gives the columns of fields that do not have their own names. `header` False: the
    first line is a row already. `increment` is that of rows without one. `dates` is the order of
    day and month in dates such as 03/04/2027; `price_unit` is the part of the currency in which all
    prices are, the whole one if None; a date begins at 00:00 in `zone`. `put_in_front`
    are digits before codes that are not written with a `+`. `ignored` names columns that may be
    passed over.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    decimal_comma: bool = False
    header: bool = True
    increment: str | None = None
    dates: Literal["dmy", "mdy"] | None = None
    zone: str = "UTC"
    encoding: Literal["utf-8", "cp1252"] | None = None
    sheet: str | None = None
    rate_per: Literal["minute", "second"] | None = None
    price_unit: PriceUnit | None = None
    put_in_front: str | None = None
    ignored: Sequence[str] = ()

    def with_settings(self, given: Mapping[str, Any]) -> "DeckLayout":
        """This layout with other settings; a value of None keeps what is remembered, "" resets it.

        Raises BadInput for an increment or a time zone that cannot be.
        """
        changed = {name: value for name, value in given.items() if value is not None}
        for name in ("put_in_front", "increment", "sheet"):
            if changed.get(name) == "":
                changed[name] = None
        if changed.get("delimiter") == "auto":
            changed["delimiter"] = None
        layout = replace(self, **changed)
        if layout.increment is not None and read_increment(layout.increment) is None:
            raise BadInput("increment", layout.increment, INCREMENT)
        if layout.zone not in _zones():
            raise BadInput("zone", layout.zone, "a time zone such as Europe/London")
        return layout

    def ignoring(self, columns: Iterable[str]) -> "DeckLayout":
        """This layout with further columns that may be passed over; "" and "none" reset them all.

        Raises BadInput for too many.
        """
        names = [name.strip() for name in columns]
        if not names:
            return self
        known = () if {"", "none"} & set(names) and len(names) == 1 else self.ignored
        wanted = dict.fromkeys((*known, *(n for n in names if n and n != "none")))
        if len(wanted) > MOST_IGNORED:
            raise BadInput("ignore_columns", f"{len(wanted)} columns", f"at most {MOST_IGNORED}")
        return replace(self, ignored=tuple(wanted))

    def settings(self) -> dict[str, Any]:
        """What is remembered beside the mapping: the settings that are not as in a new layout."""
        fresh = asdict(DeckLayout())
        found = {name: value for name, value in asdict(self).items() if value != fresh[name]}
        found.pop("mapping", None)
        return {n: list(v) if isinstance(v, tuple) else v for n, v in found.items()}

    @property
    def price_places(self) -> int:
        """By how many places the decimal point of a price moves to the left."""
        return _PLACES[self.price_unit]

    def increments(self) -> tuple[int, int] | None:
        """Initial and further seconds of rows without an increment; None if not declared."""
        return None if self.increment is None else read_increment(self.increment)


def layout_of(mapping: Mapping[str, str], settings: Mapping[str, Any]) -> DeckLayout:
    """A layout as it was remembered; settings of another version of the program are passed over."""
    known = DeckLayout.__dataclass_fields__.keys() - {"mapping"}
    found = {n: v for n, v in settings.items() if n in known}
    return DeckLayout(mapping, **{**found, "ignored": tuple(found.get("ignored", ()))})


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(layout: DeckLayout) -> ZoneInfo:
    """The zone in which the dates of a file begin."""
    return ZoneInfo(layout.zone)
