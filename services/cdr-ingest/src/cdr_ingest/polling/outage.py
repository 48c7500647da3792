"""When failures of a lane are an outage, and what is told of it."""

from datetime import datetime

import structlog

from cdr_ingest.metrics import SOURCE_DOWN
from cdr_ingest.polling.store import OutageStore
from ringfence.clock import Clock
from ringfence_contracts.events.source import SourceFailed
from ringfence_contracts.ids import derive

FAILURES_OF_AN_OUTAGE = 3
"""So many failures in a row: a server that hiccups once is not worth an operator's attention."""

_MAX_REASON = 500
log = structlog.get_logger()


class OutageWatch:
    """One lane. After a restart it goes on with the outage that stands in the table."""

    def __init__(self, server_id: str, lane: str, *, store: OutageStore, clock: Clock) -> None:
        self._server_id = server_id
        self._lane = lane
        self._store = store
        self._clock = clock
        self._failures = 0
        self._since: datetime | None = None
        self._well = False

    async def failed(self, reason: str, *, refused: bool) -> int:
        """The lane could not be read; how many times in a row. A refusal is told at once."""
        now = self._clock.now()
        self._since = self._since or now
        self._failures += 1
        log.warning(
            "source failed",
            server_id=self._server_id,
            lane=self._lane,
            failures=self._failures,
            reason=reason,
        )
        if refused or self._failures >= FAILURES_OF_AN_OUTAGE:
            SOURCE_DOWN.labels(self._server_id, self._lane).set(1)
            self._well = False
            await self._store.begin(self._outage(reason, self._since, now))
        return self._failures

    def _outage(self, reason: str, since: datetime, now: datetime) -> SourceFailed:
        return SourceFailed(
            outage_id=derive("outage", self._server_id, self._lane, since.isoformat()),
            server_id=self._server_id,
            lane=self._lane,
            reason=reason.replace("\x00", "")[:_MAX_REASON],
            failures=self._failures,
            failed_at=since,
            told_at=now,
        )

    async def worked(self) -> None:
        """The lane was read. Costs nothing while it stays so."""
        self._failures, self._since = 0, None
        if self._well:
            return
        if await self._store.end(self._server_id, self._lane, self._clock.now()):
            log.info("source recovered", server_id=self._server_id, lane=self._lane)
        SOURCE_DOWN.labels(self._server_id, self._lane).set(0)
        self._well = True
