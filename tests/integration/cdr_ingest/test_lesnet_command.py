"""`ringfence lesnet try` shows how a profile reads a file, without any server."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run

import pytest

SYNTHETIC = Path(__file__).parents[2] / "fixtures" / "lesnet-synthetic"
RINGFENCE = Path(sys.executable).parent / "ringfence"
HEADER = "Date,Source,Destination,Duration\n"


def lesnet(*arguments: Path | str, folder: Path | str = "/") -> tuple[int, str]:
    done = run(
        [RINGFENCE, "lesnet", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/bin", "LC_ALL": "C.UTF-8", "COLUMNS": "80"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_first_rows_are_shown_as_calls_with_counts_and_age() -> None:
    status, output = lesnet("try", SYNTHETIC / "default.txt", "--did", "2046664021", "--rows", "2")
    assert status == 0, output
    assert "2026-11-20 15:00:00  outbound   0000000000000  12046664021  14165550100" in output
    assert "2026-11-20 15:05:10  inbound" in output
    assert "15:07:00" not in output, "two rows were requested"
    assert "6 lines fit\n0 do not fit (0.0 %)\n2 repeat an earlier line" in output
    assert "newest row: 2026-11-20 16:00:00 UTC" in output
    assert "not billed yet" in output
    assert "The file would be taken." in output
    assert "assumption" in output, "the default profile is announced as an assumption"


def test_an_operators_own_profile_is_used() -> None:
    profile = SYNTHETIC / "semicolon.toml"
    status, output = lesnet("try", SYNTHETIC / "semicolon.txt", "--profile", profile)
    assert status == 0, output
    assert "D4E3CD2BFC791" in output
    assert "assumption" not in output


def test_a_file_of_another_format_would_be_refused() -> None:
    status, output = lesnet("try", SYNTHETIC / "semicolon.txt")
    assert status == 1
    assert "would be refused, and nothing of it taken: header: got" in output


def test_lines_that_do_not_fit_are_shown_and_too_many_refuse_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cdr.txt"
    good = "2026-11-20 09:00:00,12046664021,14165550100,61\n"
    file.write_text(HEADER + good * 19 + "2026-11-20,[red]x,1,2\n")
    status, output = lesnet("try", file)
    assert status == 0, output
    assert "1 do not fit (5.0 %)" in output
    assert "line 21: start: got '2026-11-20'" in output
    status, output = lesnet("try", file, "--max-unfit-percent", "4.9")
    assert status == 1
    assert "1 of 20 lines (5.0 %) do not fit, more than 4.9 %" in output


def test_an_incomplete_file_would_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "cdr.txt"
    file.write_text(f"{HEADER}2026-11-20 09:0")
    status, output = lesnet("try", file)
    assert status == 1
    assert "cut off" in output


def test_rows_in_the_future_raise_the_question_of_the_zone(tmp_path: Path) -> None:
    file = tmp_path / "cdr.txt"
    later = datetime.now(UTC) + timedelta(days=1)
    file.write_text(f"{HEADER}{later:%Y-%m-%d %H:%M:%S},1,2,3\n")
    assert "is the profile's zone right?" in lesnet("try", file)[1]


SERVERS = """
[servers.one]
kind = "lesnet"
url = "https://api.example/v1"
max_unfit_percent = 0
profile = "{profile}"
[servers.two]
kind = "lesnet"
url = "https://api.example/v1"
"""


def test_the_profile_of_a_servers_file_is_used_with_its_limit(tmp_path: Path) -> None:
    servers, file = tmp_path / "servers.toml", tmp_path / "cdr.txt"
    servers.write_text(SERVERS.format(profile=SYNTHETIC / "fixed.toml"))
    good = (SYNTHETIC / "fixed.txt").read_bytes()
    file.write_bytes(good * 20 + b"x\n")
    given = ("try", file, "--profile", servers, "--server")
    status, output = lesnet(*given, "one", "--did", "12046664021")
    assert (status, "more than 0 %" in output) == (1, True), output
    assert "40 lines fit" in output
    for server in ("three", ""):
        status, output = lesnet(*given, server)
        assert (status, "expected one of one, two" in output) == (2, True), output


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("--profile", "/nowhere.toml"), "profile: got '/nowhere.toml'"),
        (("--profile", SYNTHETIC / "default.txt"), "valid TOML"),
        (("--peer", "xyz"), "a peer id of 13 hex digits"),
    ],
)
def test_an_unusable_profile_or_entry_exits_with_2(
    arguments: tuple[str, Path | str], output: str
) -> None:
    status, shown = lesnet("try", SYNTHETIC / "default.txt", *arguments)
    assert (status, output in shown) == (2, True), shown
    assert "Traceback" not in shown


def test_the_default_profile_can_be_printed_copied_and_used(tmp_path: Path) -> None:
    status, text = lesnet("profile")
    assert status == 0
    assert "AN ASSUMPTION" in text
    (tmp_path / "mine.toml").write_text(text)
    given = ("try", SYNTHETIC / "default.txt", "--profile", "mine.toml")
    assert lesnet(*given, folder=tmp_path)[0] == 0
