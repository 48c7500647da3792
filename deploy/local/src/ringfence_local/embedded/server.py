"""What Kafka and PostgreSQL have in common as parts of a stack, and how one is started."""

import asyncio
from typing import Protocol

from ringfence_local.errors import TransientStartError

_STARTS = 3


class EmbeddedServer(Protocol):
    """A server that is prepared, launched and waited for.

    Preparing and waiting take seconds and may happen in any thread. Launching is quick and
    belongs in the main thread: the server ends with the thread that launched it.
    """

    def prepare(self) -> None:
        """Have the files, the data folder, and nobody else at work in it."""
        ...

    def launch(self) -> None:
        """Start the process."""
        ...

    def wait_ready(self) -> None:
        """Return when it answers. Raises PartFailed with the end of its log otherwise."""
        ...

    def stop(self) -> None:
        """End it cleanly, or by force after a bound. Does nothing when it does not run."""
        ...


def start(server: EmbeddedServer) -> None:
    """Have `part` answer, waiting for it here. Raises PartFailed."""
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
    """The same from an event loop in the main thread, which goes on meanwhile."""
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
