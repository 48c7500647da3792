"""Decides when failures of a feed are an outage, and records its beginning and end."""

from datetime import datetime

import structlog

from cdr_ingest.metrics import SOURCE_DOWN
from cdr_ingest.polling.store import OutageStore
from ringfence.clock import Clock
from ringfence_contracts.events.source import SourceFailed
from ringfence_contracts.ids import derive

FAILURES_OF_AN_OUTAGE = 3
"""Failures in a row that make an outage: a single failed poll needs no operator."""

_MAX_REASON = 500
log = structlog.get_logger()


class OutageWatch:
    """The outages of one feed. After a restart it continues the outage that the table holds."""

    def __init__(self, server_id: str, feed: str, *, store: OutageStore, clock: Clock) -> None:
        self._server_id = server_id
        self._feed = feed
        self._store = store
        self._clock = clock
        self._failures = 0
        self._since: datetime | None = None
        self._is_up = False

    async def record_failure(self, reason: str, *, refused: bool) -> int:
        """Record a poll that failed. Returns the number of failures in a row.

        The outage is published after `FAILURES_OF_AN_OUTAGE` failures; after the first one if the
        server `refused` the request.
        """
        now = self._clock.now()
        self._since = self._since or now
        self._failures += 1
        log.warning(
            "source failed",
            server_id=self._server_id,
            lane=self._feed,
            failures=self._failures,
            reason=reason,
        )
        if refused or self._failures >= FAILURES_OF_AN_OUTAGE:
            SOURCE_DOWN.labels(self._server_id, self._feed).set(1)
            self._is_up = False
            await self._store.begin(self._outage(reason, self._since, now))
        return self._failures

    def _outage(self, reason: str, since: datetime, now: datetime) -> SourceFailed:
        return SourceFailed(
            outage_id=derive("outage", self._server_id, self._feed, since.isoformat()),
            server_id=self._server_id,
            lane=self._feed,
            reason=reason.replace("\x00", "")[:_MAX_REASON],
            failures=self._failures,
            failed_at=since,
            told_at=now,
        )

    async def record_success(self) -> None:
        """Record a poll that succeeded. Asks the database only after a failure or a restart."""
        self._failures, self._since = 0, None
        if self._is_up:
            return
        if await self._store.end(self._server_id, self._feed, self._clock.now()):
            log.info("source recovered", server_id=self._server_id, lane=self._feed)
        SOURCE_DOWN.labels(self._server_id, self._feed).set(0)
        self._is_up = True
