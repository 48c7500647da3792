"""The common interface of the embedded Kafka and PostgreSQL, and how one is started."""

import asyncio
from typing import Protocol

from ringfence_local.errors import TransientStartError

_STARTS = 3


class EmbeddedServer(Protocol):
    """A server that is prepared, launched and waited for.

    `prepare` and `wait_ready` take seconds and may run in any thread. `launch` is fast and must run
    in the main thread, because the server ends with the thread that launched it.
    """

    @property
    def ended(self) -> bool:
        """Whether it was started and has ended by itself since."""
        ...

    def prepare(self) -> None:
        """Provide the files and the data folder, and end a leftover server in it."""
        ...

    def launch(self) -> None:
        """Start the process."""
        ...

    def wait_ready(self) -> None:
        """Return when it answers. Raises StackError with the end of its log otherwise."""
        ...

    def stop(self) -> None:
        """Stop it cleanly, or kill it after a timeout. Does nothing if it does not run."""
        ...


def start(server: EmbeddedServer) -> None:
    """Start `server` and block until it answers. Raises StackError."""
    server.prepare()
    for _ in range(_STARTS - 1):
        server.launch()
        try:
            server.wait_ready()
            return
        except TransientStartError:
            continue
    server.launch()
    server.wait_ready()


async def start_async(server: EmbeddedServer) -> None:
    """Start `server` from an event loop in the main thread, without blocking it."""
    await asyncio.to_thread(server.prepare)
    for _ in range(_STARTS - 1):
        server.launch()
        try:
            await asyncio.to_thread(server.wait_ready)
            return
        except TransientStartError:
            continue
    server.launch()
    await asyncio.to_thread(server.wait_ready)
