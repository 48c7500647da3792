"""A service whose stores fail pauses before it exits: a platform may restart it at once."""

import json
import subprocess
import sys
import time

PROGRAM = """
from ringfence.loops import run_together
from ringfence.process import run_service
from ringfence.settings import CommonSettings

async def main(health, stop):
    async def misses(stop):
        raise ConnectionRefusedError("no broker")
    await run_together(stop, misses)

run_service("trial", CommonSettings(), main)
"""


def started() -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, text=True)


def said_why(child: "subprocess.Popen[str]") -> float:
    """The time at which it logged that it gives up."""
    assert child.stderr is not None
    assert json.loads(child.stderr.readline())["event"] == "started"
    assert (
        json.loads(child.stderr.readline())["event"]
        == "dependency still failing; exiting to be restarted"
    )
    return time.monotonic()


def test_it_pauses_before_it_exits() -> None:
    with started() as child:
        since = said_why(child)
        child.communicate(timeout=60)
    assert child.returncode == 75
    assert time.monotonic() - since > 4


def test_a_signal_ends_the_pause() -> None:
    with started() as child:
        since = said_why(child)
        child.terminate()
        child.communicate(timeout=60)
    assert child.returncode == 75
    assert time.monotonic() - since < 4
