"""Short leases: one replica does a piece of work at a time, and a killed one is replaced.

A lease is an instant in the future on the work's row. The replica that claimed the row extends it
while the work goes on; after a kill nobody does, and another replica claims it once it has ended.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from ringfence.transient import TRANSIENT_ERRORS

LEASE = timedelta(seconds=20)
"""Another replica begins what a killed one had begun after at most this."""


@asynccontextmanager
async def renewed_lease(
    renew: Callable[[], Awaitable[None]], every_s: float
) -> AsyncIterator[None]:
    """Call `renew` every `every_s` seconds while the body runs.

    While the database does not answer, the lease is not renewed, and another replica may begin.
    Any other error of `renew` cancels the body and is raised, as an error of the body would be.
    """
    try:
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(_renew_repeatedly(renew, every_s))
            yield
            renewing.cancel()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


async def _renew_repeatedly(renew: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await renew()
        except TRANSIENT_ERRORS:
            continue
