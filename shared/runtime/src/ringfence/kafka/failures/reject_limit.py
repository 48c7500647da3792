"""The reject limit: how many bad records of one source become dead letters one by one.

Pure: without clock, socket, database or logger.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from ringfence_contracts.records import Received

LIMIT = 500
WINDOW = timedelta(hours=1)
_MAX_SOURCES = 10_000
_MAX_NAME = 200
NO_SOURCE = "records without a key"


def source_of(received: Received) -> str:
    """The source of a record, its key: `server_id:tenant` before rating, the account after it."""
    name = (received.key or b"").decode("utf-8", "replace").replace("\x00", "\ufffd").strip()
    return name[:_MAX_NAME] or NO_SOURCE


class RejectLimit:
    """Counts the rejected records of each source; more than `limit` in a window are over it.

    A source that is over the limit stays so until `reset`.
    """

    def __init__(self, limit: int = LIMIT, window: timedelta = WINDOW) -> None:
        self.limit = limit
        self.window = window
        self._counts: dict[str, tuple[datetime, int]] = {}
        self._over: set[str] = set()

    def is_over(self, source: str, now: datetime) -> bool:
        """Count one rejected record of a source; whether it is beyond the limit."""
        if source in self._over:
            return True
        since, count = self._counts.get(source, (now, 0))
        if now - since > self.window:
            since, count = now, 0
        if count >= self.limit:
            self._over.add(source)
            self._counts.pop(source, None)
            return True
        if source not in self._counts and len(self._counts) >= _MAX_SOURCES:
            self._forget_old(now)
        self._counts[source] = (since, count + 1)
        return False

    def set_over(self, sources: Iterable[str]) -> None:
        """Treat these sources as over the limit: they were before a restart."""
        self._over.update(sources)

    def reset(self, source: str) -> None:
        """Count a source from zero again: it has sent no bad record for a window."""
        self._over.discard(source)
        self._counts.pop(source, None)

    def _forget_old(self, now: datetime) -> None:
        """Keep the memory bounded: a sender may write any number of keys."""
        self._counts = {
            source: counted
            for source, counted in self._counts.items()
            if now - counted[0] <= self.window
        }
        if len(self._counts) >= _MAX_SOURCES:
            self._counts.clear()
