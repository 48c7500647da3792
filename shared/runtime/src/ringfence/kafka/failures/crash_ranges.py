"""Which records a consumer handles alone or not at all after its process ended by a bug.

A bug ends the process, and the offsets of its batch are not committed, so the same records come
again. Each end narrows down where the bug is:

1. The offsets of the batch are stored for each of its partitions.
2. After two ends at overlapping offsets, the records there are handled one at a time.
3. A record that ends the process when it is handled alone, after two ends before, is known to be
   the cause: it becomes a dead letter with the traceback, and the records behind it go on.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ringfence_contracts.records import Received

ENDS_BEFORE_ALONE = 2
ENDS_BEFORE_DEAD = 3

Place = tuple[str, int]
"""A topic and one of its partitions."""


class CrashRange(NamedTuple):
    """Offsets of one partition, one of which ended the process `crashes` times.

    `alone`: the last time, a single record was handled.
    """

    first: int
    last: int
    crashes: int
    alone: bool
    reason: str = ""
    traceback: str = ""

    @property
    def is_dead(self) -> bool:
        """Whether the one record of the range is known to be the cause."""
        return self.alone and self.first == self.last and self.crashes >= ENDS_BEFORE_DEAD

    def is_suspect(self, offset: int) -> bool:
        """Whether the record at `offset` must be handled alone."""
        return self.crashes >= ENDS_BEFORE_ALONE and self.first <= offset <= self.last


class BatchPart(NamedTuple):
    """Records that are handled together; `dead`: the one record is not handled any more."""

    records: Sequence[Received]
    dead: CrashRange | None = None


def divide(batch: Sequence[Received], ranges: Mapping[Place, CrashRange]) -> Iterator[BatchPart]:
    """Divide a batch, in its order: suspects alone, the records between them together."""
    together: list[Received] = []
    for received in batch:
        known = ranges.get((received.topic, received.partition))
        if known is None or not known.is_suspect(received.offset):
            together.append(received)
            continue
        if together:
            yield BatchPart(together)
            together = []
        yield BatchPart([received], known if known.is_dead else None)
    if together:
        yield BatchPart(together)


def offsets_of(batch: Sequence[Received]) -> dict[Place, tuple[int, int]]:
    """The first and last offset of each partition in a batch."""
    found: dict[Place, tuple[int, int]] = {}
    for received in batch:
        place = (received.topic, received.partition)
        first, last = found.get(place, (received.offset, received.offset))
        found[place] = (min(first, received.offset), max(last, received.offset))
    return found


def narrowed(known: CrashRange | None, first: int, last: int, *, alone: bool) -> CrashRange:
    """The range after another end of the process at `first` to `last`."""
    if known is None or last < known.first or first > known.last:
        return CrashRange(first, last, 1, alone)
    return CrashRange(max(first, known.first), min(last, known.last), known.crashes + 1, alone)
