"""What the columns of a file seem to be, before anything is refused: for a person who maps them.

Pure: without clock, socket, database or logger.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from accounts.tariffs.decks.columns import (
    FIELDS,
    column_key,
    meant_field,
    places_of,
    proposed_columns,
    required_fields,
)
from accounts.tariffs.decks.layout import DELIMITERS, DeckLayout
from accounts.tariffs.decks.table import DeckTable, guessed_fields, seen_table
from accounts.tariffs.decks.text_lines import decode_lines

_ROWS = 20
_EXAMPLES = 3
_LONGEST = 80
_LONGEST_NAME = 100
How = Literal["own name", "mapped", "proposed"]


class SeenColumn(NamedTuple):
    """A column: its name, how a mapping names it, and the fields that it holds.

    `how`: by its own name, as it is mapped, or as a proposal that nothing uses yet; None: no field
    has it. `ignored`: it may be passed over. `examples` are its first values.
    """

    name: str
    reference: str
    fields: Sequence[str]
    how: How | None
    ignored: bool
    examples: Sequence[str]


class DeckLook(NamedTuple):
    """A file as it is read by a layout.

    `missing` are required or mapped fields without a column, `open` columns without a field that
    were not named as such: with either, an import refuses the file.
    """

    columns: Sequence[SeenColumn]
    missing: Sequence[str]
    open: Sequence[str]
    mapping: Mapping[str, str]
    header: bool
    delimiter: str
    above: int


def look_at(lines: Iterable[bytes], layout: DeckLayout) -> DeckLook:
    """Look at the first lines of a file. Raises BadInput for one that holds no text in rows."""
    table = seen_table(decode_lines(lines, layout.encoding), layout)
    layout = table.layout
    rows = _first_rows(table)
    names = [column_key(name) for name in table.header]
    wanted = {field: layout.mapping.get(field, field) for field in FIELDS}
    places = {
        field: found[0] for field, column in wanted.items() if (found := places_of(column, names))
    }
    needed = required_fields(layout.mapping, default_increment=layout.increment is not None)
    missing = [f for f in FIELDS if (f in needed or f in layout.mapping) and f not in places]
    proposed = _proposed(table, rows, dict.fromkeys(missing, ""), set(places.values()))
    ignored = {column_key(name) for name in layout.ignored}
    columns = []
    for at, name in enumerate(table.header):
        fields = [field for field, place in places.items() if place == at]
        how = _how(fields, layout.mapping)
        passed_over = how is None and names[at] in ignored
        if how is None and not passed_over and at in proposed:
            fields, how = [proposed[at]], "proposed"
        reference = _reference(at, table.header, names)
        values = _examples(rows, at)
        columns.append(SeenColumn(name.strip(), reference, fields, how, passed_over, values))
    unused = [c for c in columns if c.how in (None, "proposed") and c.name and not c.ignored]
    return DeckLook(
        columns, missing, [c.name for c in unused], layout.mapping, layout.header,
        next(name for name, mark in DELIMITERS.items() if mark == table.delimiter), table.above,
    )  # fmt: skip


def _how(fields: Sequence[str], mapping: Mapping[str, str]) -> How | None:
    if not fields:
        return None
    return "mapped" if any(field in mapping for field in fields) else "own name"


def _examples(rows: Sequence[Sequence[str]], at: int) -> list[str]:
    values = [row[at].strip()[:_LONGEST] for row in rows if at < len(row)]
    return [value for value in values if value][:_EXAMPLES]


def _first_rows(table: DeckTable) -> list[list[str]]:
    try:
        reader = csv.reader(table.lines, delimiter=table.delimiter)
        return [row for row in islice(reader, _ROWS) if any(map(str.strip, row))]
    except csv.Error:
        return []


def _proposed(
    table: DeckTable, rows: Sequence[Sequence[str]], missing: Mapping[str, str], used: set[int]
) -> dict[int, str]:
    """The field that a column may be meant for, by its place: by its name, or by what it holds."""
    if table.layout.header:
        meant = proposed_columns(table.header, missing)
    else:
        meant = {f: c for f, c in guessed_fields(rows, table.layout).items() if f in missing}
    names = [column_key(name) for name in table.header]
    # A field that is mapped to another column than this file has may be there by its own name.
    meant |= {field: field for field in missing if places_of(field, names)}
    found: dict[int, str] = {}
    for field, column in meant.items():
        for at in places_of(column, names):
            if at not in used:
                found.setdefault(at, field)
    for at, name in enumerate(table.header):
        if at not in used and at not in found and (field := meant_field(name)):
            found[at] = field
    return found


def _reference(at: int, header: Sequence[str], names: Sequence[str]) -> str:
    """How a mapping names a column: by its name where that is clear, else by its position."""
    name = header[at].strip()
    clear = Counter(names)[names[at]] == 1 and name.isprintable() and name
    return name if clear and len(name) <= _LONGEST_NAME else f"#{at + 1}"
