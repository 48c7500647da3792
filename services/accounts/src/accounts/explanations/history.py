"""What is stored about one call. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

StoredRow = Mapping[str, Any]
"""A row of a view, its JSON columns read."""

CallOutcome = Literal["charged", "not-billed", "unrated", "dead", "accepted", "left-out"]
"""What became of a call; `left-out`: cdr-ingest made no call of the record, such as of a B leg."""


class CallHistory(NamedTuple):
    """What is stored about a call: each part is a row, or None; `entries` in the ledger's order."""

    call_id: UUID
    entries: Sequence[StoredRow]
    not_billed: StoredRow | None
    unrated: StoredRow | None
    dead: StoredRow | None
    accepted: StoredRow | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stored about the call."""
        return not any(self[1:])

    @property
    def is_settled(self) -> bool:
        """Whether rating has processed the call, so that an unreadable record of it is the past."""
        return any((self.entries, self.not_billed, self.unrated))

    @property
    def outcome(self) -> CallOutcome:
        """What became of the call. Raises ValueError if nothing is stored about it."""
        if self.entries:
            return "charged"
        if self.not_billed:
            return "not-billed"
        if self.unrated:
            return "unrated"
        if self.dead:
            return "dead"
        if self.accepted is None:
            raise ValueError(f"nothing is stored about call {self.call_id}")
        outcomes: Mapping[str, CallOutcome] = {"published": "accepted", "dead": "dead"}
        return outcomes.get(self.accepted["disposition"], "left-out")

    def reversal_of(self, entry: StoredRow) -> StoredRow | None:
        """The entry by which this charge was given back; None for a live one."""
        return next((row for row in self.entries if row["reverses"] == entry["entry_id"]), None)
