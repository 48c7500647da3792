"""Which records of a source are believed."""

from collections.abc import Sequence
from typing import Protocol

from cdr_ingest.sources.source import ListedRecord, SourceRecord, UnprovenRow


class Confirms(Protocol):
    """Turns the records that a source lists into records that are believed."""

    async def confirm(self, records: Sequence[ListedRecord]) -> list[SourceRecord]:
        """The believed records among these; calls that were ingested before may be missing.

        Raises SourceReadError when the source cannot be asked.
        """
        ...

    async def check_empty_list(self) -> None:
        """Raise SourceReadError if an empty list may have another cause than that nobody calls."""
        ...


class BelievesAll:
    """For sources whose records are believed: they yield no `UnprovenRow`."""

    async def confirm(self, records: Sequence[ListedRecord]) -> list[SourceRecord]:
        """The records themselves."""
        believed = [record for record in records if not isinstance(record, UnprovenRow)]
        assert len(believed) == len(records), "a source of rows to confirm needs a RowConfirmer"
        return believed

    async def check_empty_list(self) -> None:
        """Nothing to check."""
