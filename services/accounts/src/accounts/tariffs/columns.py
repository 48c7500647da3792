"""Which column of a file holds which field of a tariff: by name, or by a mapping.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterable, Mapping, Sequence

from ringfence_contracts.errors import BadInput

REQUIRED = ("Description", "Prefix", "RateValue", "Increment")
REMARKS = ("ShortDescription", "Lastratechangedate", "OldRate", "RatePremium")
"""Stored as they are in the file; no price depends on them."""

FIELDS = (*REQUIRED, *REMARKS, "status")
_CANONICAL = {name.lower(): name for name in FIELDS}
_MAX_NAME = 100


_EXPECTED = f"FIELD=COLUMN, where FIELD is one of {', '.join(FIELDS)}"


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


def find_columns(header: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """The index of each field's column; optional fields that the file lacks are left out.

    Names are compared without regard to case. Raises BadInput, with the column and the header,
    when a required or mapped column is missing or appears twice.
    """
    names = [name.strip().lower() for name in header]
    wanted = {field: mapping.get(field, field) for field in FIELDS}
    needed = {f: c for f, c in wanted.items() if f in REQUIRED or f in mapping}
    missing = [_column_label(f, c) for f, c in needed.items() if c.lower() not in names]
    twice = [_column_label(f, c) for f, c in wanted.items() if names.count(c.lower()) > 1]
    _refuse_if(missing, "missing", header)
    _refuse_if(twice, "more than once", header)
    return {f: names.index(c.lower()) for f, c in wanted.items() if c.lower() in names}


def _column_label(field: str, column: str) -> str:
    own = column.lower() == field.lower()
    return field if own else f"{column} (mapped to {field})"


def _refuse_if(columns: Sequence[str], what: str, header: Sequence[str]) -> None:
    if columns:
        has = ", ".join(name.strip() for name in header if name.strip())
        expected = (
            f"a header row with {', '.join(REQUIRED)} or what they are mapped to; "
            f"{what}: {', '.join(columns)}"
        )
        raise BadInput("header", has[:300], expected)
