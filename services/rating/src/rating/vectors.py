"""`ringfence vectors rating FILE`: prices the calls of a conformance file by rating's own price."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from rating.price import Charge, Terms
from ringfence.errors import BadInput

COLUMNS = (
    "name",
    "direction",
    "billsec",
    "rate_per_min",
    "markup_percent",
    "initial_s",
    "increment_s",
    "connection_fee",
    "free_seconds_left",
    "expect_billed_s",
    "expect_free_used_s",
    "expect_cost_micro",
)


class Case(NamedTuple):
    """One call: its terms, and what it is expected to come to."""

    name: str
    terms: Terms
    billsec: int
    free_seconds_left: int
    expected: Charge

    @classmethod
    def read(cls, row: dict[str, str]) -> "Case":
        """A case from a row of the file. Raises BadInput by the column's name."""
        return cls(
            name=row["name"],
            terms=_terms(row),
            billsec=_whole(row, "billsec"),
            free_seconds_left=_whole(row, "free_seconds_left"),
            expected=Charge(
                billed_s=_whole(row, "expect_billed_s"),
                free_s=_whole(row, "expect_free_used_s"),
                cost_micro=_whole(row, "expect_cost_micro"),
            ),
        )

    def mismatches(self) -> list[str]:
        """A line for every field that comes out otherwise than expected."""
        got = self.terms.charge(self.billsec, self.free_seconds_left)
        columns = ("expect_billed_s", "expect_free_used_s", "expect_cost_micro")
        return [
            f"{self.name}: {column}: expected {wanted}, got {came}"
            for column, wanted, came in zip(columns, self.expected, got, strict=True)
            if wanted != came
        ]


@click.command(help="Price the calls of a CSV file and compare with what it expects.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Print each mismatch and the counts; exit 1 on a mismatch, 2 on a malformed file."""
    cases = read_cases(file)
    mismatches = [line for case in cases for line in case.mismatches()]
    for line in mismatches:
        click.echo(line)
    click.echo(f"rating: {len(cases)} cases, {len(mismatches)} mismatches")
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


def _terms(row: dict[str, str]) -> Terms:
    rate, fee = row["rate_per_min"], row["connection_fee"]
    initial_s, increment_s = _whole(row, "initial_s"), _whole(row, "increment_s")
    direction = row["direction"].strip().casefold()
    if direction == "outbound":
        markup = row["markup_percent"]
        return Terms.outbound(
            rate, initial_s, increment_s, markup_percent=markup, connection_fee=fee
        )
    if direction == "inbound":
        return Terms.inbound(rate, initial_s, increment_s, connection_fee=fee)
    raise BadInput("direction", row["direction"], "outbound or inbound")


def _whole(row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInput(column, row[column], "a whole number")
    return int(text)
