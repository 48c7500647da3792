"""One call of a driver, bounded in time, of which whatever goes wrong is a `Retry`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from ringfence_contracts.errors import Retry
from suspender.drivers.driver import OperatorMustAct

log = structlog.get_logger()
T = TypeVar("T")


async def call_driver(
    server_id: str, call: Coroutine[Any, Any, T], *, bound_s: float, late: str = "no answer"
) -> T:
    """What the driver returns.

    Raises Retry with the driver's reason, with `late` and the bound after `bound_s` seconds, and
    with any other error of the driver, which is logged: nothing that a server answers ends us.
    """
    try:
        async with asyncio.timeout(bound_s):
            return await call
    except TimeoutError as error:
        raise Retry(f"{late} within {bound_s:g} s") from error
    except (Retry, OperatorMustAct) as error:
        raise Retry(str(error)) from error
    except Exception as error:
        log.exception("driver failed", server_id=server_id)
        raise Retry(repr(error)) from error
