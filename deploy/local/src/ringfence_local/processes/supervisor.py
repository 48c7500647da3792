"""Supervises processes on one machine: starts them, restarts them, stops them in order.

It does what systemd or a container platform does elsewhere. A process that exits with an error is
restarted after a pause that doubles, and the restart is counted. A process that exits with 0 is
not restarted.
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
"""After a process ran for this long, its next restart begins with the first pause again."""

STOP_BOUND_S = 15.0


@dataclass(frozen=True)
class Program:
    """A command to run, its name, and additions to the environment that it inherits."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Child:
    """A program with the current state of its process."""

    program: Program
    state: Literal["running", "waiting", "ended"] = "waiting"
    pid: int | None = None
    restart_count: int = 0
    last_exit: int | None = None
    process: asyncio.subprocess.Process | None = None
    restart_task: "asyncio.Task[None] | None" = None

    def line(self) -> str:
        """A short description of its state."""
        again = f", restarted {self.restart_count} times" if self.restart_count else ""
        last = f", last exit status {self.last_exit}" if self.last_exit is not None else ""
        return f"{self.program.name}: {self.state}{again}{last}"


class Supervisor:
    """Runs programs, each with its output in `<logs>/<name>.log`.

    Its children end with it even if it is killed. They are in process groups of their own, so that
    a terminal's Ctrl-C reaches only the supervisor, which then stops them in order. Use it from the
    main thread's event loop.
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
        """Start `program` and restart it on failure. Its name must be unique among the children."""
        assert program.name not in self.children, f"{program.name} runs already"
        child = Child(program)
        self.children[program.name] = child
        await self._spawn(child)
        child.restart_task = asyncio.create_task(
            self._restart_on_exit(child), name=f"keep {program.name}"
        )
        return child

    async def stop(self, *names: str) -> None:
        """Stop the named children, or all, last started first; each is killed after a timeout."""
        for name in names or tuple(reversed(self.children)):
            await self._stop_child(self.children.pop(name))

    def pid(self, name: str) -> int:
        """The process id of a running child. Raises StackError while it does not run."""
        child = self.children[name]
        if child.pid is None:
            raise StackError(f"{child.line()}; see {self.log(name)}")
        return child.pid

    def restart_count(self, name: str) -> int:
        """How many times a child was restarted."""
        return self.children[name].restart_count

    def log(self, name: str) -> Path:
        """The file with a child's output."""
        return self._logs / f"{name}.log"

    async def _spawn(self, child: Child) -> None:
        log = self.log(child.program.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child.process = await asyncio.create_subprocess_exec(
                # Services survive a kill at any moment, so the parent death signal is SIGKILL.
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
        """Wait for the child to exit, and restart it unless its exit status is 0."""
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
            while not child.pid:
                await asyncio.sleep(pause_s)
                pause_s = min(self._pause_max_s, pause_s * 2)
                # No process, file or memory is left for it now: a full disk has space again later.
                with contextlib.suppress(OSError):
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
    """The inherited environment, with the compiled copy first on PYTHONPATH."""
    path = [str(compiled.current() or ""), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python interpreter."""
    return [sys.executable, "-m", module, *arguments]
