"""Health means progress: loops turn, and lag is worked off.

Ready means more: what the service needs answers, and it is not about to end.
"""

import asyncio

from ringfence.observe.health import Health, Progress
from ringfence.observe.readiness import Readiness
from tests.support.narrow import expect


class Ticks:
    """A monotonic clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def progress(clock: Ticks) -> Progress:
    return Progress("events", monotonic=clock, stall_s=45)


def test_a_loop_that_turns_is_healthy_with_nothing_to_read() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(10):
        clock.now += 40
        loop.turned()
        assert loop.problem() is None


def test_a_loop_that_does_not_turn_is_stalled() -> None:
    clock = Ticks()
    loop = progress(clock)
    clock.now += 45
    assert loop.problem() is None
    clock.now += 1
    assert loop.problem() == "events: no turn for 46 s"
    loop.turned()
    assert loop.problem() is None


def test_a_loop_that_has_lag_and_reads_nothing_is_stalled() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(5):
        clock.now += 10
        loop.turned(lag=7)
    assert loop.problem() == "events: 7 records behind and none read for 45 s"
    loop.turned(read=1, lag=6)
    assert loop.problem() is None


def test_a_loop_that_has_lag_and_reads_is_healthy() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(20):
        clock.now += 20
        loop.turned(read=3000, lag=1_000_000)
        assert loop.problem() is None


def test_one_stalled_loop_makes_the_process_unhealthy() -> None:
    clock = Ticks()
    health = Health()
    well, stuck = health.loop("well"), health.loop("stuck", stall_s=1.0)
    for loop in (well, stuck):
        loop.monotonic = clock
        loop.turned(read=2)
    clock.now += 5
    report = health.report()
    assert report["status"] == "stalled"
    assert report["problems"] == ["stuck: no turn for 5 s"]
    assert report["loops"] == {"well": {"read": 2, "lag": 0}, "stuck": {"read": 2, "lag": 0}}
    stuck.turned()
    assert health.report()["status"] == "ok"


async def there() -> None:
    """A dependency that answers."""


async def away() -> None:
    raise ConnectionRefusedError("db.example.net:5432, login ringfence_rating_login")


async def silent() -> None:
    await asyncio.Event().wait()


async def test_a_service_is_ready_when_its_dependencies_answer() -> None:
    health = Health()
    report = await health.ready()
    assert report["status"] == "unready"
    assert report["problems"] == ["starting: nothing is connected yet"]
    health.readiness.need("database", there)
    assert await health.ready() == {"status": "ready", "problems": []}


async def test_a_failing_dependency_makes_unready_not_unhealthy_and_shows_no_address() -> None:
    health = Health()
    health.readiness.need("database", away)
    health.readiness.need("kafka", there)
    report = await health.ready()
    assert report == {"status": "unready", "problems": ["database: ConnectionRefusedError"]}
    assert health.report()["status"] == "ok"


async def test_a_dependency_without_an_answer_in_time_is_missing() -> None:
    readiness = Readiness(answer_s=0.01)
    readiness.need("kafka", silent)
    readiness.need("database", there)
    assert await readiness.missing() == ["kafka: no answer within 0 s"]


async def test_a_dependency_is_not_called_again_before_it_answers() -> None:
    clock, answer, asked = Ticks(), asyncio.Event(), []
    readiness = Readiness(monotonic=clock, answer_s=0.01)

    async def late() -> None:
        asked.append(clock.now)
        await answer.wait()

    readiness.need("database", late)
    for _ in range(3):
        assert await readiness.missing() == ["database: no answer within 0 s"]
        clock.now += 5
    assert len(asked) == 1
    answer.set()
    assert await readiness.missing() == []


async def test_a_stalled_loop_makes_unready() -> None:
    clock = Ticks()
    health = Health()
    health.readiness.need("database", there)
    health.loop("events", stall_s=1.0).monotonic = clock
    clock.now += 5_000_000
    problems = expect(list, (await health.ready())["problems"])
    (problem,) = problems
    assert problem.startswith("events: no turn for")


async def test_a_stopping_service_is_not_ready() -> None:
    stop = asyncio.Event()
    health = Health(stopping=stop.is_set)
    health.readiness.need("database", there)
    assert (await health.ready())["status"] == "ready"
    stop.set()
    report = await health.ready()
    assert report["status"] == "unready"
    assert report["problems"] == ["stopping: work in progress is finished, nothing new is started"]
    assert health.report()["status"] == "ok"


async def test_a_dependency_is_called_at_most_once_a_second() -> None:
    clock = Ticks()
    readiness = Readiness(monotonic=clock)
    asked = []

    async def counted() -> None:
        asked.append(clock.now)

    readiness.need("database", counted)
    await asyncio.gather(*(readiness.missing() for _ in range(50)))
    assert len(asked) == 1
    clock.now += 1
    await readiness.missing()
    assert len(asked) == 2
