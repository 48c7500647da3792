"""Starts an embedded server again when it has ended by itself, as the supervisor does programs."""

import asyncio
from collections.abc import Callable

from ringfence_local.embedded.server import EmbeddedServer, start_async
from ringfence_local.errors import StackError

_LOOK_EVERY_S = 0.5
_PAUSE_S = 1.0
_PAUSE_MAX_S = 30.0


class ServerKeeper:
    """Keeps one server running, on the port that it has.

    `report` gets a line for people about each end, restart and failure of a restart. Run it in the
    main thread's event loop, because the server ends with the thread that launched it.
    """

    def __init__(self, name: str, server: EmbeddedServer, report: Callable[[str], None]) -> None:
        self.name = name
        self._server = server
        self._report = report
        self.restart_count = 0
        self.is_down = False

    async def run(self) -> None:
        """Look at the server until this is cancelled."""
        pause_s = _PAUSE_S
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not self._server.ended and not self.is_down:
                continue
            if not self.is_down:
                self._report(f"{self.name} has ended; starting it again")
            self.is_down = True
            try:
                await start_async(self._server)
            except (StackError, OSError) as error:
                self._report(f"{self.name} does not start: {error}")
                await asyncio.sleep(pause_s)
                pause_s = min(_PAUSE_MAX_S, pause_s * 2)
            else:
                pause_s = _PAUSE_S
                self.is_down = False
                self.restart_count += 1
                self._report(f"{self.name} runs again; nothing that was accepted is lost")
