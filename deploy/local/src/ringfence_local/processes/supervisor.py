"""Keeps processes running on one machine: starts them, starts them again, stops them in order.

It is what systemd or a container platform is elsewhere: a process that exits with an error comes
back after a pause that doubles, and is counted; one that exits with 0 has done its work.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ringfence_local import compiled
from ringfence_local.errors import StackError
from ringfence_local.processes.child import with_parent_death_signal

PAUSE_S = 1.0
"""The pause before the first restart; each further one is twice as long."""

PAUSE_MAX_S = 30.0
STEADY_S = 60.0
"""A process that ran for so long was well: its next failure begins with the first pause again."""

STOP_BOUND_S = 15.0


@dataclass(frozen=True)
class Program:
    """What to run, under which name, and with what in its environment besides ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Child:
    """A program as it stands now, for whoever shows it."""

    program: Program
    state: Literal["running", "waiting", "ended"] = "waiting"
    pid: int | None = None
    restart_count: int = 0
    last_exit: int | None = None
    process: asyncio.subprocess.Process | None = None
    restart_task: "asyncio.Task[None] | None" = None

    def line(self) -> str:
        """Its state in a few words."""
        again = f", restarted {self.restart_count} times" if self.restart_count else ""
        last = f", last exit status {self.last_exit}" if self.last_exit is not None else ""
        return f"{self.program.name}: {self.state}{again}{last}"


class Supervisor:
    """Runs programs, each with its output in `<logs>/<name>.log`.

    Its children end with it even when it is killed, and are in process groups of their own, so
    that a terminal's Ctrl-C reaches only the supervisor, which then stops them in order.
    Use it from the main thread's event loop.
    """

    def __init__(
        self,
        logs: Path,
        *,
        pause_s: float = PAUSE_S,
        pause_max_s: float = PAUSE_MAX_S,
        stop_bound_s: float = STOP_BOUND_S,
    ) -> None:
        self._logs = logs
        self._pause_s = pause_s
        self._pause_max_s = pause_max_s
        self._stop_bound_s = stop_bound_s
        self.children: dict[str, Child] = {}

    async def start(self, program: Program) -> Child:
        """Start `program` and keep it running. A name is taken until its child is stopped."""
        assert program.name not in self.children, f"{program.name} runs already"
        child = Child(program)
        self.children[program.name] = child
        await self._spawn(child)
        child.restart_task = asyncio.create_task(
            self._restart_on_exit(child), name=f"keep {program.name}"
        )
        return child

    async def stop(self, *names: str) -> None:
        """Stop the named children, or all: the last started first, each with a bound."""
        for name in names or tuple(reversed(self.children)):
            await self._stop_child(self.children.pop(name))

    def pid(self, name: str) -> int:
        """The process id of a running child. Raises PartFailed while it does not run."""
        child = self.children[name]
        if child.pid is None:
            raise StackError(f"{child.line()}; see {self.log(name)}")
        return child.pid

    def restart_count(self, name: str) -> int:
        """How many times a child was started again."""
        return self.children[name].restart_count

    def log(self, name: str) -> Path:
        """Where a child's output goes."""
        return self._logs / f"{name}.log"

    async def _spawn(self, child: Child) -> None:
        log = self.log(child.program.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child.process = await asyncio.create_subprocess_exec(
                # Services are made to be killed at any moment, so the leash need not be gentle.
                *with_parent_death_signal(child.program.command, end_by="SIGKILL"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_environment(), **child.program.environment},
                process_group=0,
            )
        child.pid = child.process.pid
        child.state = "running"

    async def _restart_on_exit(self, child: Child) -> None:
        """Wait for the child to exit, and start it again unless it meant to."""
        pause_s = self._pause_s
        while True:
            started = time.monotonic()
            assert child.process is not None
            child.last_exit = await child.process.wait()
            child.pid = None
            if child.last_exit == 0:
                child.state = "ended"
                return
            if time.monotonic() - started > STEADY_S:
                pause_s = self._pause_s
            child.state = "waiting"
            await asyncio.sleep(pause_s)
            pause_s = min(self._pause_max_s, pause_s * 2)
            await self._spawn(child)
            child.restart_count += 1

    async def _stop_child(self, child: Child) -> None:
        assert child.restart_task is not None
        assert child.process is not None
        child.restart_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await child.restart_task
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(child.process.wait(), self._stop_bound_s)
            except TimeoutError:
                child.process.kill()
        child.last_exit = await child.process.wait()
        child.pid, child.state = None, "ended"


def _environment() -> dict[str, str]:
    """Ours, with the compiled copy of the services before their sources."""
    path = [str(compiled.current() or ""), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this very Python."""
    return [sys.executable, "-m", module, *arguments]
