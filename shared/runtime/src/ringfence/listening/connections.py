"""Limits of an HTTP listener: how many connections, and how long a header may take.

A client that opens connections and sends half a header would otherwise hold them for ever, until
the process may open no more files. Then it would answer nobody, its own health checks included.

- The header of a request must be complete within `header_s` of its first byte, and that of the
  first request within `header_s` of the connection; else the connection is closed.
- Over `most` connections, the one that has waited longest for its first header is closed for the
  new one; if none waits for that, the new one is closed. So clients that send requests are served
  while others only connect.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from prometheus_client import Counter, Gauge

OPEN = Gauge("ringfence_http_connections", "Open connections of an HTTP listener.", ["listener"])
CLOSED = Counter(
    "ringfence_http_connections_closed_total",
    "Connections closed because a header was not complete in time (slow-header), or because there"
    " were too many (too-many).",
    ["listener", "reason"],
)
HEADER_S = 15.0
_END = b"\r\n\r\n"
_LOG_EVERY_S = 30.0
log = structlog.get_logger()


class ConnectionLimits:
    """The limits of one listener, and the connections that it has. `listener` names its metrics."""

    def __init__(self, listener: str, *, most: int, header_s: float = HEADER_S) -> None:
        self.listener = listener
        self.header_s = header_s
        self._most = most
        self._count = 0
        self._waiting: dict[LimitedProtocol, None] = {}
        self._logged_at: dict[str, float] = {}
        OPEN.labels(listener).set(0)

    def factory(self, inner: Callable[..., asyncio.Protocol]) -> Callable[..., asyncio.Protocol]:
        """A factory of protocols that keep the limits around those of `inner`."""
        return lambda *args, **named: LimitedProtocol(self, inner(*args, **named))

    def opened(self, protocol: "LimitedProtocol") -> bool:
        """Count a connection; False if there are too many, and it must be closed."""
        if self._count >= self._most:
            self.note("too-many")
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return False
            oldest.abort()
        self._count += 1
        OPEN.labels(self.listener).set(self._count)
        self._waiting[protocol] = None
        return True

    def requested(self, protocol: "LimitedProtocol") -> None:
        """The connection has sent a whole header."""
        self._waiting.pop(protocol, None)

    def closed(self, protocol: "LimitedProtocol") -> None:
        """The connection has ended."""
        self._waiting.pop(protocol, None)
        self._count -= 1
        OPEN.labels(self.listener).set(self._count)

    def note(self, reason: str) -> None:
        """Count a connection that is closed, and log it, at most every 30 s for each reason."""
        CLOSED.labels(self.listener, reason).inc()
        now = asyncio.get_running_loop().time()
        if now - self._logged_at.get(reason, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_at[reason] = now
            log.warning(
                "connections closed", listener=self.listener, reason=reason, open=self._count
            )


class LimitedProtocol(asyncio.Protocol):
    """Passes everything to another protocol, and closes the connection beyond the limits."""

    def __init__(self, limits: ConnectionLimits, inner: asyncio.Protocol) -> None:
        self._limits = limits
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reads_header = True
        self._tail = b""
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and wait for its first header."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._limits.opened(self):
            self._transport.abort()
            return
        self._is_counted = True
        self._start_timer()
        self._inner.connection_made(
            cast(asyncio.Transport, _WatchedTransport(self._transport, self._answered))
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Stop counting the connection."""
        self._stop_timer()
        if self._is_counted:
            self._release()
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Look for the end of the header, and pass the bytes on."""
        if not self._is_counted:
            return
        if self._reads_header:
            self._look_for_the_end(data)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """As the inner protocol."""
        return self._inner.eof_received() if self._is_counted else None

    def pause_writing(self) -> None:
        """As the inner protocol."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """As the inner protocol."""
        self._inner.resume_writing()

    def abort(self) -> None:
        """Close the connection at once; it is not counted any more."""
        self._stop_timer()
        if self._is_counted:
            self._release()
            self._inner.connection_lost(None)
        if self._transport is not None:
            self._transport.abort()

    def _release(self) -> None:
        self._is_counted = False
        self._limits.closed(self)

    def _look_for_the_end(self, data: bytes) -> None:
        if _END in self._tail + data:
            self._reads_header, self._tail = False, b""
            self._stop_timer()
            self._limits.requested(self)
            return
        self._tail = (self._tail + data)[-3:]
        if self._timer is None:
            self._start_timer()

    def _answered(self) -> None:
        """What is received from now on is the header of the next request."""
        self._reads_header = True

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.header_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._limits.note("slow-header")
        self.abort()


class _WatchedTransport:
    """A transport that says when an answer is written to it."""

    _INTERIM = b"HTTP/1.1 100"

    def __init__(self, transport: asyncio.Transport, answered: Callable[[], None]) -> None:
        self._transport = transport
        self._answered = answered

    def write(self, data: Any) -> None:
        """Write, and note the answer unless it is interim: then the body follows."""
        if bytes(data[: len(self._INTERIM)]) != self._INTERIM:
            self._answered()
        self._transport.write(data)

    def writelines(self, lines: Any) -> None:
        """Write parts of an answer."""
        self._answered()
        self._transport.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
