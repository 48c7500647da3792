"""Reads a source so that its failures can be distinguished from failures of our own servers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from cdr_ingest.sources.source import ListedRecord, Source
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_pbx.errors import Refused
from ringfence_pbx.throttle import Throttled


class SourceReadError(Exception):
    """A source could not be read to the end. It never leaves the loop that reads the source.

    `refused`: the server rejected the request, and an operator must act. `after_s`: the pause that
    the server asks for, in seconds; 0 if it names none.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause) or repr(cause))
        self.refused = isinstance(cause, Refused)
        self.after_s = cause.after_s if isinstance(cause, Throttled) else 0.0


async def guarded_records(
    source: Source,
    feed: str,
    start: int,
    stop: int,
    *,
    record_timeout_s: float,
    least_s: int = 0,
) -> AsyncGenerator[ListedRecord, None]:
    """The records of `source.records(feed, start, stop, least_s)`.

    Raises SourceReadError for every failure of the source, and when one record takes longer than
    `record_timeout_s`: a server that sends one byte now and then would otherwise never end. Use it
    within `contextlib.aclosing`.
    """
    try:
        async with aclosing(source.records(feed, start, stop, least_s)) as records:
            while True:
                async with asyncio.timeout(record_timeout_s) as deadline:
                    record = await anext(records, None)
                if record is None:
                    return
                yield record
    except TimeoutError as error:
        reason = f"{source.server_id}: no record within {record_timeout_s:g} s"
        raise SourceReadError(TimeoutError(reason) if deadline.expired() else error) from error
    except Refused as error:
        raise SourceReadError(error) from error
    except TRANSIENT_ERRORS as error:
        raise SourceReadError(error) from error
