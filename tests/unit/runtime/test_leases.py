"""A lease is renewed while the work goes on; an error of the renewal is not lost."""

import asyncio

import pytest

from ringfence.postgres.leases import renewed_lease
from ringfence_contracts.errors import Retry

BOUND_S = 5.0


async def test_a_programming_error_in_a_renewal_ends_the_work_and_is_raised() -> None:
    async def renew() -> None:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column"):
        async with asyncio.timeout(BOUND_S), renewed_lease(renew, 0):
            await asyncio.Event().wait()


async def test_a_renewal_that_the_database_does_not_answer_is_repeated() -> None:
    calls = 0
    renewed = asyncio.Event()

    async def renew() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Retry("no answer")
        renewed.set()

    async with asyncio.timeout(BOUND_S), renewed_lease(renew, 0):
        await renewed.wait()
    assert calls >= 2


async def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    async def renew() -> None:
        """The lease is renewed."""

    with pytest.raises(Retry, match="no answer"):
        async with renewed_lease(renew, 0):
            raise Retry("no answer")
