"""Supervised processes, observed from outside."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from ringfence_local.errors import StackError
from ringfence_local.processes import child
from ringfence_local.processes.supervisor import Program, Supervisor
from ringfence_testing.wait import until

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('up', flush=True); time.sleep(300)",
]


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    kept = Supervisor(tmp_path / "logs", pause_s=0.05, stop_bound_s=0.5)
    yield kept
    await kept.stop()


async def is_up(supervisor: Supervisor, name: str, times: int = 1) -> None:
    log = supervisor.log(name)
    await until(lambda: log.is_file() and log.read_text().count("up") == times, what=f"{name} up")


async def test_a_killed_process_is_restarted_and_counted(supervisor: Supervisor) -> None:
    """kill -9: another process id, the same name, one restart."""
    await supervisor.start(Program("sleeper", SLEEPER))
    await is_up(supervisor, "sleeper")
    first = supervisor.pid("sleeper")
    os.kill(first, signal.SIGKILL)
    await is_up(supervisor, "sleeper", times=2)
    assert supervisor.pid("sleeper") != first
    assert supervisor.restart_count("sleeper") == 1
    assert "restarted 1 times, last exit status -9" in supervisor.children["sleeper"].line()


async def test_the_pause_before_a_restart_doubles(tmp_path: Path) -> None:
    """A program that always fails does not use all CPU time."""
    supervisor = Supervisor(tmp_path, pause_s=0.05, pause_max_s=0.2)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await supervisor.start(Program("failing", [sys.executable, "-c", "raise SystemExit(75)"]))
    await until(lambda: supervisor.restart_count("failing") == 4, what="four restarts")
    assert loop.time() - started >= 0.05 + 0.1 + 0.2 + 0.2
    assert supervisor.children["failing"].last_exit == 75
    await supervisor.stop()


async def test_a_restart_that_fails_is_tried_again(supervisor: Supervisor) -> None:
    """As while the disk of the logs is full: the process must not stay away for ever."""
    child = await supervisor.start(Program("sleeper", SLEEPER))
    await is_up(supervisor, "sleeper")
    log = supervisor.log("sleeper")
    log.unlink()
    log.mkdir()
    os.kill(supervisor.pid("sleeper"), signal.SIGKILL)
    await until(lambda: child.state == "waiting", what="its end")
    since = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - since > 0.5, what="some attempts")
    assert supervisor.restart_count("sleeper") == 0
    log.rmdir()
    await is_up(supervisor, "sleeper")
    assert supervisor.restart_count("sleeper") == 1


async def test_a_process_that_exits_with_0_is_not_restarted(supervisor: Supervisor) -> None:
    """Exit status 0 is no failure; `pid` then raises an error that says so."""
    await supervisor.start(Program("done", [sys.executable, "-c", ""]))
    await until(lambda: supervisor.children["done"].state == "ended", what="its end")
    assert supervisor.restart_count("done") == 0
    with pytest.raises(StackError, match="done: ended"):
        supervisor.pid("done")


async def test_stopping_is_in_order_and_has_a_timeout(supervisor: Supervisor) -> None:
    """SIGTERM first, SIGKILL after the timeout; no process is left."""
    await supervisor.start(Program("deaf", DEAF))
    await supervisor.start(Program("sleeper", SLEEPER))
    await is_up(supervisor, "deaf")
    await is_up(supervisor, "sleeper")
    deaf, sleeper = supervisor.children["deaf"], supervisor.children["sleeper"]
    pids = [supervisor.pid("deaf"), supervisor.pid("sleeper")]
    await supervisor.stop()
    assert (deaf.last_exit, sleeper.last_exit) == (-signal.SIGKILL, -signal.SIGTERM)
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_child_is_in_a_process_group_of_its_own(supervisor: Supervisor) -> None:
    """A terminal's Ctrl-C goes to a whole group and must not reach the children."""
    await supervisor.start(Program("sleeper", SLEEPER))
    pid = supervisor.pid("sleeper")
    assert os.getpgid(pid) == pid != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent")
async def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    """kill -9 of the parent: no process is left that uses a port or a folder."""
    parent = _parent_of_a_sleeper(tmp_path / "log")
    try:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        await until(lambda: "up" in (tmp_path / "log").read_text(), what="the grandchild")
    finally:
        parent.kill()
        parent.communicate()
    await until(lambda: not _runs(grandchild), what="the end of the grandchild")


def _parent_of_a_sleeper(log: Path) -> "subprocess.Popen[str]":
    program = (
        "from pathlib import Path; from ringfence_local.processes import child\n"
        f"p = child.start({SLEEPER!r}, log=Path({str(log)!r}), end_by='SIGKILL')\n"
        "print(p.pid, flush=True); p.wait()\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_last_lines_of_a_log_explain_a_failure(tmp_path: Path) -> None:
    """Only the end of a long log, and a fixed text if there is no log."""
    log = tmp_path / "log"
    assert child.last_lines(log) == "(no log)"
    log.write_text("\n".join(str(number) for number in range(5000)))
    assert child.last_lines(log, 3) == "4997\n4998\n4999"
