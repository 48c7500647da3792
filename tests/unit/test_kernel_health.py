"""Health means progress: loops turn, and what there is to read is being read."""

from ringfence.observe.health import Health, Progress


class Ticks:
    """A monotonic clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def progress(clock: Ticks) -> Progress:
    return Progress("events", monotonic=clock, stall_s=45)


def test_a_loop_that_turns_is_well_however_little_there_is_to_read() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(10):
        clock.now += 40
        loop.turned()
        assert loop.problem() is None


def test_a_loop_that_does_not_turn_is_stuck() -> None:
    clock = Ticks()
    loop = progress(clock)
    clock.now += 45
    assert loop.problem() is None
    clock.now += 1
    assert loop.problem() == "events: no turn for 46 s"
    loop.turned()
    assert loop.problem() is None


def test_a_loop_that_turns_and_reads_nothing_of_what_is_there_is_stuck_too() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(5):
        clock.now += 10
        loop.turned(lag=7)
    assert loop.problem() == "events: 7 records behind and none read for 45 s"
    loop.turned(read=1, lag=6)
    assert loop.problem() is None


def test_behind_and_reading_is_well() -> None:
    clock = Ticks()
    loop = progress(clock)
    for _ in range(20):
        clock.now += 20
        loop.turned(read=3000, lag=1_000_000)
        assert loop.problem() is None


def test_one_stuck_loop_makes_the_process_unwell() -> None:
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
