"""The common interface of the embedded Kafka and PostgreSQL, and how one is started."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

from ringfence_local.errors import StackError, TransientStartError

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


def run_tool(command: Sequence[str], bound_s: float, **options: Any) -> CompletedProcess[str]:
    """Run a program of a server to its end, whatever its exit status; its output is text.

    Raises StackError if it does not end in time: a busy machine is no reason to give up for ever.
    """
    try:
        return subprocess.run(  # noqa: S603 - our own command line
            command, capture_output=True, text=True, timeout=bound_s, check=False, **options
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{Path(command[0]).name} did not end within {bound_s:g} s") from None


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
