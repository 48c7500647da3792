"""Starts and stops child processes that end with their parent process."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SHIM = Path(__file__).with_name("parent_death_signal.py")


def with_parent_death_signal(
    command: Sequence[str], *, end_by: str, user: str | None = None
) -> list[str]:
    """`command` with the prefix that has it get the signal `end_by` when this process ends.

    `end_by` is a name such as "SIGTERM". Linux sends the signal when the thread that started the
    command ends, so start children from the main thread.
    """
    as_user = ["--as", user] if user else []
    shim = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()), end_by, *as_user, "--"]
    return [*shim, *command]


def start(
    command: Sequence[str],
    *,
    log: Path,
    end_by: str,
    user: str | None = None,
    keep_open: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start `command` with a parent death signal, and append its output to `log`.

    It runs in a process group of its own, so that a terminal's Ctrl-C reaches only the parent,
    which stops its children in order. It inherits the file descriptors `keep_open` with their
    locks.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command line
            with_parent_death_signal(command, end_by=end_by, user=user),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=keep_open,
            process_group=0,
        )


def stop(process: "subprocess.Popen[bytes]", *, by: int, bound_s: float) -> bool:
    """Send `process` the signal `by`, and SIGKILL after `bound_s`; False if SIGKILL was needed."""
    if process.poll() is None:
        process.send_signal(by)
    try:
        process.wait(bound_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def last_lines(log: Path, count: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not log.is_file():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return b"\n".join(file.read().splitlines()[-count:]).decode(errors="replace")
