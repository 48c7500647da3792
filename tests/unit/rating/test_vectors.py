"""The commands that run conformance files: tolerant of form, strict in meaning."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ringfence_cli.main import main

VECTORS = Path(__file__).parents[2] / "vectors"
KINDS = ("rating", "suspension", "thresholds", "switching")

Edit = Callable[[list[str], list[list[str]]], None]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[[str, Path], Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The `ringfence` command, run in this process."""

    def run_vectors(kind: str, file: Path) -> Done:
        monkeypatch.setattr("sys.argv", ["ringfence", "vectors", kind, str(file)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run_vectors


def edited(
    kind: str, folder: Path, edit: Edit, *, encoding: str = "utf-8", end: str = "\n"
) -> Path:
    """A copy of a kind's file after `edit` changed its header and rows."""
    with (VECTORS / f"{kind}.csv").open(newline="", encoding="utf-8") as source:
        header, *rows = csv.reader(source)
    edit(header, rows)
    copy = folder / f"{kind}.csv"
    with copy.open("w", newline="", encoding=encoding) as target:
        csv.writer(target, lineterminator=end).writerows([header, *rows])
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_the_projects_own_files_pass(run: Run, kind: str) -> None:
    done = run(kind, VECTORS / f"{kind}.csv")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith(" cases, 0 mismatches")
    assert done.stdout.startswith(f"{kind}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_of_the_file_does_not_matter(run: Run, kind: str, tmp_path: Path) -> None:
    """Columns the other way round, one more of them, CRLF, a byte order mark and a blank line."""

    def turn(header: list[str], rows: list[list[str]]) -> None:
        for cells in (header, *rows):
            cells.reverse()
        header[0] = f" {header[0]} "
        header.append("note")
        for cells in rows:
            cells.append("x, y")
        rows.insert(1, [])

    done = run(kind, edited(kind, tmp_path, turn, encoding="utf-8-sig", end="\r\n"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("kind", "column", "value", "says"),
    [
        ("rating", "expect_cost_micro", "13201", "expected 13201, got 13200"),
        ("rating", "expect_billed_s", "37", "expected 37, got 36"),
        ("rating", "expect_free_used_s", "1", "expected 1, got 0"),
        ("suspension", "expect_wanted", "active", "expected active, got leave"),
        ("suspension", "expect_zero_mail", "yes", "expected yes, got no"),
        ("thresholds", "expect_events", "low", "expected low, got zero"),
        (
            "switching",
            "expect",
            "active;suspended;active;suspended",
            "step 3 (adjust -60): expected active, got suspended",
        ),
    ],
)
def test_a_mismatch_is_shown_and_exits_1(
    run: Run, kind: str, column: str, value: str, says: str, tmp_path: Path
) -> None:
    names = []

    def spoil(header: list[str], rows: list[list[str]]) -> None:
        names.append(rows[0][header.index("name")])
        rows[0][header.index(column)] = value

    done = run(kind, edited(kind, tmp_path, spoil))
    assert done.returncode == 1
    shown, counts = done.stdout.splitlines()
    assert shown == f"{names[0]}: {column}: {says}"
    assert counts.endswith(" cases, 1 mismatches")


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("rating", "billsec", "1.5"),
        ("rating", "billsec", "-1"),
        ("rating", "direction", "sideways"),
        ("rating", "rate_per_min", "cheap"),
        ("rating", "initial_s", "0"),
        ("rating", "connection_fee", "-0.1"),
        ("rating", "minimum_cost", "some"),
        ("rating", "maximum_cost", "-1"),
        ("rating", "expect_cost_micro", ""),
        ("suspension", "credit", "lots"),
        ("suspension", "state", "asleep"),
        ("suspension", "prepaid", ""),
        ("suspension", "voip_suspended", "perhaps"),
        ("suspension", "expect_wanted", "on"),
        ("thresholds", "balances", "20;;5"),
        ("thresholds", "balances", ""),
        ("thresholds", "expect_events", "gone"),
        ("switching", "steps", "topup 5;pay 6;owe 1;owe 0;topup 5"),
        ("switching", "steps", ""),
        ("switching", "expect", "active"),
        ("switching", "expect", "active;suspended;off;suspended;active"),
    ],
)
def test_a_bad_value_is_named_by_line_and_column(
    run: Run, kind: str, column: str, value: str, tmp_path: Path
) -> None:
    def spoil(header: list[str], rows: list[list[str]]) -> None:
        rows[1][header.index(column)] = value

    done = run(kind, edited(kind, tmp_path, spoil))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"line 3, {column}: got " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named(run: Run, kind: str, tmp_path: Path) -> None:
    missing = []

    def drop(header: list[str], rows: list[list[str]]) -> None:
        at = 2
        missing.append(header.pop(at))
        for cells in rows:
            cells.pop(at)

    done = run(kind, edited(kind, tmp_path, drop))
    assert done.returncode == 2
    assert missing[0] in done.stderr


def test_a_file_from_before_calls_had_limits_is_read(run: Run, tmp_path: Path) -> None:
    def drop(header: list[str], rows: list[list[str]]) -> None:
        first = header.index("minimum_cost")
        del header[first:]
        rows[:] = [cells[:first] for cells in rows[:24]]

    done = run("rating", edited("rating", tmp_path, drop))
    assert done.stdout == "rating: 24 cases, 0 mismatches\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"name\n\xff\xfe", b'name\n"open', b"\x00"], ids=repr
)
def test_a_file_that_is_no_csv_is_rejected(
    run: Run, kind: str, content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "odd.csv"
    file.write_bytes(content)
    done = run(kind, file)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_cases_fails(run: Run, kind: str, tmp_path: Path) -> None:
    done = run(kind, edited(kind, tmp_path, lambda _, rows: rows.clear()))
    assert done.returncode == 2
    assert "no cases" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_with_an_unquoted_comma_is_rejected_by_its_line(
    run: Run, kind: str, tmp_path: Path
) -> None:
    done = run(kind, edited(kind, tmp_path, lambda _, rows: rows[0].append("more")))
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert run(kind, tmp_path / "nowhere.csv").returncode == 2
