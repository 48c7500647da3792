"""The circuit breaker: a server that fails repeatedly is not called for a while."""

from ringfence.breaker import Breaker


class Ticks:
    """A monotonic clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_stays_closed_below_the_number_of_failures() -> None:
    breaker = Breaker(after=3, rest_s=15, monotonic=Ticks())
    for _ in range(2):
        breaker.failed()
        assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    assert breaker.failing


def test_a_success_resets_the_count_of_failures() -> None:
    breaker = Breaker(after=2, rest_s=15, monotonic=Ticks())
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
    assert not breaker.failing


def test_after_its_pause_one_probe_decides_whether_it_closes() -> None:
    clock = Ticks()
    breaker = Breaker(after=1, rest_s=15, monotonic=clock)
    breaker.failed()
    clock.now += 14.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
    assert breaker.failing, "only a probe is in order"
    breaker.failed()
    assert not breaker.allows()
    clock.now += 15
    breaker.succeeded()
    assert breaker.allows()
    assert not breaker.failing
