"""Which column of a file holds which field of a tariff: by name, or by a mapping.

Pure: without clock, socket, database or logger.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ringfence_contracts.errors import BadInput

REQUIRED = ("Description", "Prefix", "RateValue", "Increment")
REMARKS = ("ShortDescription", "Lastratechangedate", "OldRate", "RatePremium")
"""Stored as they are in the file; no price depends on them."""

FEES = ("ConnectionFee", "MinimumCost", "MaximumCost")
"""Amounts of a row for each call; a blank cell leaves the package's."""

FLAGS = ("Blocked", "Forbidden", "Discontinued")
"""A row in which one of these is set is blocked: calls to it are not priced."""

FIELDS = (
    *REQUIRED,
    *REMARKS,
    "status",
    "CountryCode",
    "InitialIncrement",
    "NextIncrement",
    "EffectiveDate",
    "EndDate",
    "ConnectionFee",
    "MinimumCost",
    "MaximumCost",
    "Direction",
    "Origination",
    *FLAGS,
)
EXPORTED = (
    "Description", "Prefix", "RateValue", "Increment", "status", "ShortDescription",
    "Lastratechangedate", "OldRate", "RatePremium", *FEES,
)  # fmt: skip
"""The header of a file that ringfence wrote: what is remembered of a carrier's is not for it."""


_CANONICAL = {name.lower(): name for name in FIELDS}
_APART = re.compile(r"[\s_-]+")
_MAX_NAME = 100
_UNPAID = ("nocharge", "free seconds", "grace", "surcharge", "fee", "per call")
_POSITION = re.compile(r"#([1-9]\d{0,2})", re.ASCII)

_EXPECTED = (
    f"FIELD=COLUMN, where FIELD is one of {', '.join(FIELDS)}, and COLUMN a name in the header or "
    "a position such as #2"
)

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "Description": ("destination", "name", "destination name", "country", "zone", "route"),
    "Prefix": (
        "code", "codes", "dial code", "dial codes", "dialcode", "dialing code", "dialled digits",
        "area code", "area codes", "city code", "breakout", "destination prefixes",
        "destination prefix", "dial prefix", "dest code", "npa", "npanxx",
    ),
    "RateValue": (
        "rate", "price", "rate per minute", "price per minute", "rate/min", "new rate", "price n",
        "rate_cost", "cost", "voice rate", "rate per second", "rate (usd)",
    ),
    "Increment": (
        "billing increment", "increments", "billing increments", "billing", "rounding",
        "rate_increment", "interval",
    ),
    "CountryCode": ("country code", "cc"),
    "InitialIncrement": (
        "interval 1", "initial increment", "first interval", "min duration", "minimum duration",
        "initial", "rate_minimum", "first increment",
    ),
    "NextIncrement": (
        "interval n", "next interval", "subsequent increment", "additional increment",
        "next increment", "second increment", "rate_increment",
    ),
    "EffectiveDate": (
        "effective", "effective date", "effective from", "valid from", "start date", "date",
    ),
    "EndDate": ("end date", "valid to", "valid until", "expiry date", "expires", "end"),
    "ConnectionFee": (
        "surcharge", "rate_surcharge", "connection charge", "setup fee", "set-up fee",
        "call setup fee", "price per call", "per call", "call fee",
    ),
    "MinimumCost": ("minimum charge", "min charge", "minimum price", "min cost"),
    "MaximumCost": ("maximum charge", "max charge", "maximum price", "max cost"),
    "Origination": ("origination prefixes", "origination prefix", "origin", "origin prefix"),
    "Blocked": ("block", "barred"),
    "Discontinued": ("closed",),
}  # fmt: skip
"""What carriers call the columns: proposed when a field is missing, never read by themselves."""


_OWN_KEYS = frozenset(name.lower() for name in FIELDS)


class ColumnPlan(NamedTuple):
    """The index of each field's column, and the names of the columns that no field has."""

    places: Mapping[str, int]
    unused: Sequence[str]


def split_pair(text: str) -> tuple[str, str]:
    """`Prefix=Code` as field and column. Raises BadInput for another form."""
    field, equals, column = text.partition("=")
    if not equals:
        raise BadInput("map", text, _EXPECTED)
    return field, column


def read_mapping(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The column of each field; an empty column resets a field to its own name.

    Raises BadInput for an unknown field, or one that is given twice.
    """
    mapping: dict[str, str] = {}
    for name, column in pairs:
        field = _CANONICAL.get(name.strip().lower())
        if field is None:
            raise BadInput("map", f"{name}={column}", _EXPECTED)
        if field in mapping:
            raise BadInput("map", f"{name}={column}", f"each field once; {field} came before")
        mapping[field] = _column_name(column, field)
    return mapping


def _column_name(text: str, field: str) -> str:
    column = text.strip()
    if len(column) > _MAX_NAME or not column.isprintable():
        raise BadInput("map", f"{field}={column}", f"a name of at most {_MAX_NAME} characters")
    return column


def merged(remembered: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The mapping to store: `given` replaces `remembered`; a field's own name is not stored."""
    both = {**remembered, **given}
    return {
        field: both[field]
        for field in FIELDS
        if both.get(field) and both[field].lower() != field.lower()
    }


def required_fields(mapping: Mapping[str, str], *, default_increment: bool) -> list[str]:
    """The fields that a file must have; an increment comes from one of three places."""
    split = "InitialIncrement" in mapping or "NextIncrement" in mapping
    needed = [name for name in REQUIRED if name != "Increment" or not split]
    if split:
        needed += ["InitialIncrement", "NextIncrement"]
    return [name for name in needed if name != "Increment" or not default_increment]


def find_columns(
    header: Sequence[str], mapping: Mapping[str, str], *, default_increment: bool = False
) -> ColumnPlan:
    """Where each field is; optional fields that the file lacks are left out.

    Names are compared without regard to case and blanks; `#2` is the second column whatever its
    name is. Raises BadInput, with the column and the header, when a required or mapped column is
    missing or appears twice.
    """
    names = [column_key(name) for name in header]
    wanted = {field: mapping.get(field, field) for field in FIELDS}
    required = required_fields(mapping, default_increment=default_increment)
    needed = {f: c for f, c in wanted.items() if f in required or f in mapping}
    missing = {f: c for f, c in needed.items() if not places_of(c, names)}
    if missing:
        raise missing_columns(header, missing)
    twice = [_column_label(f, c) for f, c in wanted.items() if len(places_of(c, names)) > 1]
    if twice:
        expected = f"each column once; more than once: {', '.join(twice)}"
        raise BadInput("header", _listed(header), expected)
    found = {f: places_of(c, names) for f, c in wanted.items()}
    places = {f: at[0] for f, at in found.items() if at}
    used = set(places.values())
    unused = [name.strip() for at, name in enumerate(header) if at not in used and name.strip()]
    return ColumnPlan(places, unused)


def places_of(column: str, names: Sequence[str]) -> list[int]:
    """The places of a column, named or a position such as `#2`, among the keys of names."""
    position = _POSITION.fullmatch(column)
    if position and column_key(column) not in names:
        at = int(position[1]) - 1
        return [at] if at < len(names) else []
    return [at for at, name in enumerate(names) if name == column_key(column)]


def missing_columns(header: Sequence[str], missing: Mapping[str, str]) -> BadInput:
    """The refusal of a header in which these fields have no column, with what may be meant."""
    labels = ", ".join(_column_label(f, c) for f, c in missing.items())
    expected = (
        f"a header row with {', '.join(REQUIRED)} or what they are mapped to; missing: {labels}"
    )
    meant = proposed_columns(header, missing)
    if meant:
        expected += f". Is it this? {_map_options(meant)}"
        used = {column_key(column) for column in meant.values()}
        rest = [n.strip() for n in header if n.strip() and column_key(n) not in used | _OWN_KEYS]
        if rest:
            expected += f" {_ignore_option(rest)}, if no price depends on these{_fee_words(rest)}"
    if "Increment" in missing and not any("Increment" in field for field in meant):
        expected += ". A file without increments needs --increment, such as --increment 60/60"
    return BadInput("header", _listed(header), expected)


def proposed_columns(header: Sequence[str], missing: Mapping[str, str]) -> dict[str, str]:
    """Columns whose names are often used for what is missing, and for what may be there."""
    optional = [f for f in OTHER_NAMES if f not in REQUIRED]
    meant = {f: _alike(f, header) for f in (*missing, *optional)}
    steps = ("InitialIncrement", "NextIncrement")
    if "Increment" in missing and all(meant[field] for field in steps):
        meant.pop("Increment")
    else:
        meant = {field: column for field, column in meant.items() if field not in steps}
    return {field: column for field, column in meant.items() if column}


def _map_options(meant: Mapping[str, str]) -> str:
    return " ".join(f'--map "{field}={column}"' for field, column in meant.items())


def _alike(field: str, header: Sequence[str]) -> str:
    by_key = {column_key(name): name.strip() for name in header}
    return next(
        (by_key[column_key(n)] for n in OTHER_NAMES.get(field, ()) if column_key(n) in by_key), ""
    )


def column_key(name: str) -> str:
    """A column's name without what is written in different ways: case, blanks, `_` and `-`."""
    return _APART.sub("", name).lower()


def check_unused(unused: Sequence[str], ignored: Iterable[str]) -> None:
    """Refuse columns that no field has, unless they were named as such. Raises BadInput.

    A price may depend on a column that is passed over: a date, a fee, a mark of blocked rows.
    """
    known = {column_key(name) for name in ignored}
    open_columns = [name for name in unused if column_key(name) not in known]
    if not open_columns:
        return
    hints = {field: name for name in open_columns if (field := meant_field(name))}
    expected = (
        "columns that the import reads, or that --ignore-columns names: nothing is computed from "
        f"these, and a price may depend on them. Either: {_ignore_option(open_columns)}"
    )
    if hints:
        expected += f". Or: {_map_options(hints)}"
    expected += _fee_words(open_columns)
    raise BadInput("ignore_columns", ", ".join(open_columns), expected)


def meant_field(column: str) -> str:
    """The optional field that a column of this name often holds; blank if none."""
    optional = [f for f in OTHER_NAMES if f not in REQUIRED]
    return next((f for f in optional if column_key(column) in map(column_key, OTHER_NAMES[f])), "")


def _ignore_option(columns: Sequence[str]) -> str:
    return f'--ignore-columns "{",".join(columns)}"'


def _fee_words(columns: Sequence[str]) -> str:
    fees = [column for column in columns if any(word in column.lower() for word in _UNPAID)]
    if not fees:
        return ""
    return f". By their names, the price of a call depends on: {', '.join(fees)}"


def _column_label(field: str, column: str) -> str:
    own = column.lower() == field.lower()
    return field if own else f"{column} (mapped to {field})"


def _listed(header: Sequence[str]) -> str:
    return ", ".join(name.strip() for name in header if name.strip())[:300]
