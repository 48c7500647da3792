"""An aiohttp listener that keeps the limits of connections."""

import asyncio
from typing import Any

from aiohttp import web

from ringfence.listening.connections import ConnectionLimits

STRICT: dict[str, Any] = {
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,
    "auto_decompress": False,
}
"""Arguments of AppRunner: idle connections are closed, a body that nobody reads is not waited for,
and no body is decompressed: a few bytes could become gigabytes before anybody is authenticated."""


class LimitedSite(web.TCPSite):
    """A TCPSite whose connections are limited."""

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        *,
        limits: ConnectionLimits,
        backlog: int = 128,
    ) -> None:
        super().__init__(runner, host, port, backlog=backlog)
        self._limits = limits

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None, "the runner is set up"
        self._server = await asyncio.get_running_loop().create_server(
            self._limits.factory(server), self._host, self._port, backlog=self._backlog
        )
