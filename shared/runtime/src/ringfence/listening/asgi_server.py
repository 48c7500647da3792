"""An ASGI application as one of a service's loops."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ringfence.listening.connections import ConnectionLimits
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence_contracts.errors import BadInput

MOST_CONNECTIONS = 1000
_TURN_S = 1.0
_GRACE_S = 10
log = structlog.get_logger()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class AsgiServer:
    """Serves an application. On stop, requests in flight have 10 s to finish.

    `name` is what it is called in the log and in the metrics of connections; `settings` are the
    names of the settings of `host` and `port`, for the error.
    """

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        progress: Progress,
        name: str = "api",
        settings: str = "RINGFENCE_ACCOUNTS_HOST/PORT",
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._progress = progress
        self._limits = limits or ConnectionLimits(name, most=MOST_CONNECTIONS)
        self._name = name
        self._settings = settings
        self.url = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises BadInput when the address and port cannot be bound."""
        with self._listen() as listener:
            host, port, *_ = listener.getsockname()
            shown_host = f"[{host}]" if ":" in host else host
            server = _Server(
                uvicorn.Config(
                    self._app,
                    http=self._limits.factory(AutoHTTPProtocol),  # type: ignore[arg-type]
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    lifespan="off",
                    timeout_graceful_shutdown=_GRACE_S,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            self.url = f"http://{shown_host}:{port}"
            log.info("listening", **{self._name: self.url})
            while not serving.done() and not await wait_or_stop(stop, _TURN_S):
                self._progress.turned()
            server.should_exit = True
            await serving

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family, backlog=512)
        except OSError as error:
            expected = f"an address and a free TCP port ({error.strerror})"
            where = f"{self._host}:{self._port}"
            raise BadInput(self._settings, where, expected) from error
