"""`ringfence vectors thresholds FILE`: follows balances by balance-watch's own crossings."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click

from balance_watch.crossing import cross, level_of, parse_threshold
from ringfence.errors import BadInput
from ringfence.money import parse_micro

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


@click.command(help="Follow the balances of a CSV file and compare the events with its own.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Print each mismatch and the counts; exit 1 on a mismatch, 2 on a malformed file."""
    cases = read_cases(file)
    mismatches = [line for case in cases for line in case.mismatches()]
    for line in mismatches:
        click.echo(line)
    click.echo(f"thresholds: {len(cases)} cases, {len(mismatches)} mismatches")
    raise SystemExit(1 if mismatches else 0)


def read_cases(file: Path) -> list[Case]:
    """All cases of a file. Raises BadInput with the line and the column of a bad value."""
    cases = []
    for line, row in read_rows(file, COLUMNS):
        try:
            cases.append(Case.read(row))
        except BadInput as refusal:
            where = f"{file}, line {line}, {refusal.field}"
            raise BadInput(where, refusal.value, refusal.expected) from None
    if not cases:
        raise BadInput(f"{file}", "no cases", "at least one row under the header")
    return cases


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers; columns in any order, further ones allowed.

    Raises BadInput for what is no CSV in UTF-8, for a missing column and for a row of another
    length than the header, which is most often an unquoted comma.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [column.strip() for column in next(reader, [])]
        missing = [column for column in columns if header.count(column) != 1]
        if missing:
            expected = f"each of these columns once: {', '.join(missing)}"
            raise BadInput(f"{file}, header", ",".join(header), expected)
        for cells in filter(None, reader):
            if len(cells) != len(header):
                where, got = f"{file}, line {reader.line_num}", f"{len(cells)} values"
                raise BadInput(where, got, f"{len(header)}, as many as there are columns")
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{file}", str(error), "CSV in UTF-8") from None


def _events(text: str) -> tuple[str, ...]:
    events = tuple(event.strip().casefold() for event in text.split(";")) if text.strip() else ()
    if not set(events) <= set(KINDS):
        raise BadInput("expect_events", text, f"{', '.join(KINDS)}, separated by ;, or blank")
    return events
