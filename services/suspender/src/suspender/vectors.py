"""`ringfence vectors suspension FILE`: decides the cases of a file by the suspender's own rules."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from ringfence.errors import BadInput
from ringfence.events.account import Profile
from ringfence.money import parse_micro
from suspender.suspension import Funds, State, decide_suspension, read_profile

COLUMNS = (
    "name",
    "has_voip_service",
    "manual_voip_suspend",
    "voip_suspended",
    "suspended_written_by",
    "prepaid",
    "credit",
    "outstanding",
    "state",
    "expect_wanted",
    "expect_zero_mail",
)


class Case(NamedTuple):
    """One decision: what is known of a service, and what is expected to be wanted."""

    name: str
    profile: Profile
    prepaid: bool
    funds: Funds
    state: State
    wanted: str
    zero_mail: str

    @classmethod
    def read(cls, row: dict[str, str]) -> "Case":
        """A case from a row of the file. Raises BadInput by the column's name."""
        credit_micro = parse_micro(row["credit"], "credit")
        outstanding_micro = parse_micro(row["outstanding"], "outstanding")
        is_suspended = _one_of(row, "state", "active", "suspended") == "suspended"
        return cls(
            name=row["name"],
            profile=read_profile(
                row["has_voip_service"],
                row["manual_voip_suspend"],
                row["voip_suspended"],
                row["suspended_written_by"],
            ),
            prepaid=_one_of(row, "prepaid", "yes", "no") == "yes",
            funds=Funds(credit_micro, outstanding_micro),
            state="suspended" if is_suspended else "active",
            wanted=_one_of(row, "expect_wanted", "suspended", "active", "leave"),
            zero_mail=_one_of(row, "expect_zero_mail", "yes", "no"),
        )

    def mismatches(self) -> list[str]:
        """A line for every field that comes out otherwise than expected."""
        got = decide_suspension(self.profile, self.funds, prepaid=self.prepaid, state=self.state)
        fields = (
            ("expect_wanted", self.wanted, got.wanted),
            ("expect_zero_mail", self.zero_mail, "yes" if got.zero_mail else "no"),
        )
        return [
            f"{self.name}: {column}: expected {wanted}, got {came}"
            for column, wanted, came in fields
            if wanted != came
        ]


@click.command(help="Decide the cases of a CSV file and compare with what it expects.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(file: Path) -> None:
    """Print each mismatch and the counts; exit 1 on a mismatch, 2 on a malformed file."""
    cases = read_cases(file)
    mismatches = [line for case in cases for line in case.mismatches()]
    for line in mismatches:
        click.echo(line)
    click.echo(f"suspension: {len(cases)} cases, {len(mismatches)} mismatches")
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


def _one_of(row: dict[str, str], column: str, *allowed: str) -> str:
    text = row[column].strip().casefold()
    if text not in allowed:
        raise BadInput(column, row[column], " or ".join(allowed))
    return text
