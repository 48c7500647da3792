"""The tools that other tests rely on."""

import socket
from datetime import UTC, datetime

import pytest

from ringfence_testing.clock import FixedClock
from ringfence_testing.wait import until


async def test_until_gives_the_first_truthy_value() -> None:
    """A function or a coroutine function is called until its result is truthy."""
    answers = iter([0, None, 7])
    assert await until(lambda: next(answers), every_s=0) == 7

    async def later() -> str:
        return "there"

    assert await until(later) == "there"


async def test_until_says_what_it_waited_for_and_saw_last() -> None:
    """The message alone must explain a failed test."""
    with pytest.raises(AssertionError, match=r"not within 0 s: a mail; last value: \[\]"):
        await until(list, timeout_s=0, what="a mail")


def test_the_fixed_clock_changes_only_by_move() -> None:
    """Its time does not change between two moves."""
    clock = FixedClock()
    start = clock.now()
    assert clock.now() == start
    assert (clock.move(minutes=1) - start).total_seconds() == 60
    clock.set(datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_unit_test_cannot_connect() -> None:
    """A test that opens a connection belongs in another folder."""
    with socket.socket() as probe, pytest.raises(AssertionError, match="tests/integration"):
        probe.connect(("127.0.0.1", 9))
