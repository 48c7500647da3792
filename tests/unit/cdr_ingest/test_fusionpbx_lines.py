"""Splitting a body that arrives in chunks into lines."""

from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.fusionpbx.exports.lines import MAX_LINE_BYTES, split_lines


async def chunked(pieces: list[bytes]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


async def lines_of(pieces: list[bytes]) -> list[bytes]:
    return [line async for line in split_lines(chunked(pieces))]


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"x", b"\n")), max_size=20))
async def test_the_lines_do_not_depend_on_the_chunks(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    lines = await lines_of(pieces)
    assert b"".join(lines) == whole
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert all(line.count(b"\n") <= 1 for line in lines)


async def test_a_line_without_end_is_cut_and_the_next_line_is_complete() -> None:
    endless = [b"a" * 100_000] * 7
    lines = await lines_of([b"first\n", *endless, b"a\nnext\n"])
    assert lines[0] == b"first\n"
    assert len(lines[1]) == MAX_LINE_BYTES + 1
    assert lines[2:] == [b"next\n"]


async def test_the_last_line_of_an_incomplete_body_has_no_newline() -> None:
    assert await lines_of([b'"a"\n"b', b'"']) == [b'"a"\n', b'"b"']
