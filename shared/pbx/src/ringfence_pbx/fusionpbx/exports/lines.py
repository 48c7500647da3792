"""Splits an export body that arrives in chunks into lines, in bounded memory."""

from collections.abc import AsyncGenerator, AsyncIterable

MAX_LINE_BYTES = 256 * 1024
"""A row of an export is about 350 bytes. A longer line is cut here, and then cannot be parsed."""


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Each line with its newline; the last one without, if the body does not end with one.

    A line longer than `MAX_LINE_BYTES` is yielded once, cut to that length; its rest is dropped.
    """
    held = bytearray()
    dropping = False
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            if not dropping:
                held += piece
                yield bytes(held[:MAX_LINE_BYTES]) + b"\n"
            held.clear()
            dropping = False
        if not dropping:
            held += rest
        if len(held) > MAX_LINE_BYTES:
            yield bytes(held[:MAX_LINE_BYTES]) + b"\n"
            held.clear()
            dropping = True
    if held:
        yield bytes(held)
