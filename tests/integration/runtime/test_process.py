"""A service as a process: its exit status tells a platform what to do next."""

import json
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

GIVES_UP = "dependency still failing; exiting to be restarted"
PROGRAM = """
import asyncio
from ringfence_contracts.errors import Reject, Retry
from ringfence.loops import run_together
from ringfence.process import run_service
from ringfence.settings import CommonSettings

async def main(health, stop):
    {body}

run_service("trial", CommonSettings(), main)
"""


@contextmanager
def process(body: str) -> Iterator["subprocess.Popen[str]"]:
    """A process whose service does `body`; ended with the block at the latest."""
    text = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    child = subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stderr is not None
        child.stderr.close()


def ended(body: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of such a process, and what it logged."""
    with process(body) as child:
        _, errors = child.communicate(timeout=60)
        return child.returncode, [json.loads(line) for line in errors.splitlines()]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (
            "raise Retry('the database is away')",
            75,
            GIVES_UP,
        ),
        (
            "raise ConnectionRefusedError('no broker')",
            75,
            GIVES_UP,
        ),
        ("raise ZeroDivisionError('oops')", 70, "a bug"),
        ("raise Reject('not put into the outcome')", 70, "a bug"),
    ],
)
def test_the_exit_status_says_what_happened(body: str, status: int, says: str) -> None:
    code, lines = ended(body)
    assert code == status
    assert lines[-1]["event"] == says
    assert lines[-1]["service"] == "trial"


def test_a_failing_loop_stops_the_others_and_decides_the_exit_status() -> None:
    code, lines = ended(
        """
        async def fails(stop):
            raise Retry("the database is away")
        async def works(stop):
            await stop.wait()
            import structlog
            structlog.get_logger().info("finished the work in progress")
        await run_together(stop, works, fails)
        """
    )
    assert code == 75
    assert "finished the work in progress" in [line["event"] for line in lines]


def test_a_bug_is_logged_with_its_traceback() -> None:
    _, lines = ended("raise ZeroDivisionError('oops')")
    assert "ZeroDivisionError: oops" in lines[-1]["exception"]


def test_a_loop_that_ends_by_itself_ends_the_service() -> None:
    code, _ = ended(
        """
        async def done(stop):
            return
        async def works(stop):
            await stop.wait()
        await run_together(stop, works, done)
        """
    )
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_loops_finish_and_is_no_failure(number: signal.Signals) -> None:
    body = """
        async def works(stop):
            await stop.wait()
            import structlog
            structlog.get_logger().info("finished the work in progress")
        await run_together(stop, works)
        """
    with process(body) as child:
        assert child.stderr is not None
        assert json.loads(child.stderr.readline())["event"] == "started"
        child.send_signal(number)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0
    said = [json.loads(line)["event"] for line in errors.splitlines()]
    assert said == ["finished the work in progress", "stopped"]


def test_health_and_metrics_are_served_and_a_stalled_loop_shows() -> None:
    body = """
        well, stuck = health.loop("well"), health.loop("stuck", stall_s=0.2)
        while not stop.is_set():
            well.turned(read=1)
            await asyncio.sleep(0.02)
        """
    with process(body) as child:
        assert child.stderr is not None
        (address,) = json.loads(child.stderr.readline())["health"]
        status, report = _eventually(f"{address}/health", 503)
        assert status == 503
        assert json.loads(report)["problems"][0].startswith("stuck: no turn for")
        status, metrics = _get(f"{address}/metrics")
        assert status == 200
        assert b"ringfence_events_total" in metrics


def test_readiness_is_separate_from_health() -> None:
    """An unreachable database is no reason to restart; a stopping service takes no new work."""
    body = """
        async def away():
            raise ConnectionRefusedError("postgresql://login@db.example.net/ringfence")
        health.readiness.need("database", away)
        async def ends_late(stop):
            await stop.wait()
            import structlog
            structlog.get_logger().info("asked to stop")
            await asyncio.sleep(20)
        await run_together(stop, ends_late)
        """
    with process(body) as child:
        assert child.stderr is not None
        (address,) = json.loads(child.stderr.readline())["health"]
        status, report = _get(f"{address}/ready")
        assert status == 503
        assert json.loads(report)["problems"] == ["database: ConnectionRefusedError"]
        assert _get(f"{address}/health")[0] == 200
        child.send_signal(signal.SIGTERM)
        assert json.loads(child.stderr.readline())["event"] == "asked to stop"
        (problem,) = json.loads(_get(f"{address}/ready")[1])["problems"]
        assert problem.startswith("stopping")
        assert _get(f"{address}/health")[0] == 200


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own process
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _eventually(url: str, status: int) -> tuple[int, bytes]:
    deadline = time.monotonic() + 10
    answer = _get(url)
    while answer[0] != status and time.monotonic() < deadline:
        answer = _get(url)
    return answer
