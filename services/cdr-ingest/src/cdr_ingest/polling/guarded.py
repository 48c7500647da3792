"""Asking a source, so that its failures can be told from those of our own servers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from cdr_ingest.sources.source import Source, SourceRecord
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_pbx.errors import Refused
from ringfence_pbx.throttle import Throttled


class SourceReadError(Exception):
    """A source could not be read to the end. Never let out of the loop that asked.

    `refused`: it said no, and a person must do something; `after_s`: how long it wants to be left
    alone, 0 where it did not say.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause) or repr(cause))
        self.refused = isinstance(cause, Refused)
        self.after_s = cause.after_s if isinstance(cause, Throttled) else 0.0


async def guarded_records(
    source: Source, lane: str, start: int, stop: int, *, patience_s: float
) -> AsyncGenerator[SourceRecord, None]:
    """`source.records`, whose errors all become SourceUnread.

    Each record may take `patience_s`: a server that sends a byte now and then never ends
    otherwise. Use it within `contextlib.aclosing`.
    """
    try:
        async with aclosing(source.records(lane, start, stop)) as records:
            while True:
                async with asyncio.timeout(patience_s) as patience:
                    record = await anext(records, None)
                if record is None:
                    return
                yield record
    except TimeoutError as error:
        gave_up = patience.expired()
        said = f"{source.server_id}: no record within {patience_s:g} s"
        raise SourceReadError(TimeoutError(said) if gave_up else error) from error
    except Refused as error:
        raise SourceReadError(error) from error
    except TRANSIENT_ERRORS as error:
        raise SourceReadError(error) from error
