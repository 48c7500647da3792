"""Warns before a source deletes calls that were not read yet."""

import structlog

from cdr_ingest.metrics import RETENTION_LEFT

_REPEAT_S = 3600
log = structlog.get_logger()


class RetentionWatch:
    """One feed of a source that keeps calls for `retention_s`; warns `margin_s` before a loss."""

    def __init__(self, server_id: str, feed: str, *, retention_s: int, margin_s: int) -> None:
        self._server_id = server_id
        self._feed = feed
        self._retention_s = retention_s
        self._margin_s = margin_s
        self._warned_at: int | None = None

    def measure(self, read_until: int, now: int) -> int:
        """The seconds until unread calls are deleted; negative if some may be deleted already.

        Both times are Unix seconds. Sets the metric, and logs a warning at most once an hour.
        """
        left_s = self._retention_s - (now - read_until)
        RETENTION_LEFT.labels(self._server_id, self._feed).set(left_s)
        if left_s > self._margin_s:
            self._warned_at = None
        elif self._warned_at is None or now - self._warned_at >= _REPEAT_S:
            self._warned_at = now
            self._warn(left_s, read_until)
        return left_s

    def _warn(self, left_s: int, read_until: int) -> None:
        lost = left_s <= 0
        message = (
            "calls may be lost for good" if lost else "calls will be lost unless they are read"
        )
        log.log(
            40 if lost else 30,
            message,
            server_id=self._server_id,
            lane=self._feed,
            read_until=read_until,
            hours_left=round(left_s / 3600, 1),
            do="get the server to answer, or raise its retention of call records",
        )
