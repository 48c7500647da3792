"""Reads records with a header name that is not UTF-8, which aiokafka refuses for ever.

Kafka's protocol says UTF-8, but a broker takes any bytes, and librdkafka sends them. aiokafka's
consumer raises UnicodeDecodeError for such a record at every poll, so nothing behind it would be
read. Here its reader in Python is used instead, with the bytes replaced. It is slower than the one
in C, so a consumer of many records uses it only from the first such record on.
"""

from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

log = structlog.get_logger()


class _Replacing(bytearray):
    """Bytes whose slices decode with replacement."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Replacing(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, "replace")


class _ReplacingBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # it ships no types
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Replacing):
            self._buffer = _Replacing(self._buffer)


class _ReplacingRecords(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self, *_: Any) -> Any:
        next_slice = self._next_slice
        if next_slice is None or next_slice[self.MAGIC_OFFSET] < 2:
            return super().next_batch()
        self._cache_next()
        return _ReplacingBatch(next_slice)


def take_any_header_name() -> None:
    """Let all consumers of this process read such records from now on."""
    if fetcher.MemoryRecords is not _ReplacingRecords:
        fetcher.MemoryRecords = _ReplacingRecords


def recover(error: UnicodeDecodeError) -> None:
    """After a poll that failed by such a record: the next one reads it."""
    log.warning("a record has a header name that is not UTF-8", reason=str(error))
    take_any_header_name()
