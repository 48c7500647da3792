"""Loops of a service: pauses end with the stop, failures of a dependency are retried."""

import asyncio
from collections.abc import Awaitable, Callable
from socket import gaierror

import pytest
from structlog.testing import capture_logs

from ringfence.loops import run_loop, wait_or_stop
from ringfence.observe.health import Progress
from ringfence_contracts.errors import Retry

HOUR_S = 3600.0


class Steps:
    """A step that returns or raises the given results in turn, and then sets `stop`."""

    def __init__(self, *results: int | Exception) -> None:
        self.results = list(results)
        self.stop = asyncio.Event()

    async def __call__(self) -> int:
        result = self.results.pop(0)
        if not self.results:
            self.stop.set()
        if isinstance(result, Exception):
            raise result
        return result


async def run(steps: Steps, *, every_s: float = 0.0, full_batch: int | None = None) -> Progress:
    progress = Progress("test")
    step: Callable[[], Awaitable[int]] = steps
    async with asyncio.timeout(30):
        await run_loop(
            steps.stop, step, "test waits", progress=progress, every_s=every_s,
            full_batch=full_batch,
        )  # fmt: skip
    return progress


async def test_a_step_is_repeated_until_stop_is_set() -> None:
    progress = await run(Steps(2, 0, 3))
    assert progress.read == 5


async def test_a_full_batch_is_followed_without_a_pause() -> None:
    progress = await run(Steps(10, 11, 9), every_s=HOUR_S, full_batch=10)
    assert progress.read == 30


async def test_a_batch_that_is_not_full_is_followed_by_a_pause() -> None:
    steps = Steps(9, 10)
    running = asyncio.create_task(run(steps, every_s=HOUR_S, full_batch=10))
    for _ in range(100):
        await asyncio.sleep(0)
    assert steps.results == [10]
    steps.stop.set()
    await running


@pytest.mark.parametrize(
    "error",
    [Retry("away"), ConnectionError("reset"), TimeoutError(), gaierror(-2, "Name not known")],
)
async def test_a_step_that_fails_transiently_is_logged_and_repeated(error: Exception) -> None:
    with capture_logs() as logs:
        await run(Steps(error, 1))
    assert logs == [{"event": "test waits", "reason": repr(error), "log_level": "warning"}]


async def test_any_other_error_of_a_step_is_raised() -> None:
    with pytest.raises(KeyError, match="a bug"):
        await run(Steps(KeyError("a bug"), 1))


async def test_the_pause_doubles_with_each_failure_and_is_short_again_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def note(stop: asyncio.Event, seconds: float) -> bool:
        pauses.append(seconds)
        return stop.is_set()

    monkeypatch.setattr("ringfence.loops.wait_or_stop", note)
    steps = Steps(*(Retry("away") for _ in range(5)), 0, Retry("away"), 0)
    await run_loop(
        steps.stop, steps, "test waits", progress=Progress("test"), every_s=1.0,
        longest_pause_s=5.0,
    )  # fmt: skip
    assert pauses == [2.0, 4.0, 5.0, 5.0, 5.0, 1.0, 2.0, 1.0]


async def test_waiting_ends_when_stop_is_set() -> None:
    stop = asyncio.Event()
    assert await wait_or_stop(stop, 0.01) is False
    stop.set()
    assert await wait_or_stop(stop, HOUR_S) is True


async def test_a_loop_is_not_stalled_by_its_own_pause() -> None:
    """Its health endpoint would have the process ended in every pause."""
    now = 0.0
    progress = Progress("test", monotonic=lambda: now)
    stop, turned = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        turned.set()

    running = asyncio.create_task(
        run_loop(stop, step, "test waits", progress=progress, every_s=HOUR_S)
    )
    await turned.wait()
    now = HOUR_S + 1
    assert progress.problem() is None
    now = 2 * HOUR_S
    assert progress.problem() == "test: no turn for 7200 s"
    stop.set()
    await running
