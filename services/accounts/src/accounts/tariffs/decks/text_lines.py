"""The lines of a file as text: UTF-8, UTF-16 with its mark, or an encoding that was declared.

Pure: without clock, socket, database or logger.
"""

import codecs
from collections.abc import Iterable, Iterator

from ringfence_contracts.errors import BadInput

MAX_LINE = 64 * 1024
"""Bytes of the longest line. It bounds what is read at once."""

_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CP1252 = (
    "text in UTF-8: save the file as UTF-8, or declare a file of an older Windows program by "
    "--encoding cp1252"
)


def decode_lines(lines: Iterable[bytes], encoding: str | None = None) -> Iterator[str]:
    """Lines as text, without a byte order mark.

    `lines` end with LF, as bytes. Raises BadInput with the line for a line that is too long, and
    with the byte if it is not in the encoding.
    """
    source = iter(lines)
    first = next(source, b"")
    wide = _UTF_16.get(first[:2])
    if wide is not None:
        yield from _wide_lines(first[2:], source, wide)
        return
    if first.startswith(codecs.BOM_UTF8):
        encoding = None
    for number, line in enumerate(_chain(first, source), 1):
        if len(line) > MAX_LINE:
            raise _too_long(number)
        try:
            text = line.decode(encoding or "utf-8")
        except UnicodeDecodeError as error:
            where = f"line {number}, byte {error.start + 1}: 0x{line[error.start]:02X}"
            expected = _CP1252 if encoding is None else f"text in {encoding}, as was declared"
            raise BadInput("tariff", where, expected) from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _wide_lines(first: bytes, rest: Iterator[bytes], encoding: str) -> Iterator[str]:
    """Lines of UTF-16: a byte 0x0A is not always a line's end there."""
    decoder = codecs.getincrementaldecoder(encoding)()
    open_line = ""
    number = 1
    for raw in _chain(first, rest):
        *ended, open_line = (open_line + _decoded(decoder, raw, number)).split("\n")
        for line in ended:
            number += 1
            yield f"{line}\n"
        if len(open_line) > MAX_LINE:
            raise _too_long(number)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadInput("tariff", f"line {number}", "whole characters of UTF-16") from None
    for line in open_line.split("\n"):
        if line:
            yield line


def _decoded(decoder: codecs.IncrementalDecoder, raw: bytes, number: int) -> str:
    try:
        return decoder.decode(raw)
    except UnicodeDecodeError:
        raise BadInput("tariff", f"line {number}", "text in UTF-16, as the file begins") from None


def _too_long(number: int) -> BadInput:
    expected = f"lines of at most {MAX_LINE} bytes, ended by LF or CRLF"
    return BadInput("tariff", f"line {number}", expected)
