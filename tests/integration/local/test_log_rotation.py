"""Logs are rotated while their process goes on writing."""

import subprocess
import sys
from pathlib import Path

from ringfence_local.processes import child
from ringfence_local.processes.log_rotation import logs_of, rotate


def test_a_process_goes_on_writing_to_the_truncated_log(tmp_path: Path) -> None:
    """It writes from the beginning, without a gap for the earlier lines."""
    log = tmp_path / "rating.log"
    with log.open("ab") as output:
        writer = subprocess.Popen(
            [sys.executable, "-c", "for _ in range(9): print(input(), flush=True)"],
            stdin=subprocess.PIPE, stdout=output, text=True,
        )  # fmt: skip
    assert writer.stdin is not None
    with writer:
        log.write_text("earlier\n" * 100)
        assert rotate(log, at_bytes=100)
        writer.stdin.write("later\n" * 9)
        writer.stdin.close()
    assert log.read_text() == "later\n" * 9
    assert (tmp_path / "rating.log.1").read_text() == "earlier\n" * 100


def test_the_configured_number_of_logs_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "rating.log"
    for n in range(6):
        log.write_text(f"{n}" * 10)
        assert rotate(log, at_bytes=5, kept=3)
    found = {path.name: path.read_text()[0] for path in tmp_path.iterdir() if path.stat().st_size}
    assert found == {"rating.log.1": "5", "rating.log.2": "4", "rating.log.3": "3"}


def test_a_short_log_and_a_missing_one_are_not_rotated(tmp_path: Path) -> None:
    log = tmp_path / "rating.log"
    assert not rotate(log, at_bytes=5)
    log.write_text("short")
    assert not rotate(log, at_bytes=5)
    assert [path.name for path in tmp_path.iterdir()] == ["rating.log"]


def test_all_logs_of_a_stack_are_found(tmp_path: Path) -> None:
    wanted = {"logs/rating.log", "kafka/kafka.log", "postgres/postgres.log"}
    for name in (*wanted, "logs/rating.log.1", "kafka/data/other.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {str(path.relative_to(tmp_path)) for path in logs_of(tmp_path)} == wanted


def test_embedded_servers_append_to_their_logs(tmp_path: Path) -> None:
    """Rotation needs it: the output of `child.start` is opened for appending."""
    log = tmp_path / "kafka.log"
    command = [sys.executable, "-c", "import os; os.lseek(1, 500, 0); os.write(1, b'line')"]
    child.start(command, log=log, end_by="SIGKILL").wait(30)
    assert log.read_bytes() == b"line"
