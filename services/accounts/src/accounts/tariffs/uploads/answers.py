"""The types of responses about uploaded decks. Pure."""

from datetime import datetime
from typing import Literal

from accounts.answers import Answer, ListAnswer


class UploadedDeck(Answer):
    """A file that was uploaded and is no version yet; it is deleted after `ends_at`."""

    deck_id: str
    tariff_id: str
    file_name: str
    bytes: int
    uploaded_by: str
    uploaded_at: datetime
    ends_at: datetime


class UploadedDeckList(ListAnswer):
    """The decks that were uploaded for a tariff, the newest first."""

    items: list[UploadedDeck]


class DeckColumn(Answer):
    """A column of a file: the fields that it holds, and how that is known.

    `reference` is how `map` names it. `proposed`: its name or its values look like the field, and
    nothing uses it until `map` says so. `ignored`: it may be passed over.
    """

    name: str
    reference: str
    fields: list[str]
    how: Literal["own name", "mapped", "proposed"] | None
    ignored: bool
    examples: list[str]


class DeckColumns(Answer):
    """A file as it would be read.

    It can be imported if nothing is `missing` (fields without a column) or `open` (columns from
    which nothing would be computed, and that `ignore_columns` does not name). `fields` are all that
    a column may hold, `mapping` the columns that are not called like their field, `above` the
    lines before the header.
    """

    columns: list[DeckColumn]
    missing: list[str]
    open: list[str]
    fields: list[str]
    mapping: dict[str, str]
    header: bool
    delimiter: Literal["comma", "semicolon", "tab", "pipe"]
    above: int
    layout: str | None
    remembered: dict[str, object]
