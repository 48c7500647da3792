"""Conformance vectors: CSV files of cases, which a command runs through a service's functions.

Each service supplies a `Case`, which reads a row and lists its mismatches. The form of the files
and the report of the command are the same for all.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import click

from ringfence.console.output import json_option, print_json
from ringfence_contracts.errors import BadInput


class Case(Protocol):
    """One row."""

    def mismatches(self) -> list[str]:
        """A line for each field whose value is not the expected one."""
        ...


C = TypeVar("C", bound=Case)


def vectors_command(
    name: str, summary: str, columns: Sequence[str], read: Callable[[dict[str, str]], Case]
) -> click.Command:
    """A command over any file of this form.

    It prints each mismatch and the counts; exit 1 on a mismatch, 2 on a malformed file.
    """

    @click.command(help=summary)
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @json_option
    def command(file: Path, as_json: bool) -> None:
        cases = read_cases(file, columns, read)
        mismatches = [line for case in cases for line in case.mismatches()]
        if as_json:
            print_json({"name": name, "cases": len(cases), "mismatches": mismatches})
        else:
            for line in mismatches:
                click.echo(line)
            click.echo(f"{name}: {len(cases)} cases, {len(mismatches)} mismatches")
        raise SystemExit(1 if mismatches else 0)

    return command


def read_cases(file: Path, columns: Sequence[str], read: Callable[[dict[str, str]], C]) -> list[C]:
    """All cases of a file. Raises BadInput with the line and the column of a bad value."""
    cases = []
    for line, row in read_rows(file, columns):
        try:
            cases.append(read(row))
        except BadInput as refusal:
            where = f"{file}, line {line}, {refusal.field}"
            raise BadInput(where, refusal.value, refusal.expected) from None
    if not cases:
        raise BadInput(f"{file}", "no cases", "at least one row under the header")
    return cases


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers; columns in any order, others allowed.

    Raises BadInput for a file that is not CSV in UTF-8, for a missing column, and for a row of
    another length than the header, most often because of an unquoted comma.
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
