"""`ringfence vectors thresholds FILE`: follows balances by balance-watch's own crossings."""

from itertools import pairwise
from typing import NamedTuple

from balance_watch.crossing import cross, level_of, parse_threshold
from ringfence.errors import BadInput
from ringfence.money import parse_micro
from ringfence.vectors import vectors_command

COLUMNS = ("name", "threshold", "balances", "expect_events")
KINDS = ("low", "zero", "restored")


class Case(NamedTuple):
    """One series of balances; the first is where it starts, and causes nothing."""

    name: str
    threshold_micro: int | None
    balances_micro: tuple[int, ...]
    expected: tuple[str, ...]

    @classmethod
    def read(cls, row: dict[str, str]) -> "Case":
        """A case from a row of the file. Raises BadInput by the column's name."""
        return cls(
            name=row["name"],
            threshold_micro=parse_threshold(row["threshold"]).threshold_micro,
            balances_micro=tuple(
                parse_micro(balance, "balances") for balance in row["balances"].split(";")
            ),
            expected=_events(row["expect_events"]),
        )

    def events(self) -> tuple[str, ...]:
        """What the series causes, in order."""
        levels = [level_of(balance, self.threshold_micro) for balance in self.balances_micro]
        moves = (cross(*pair) for pair in pairwise(levels))
        return tuple(kind for kind in moves if kind)

    def mismatches(self) -> list[str]:
        """A line if the events come out otherwise than expected."""
        wanted, came = ";".join(self.expected), ";".join(self.events())
        if wanted == came:
            return []
        return [f"{self.name}: expect_events: expected {wanted or 'none'}, got {came or 'none'}"]


def _events(text: str) -> tuple[str, ...]:
    events = tuple(event.strip().casefold() for event in text.split(";")) if text.strip() else ()
    if not set(events) <= set(KINDS):
        raise BadInput("expect_events", text, f"{', '.join(KINDS)}, separated by ;, or blank")
    return events


command = vectors_command(
    "thresholds",
    "Follow the balances of a CSV file and compare the events with its own.",
    COLUMNS,
    Case.read,
)
