"""A stack whose services run in two versions: these sources, and those of the previous release."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from ringfence.secret_files import SERVICES
from ringfence.version import VERSION
from ringfence_local.embedded.ports import free_port
from ringfence_local.processes.supervisor import Child, Program, python_module
from ringfence_local.stack import Stack
from ringfence_testing.wait import until
from tests.support.previous_release import ROOT, Release

LOCK = "deploy/images/requirements.lock"
"""What services need, as images hold it."""

_MIGRATE = """
import asyncio, sys
from pathlib import Path
from ringfence.postgres.migrate import migrate
asyncio.run(migrate(sys.argv[1], Path(sys.argv[2])))
"""


class CannotInstall(Exception):
    """The requirements of the released services cannot be installed; the message has the reason."""


@dataclass(frozen=True)
class Released:
    """The files of a release in a folder, and a Python with the requirements of its services."""

    folder: Path
    python: str

    @property
    def pythonpath(self) -> str:
        """Its sources, which come before those that are installed."""
        folders = ("shared/**/src", "services/*/src")
        sources = [path for each in folders for path in sorted(self.folder.glob(each))]
        return os.pathsep.join(map(str, sources))

    @property
    def version(self) -> str | None:
        """The version that its services show at /health; None for 0.1.0, which shows none."""
        files = [
            Path(each) / "ringfence" / "version.py" for each in self.pythonpath.split(os.pathsep)
        ]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            return None
        named: dict[str, str] = {}
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), named)  # noqa: S102
        return named["VERSION"]

    async def migrate(self, dsn: str) -> None:
        """Apply its own migrations, by its own code."""
        process = await asyncio.create_subprocess_exec(
            *(self.python, "-c", _MIGRATE, dsn, str(self.folder / "deploy" / "migrations")),
            env={**os.environ, "PYTHONPATH": self.pythonpath},
        )
        assert await process.wait() == 0


def unpack(release: Release, folder: Path) -> Released:
    """Install the services of `release` in `folder`. Raises NotHere or CannotInstall."""
    release.unpack(folder, "shared", "services", "deploy/migrations", LOCK)
    if (folder / LOCK).read_bytes() == (ROOT / LOCK).read_bytes():
        return Released(folder, sys.executable)
    return Released(folder, _install(folder / LOCK, folder / "venv"))


def _install(lock: Path, venv: Path) -> str:
    """An environment with what `lock` names: from uv's cache, or from where packages come from."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(venv / "bin" / "python")
    sync = [uv, "pip", "sync", "-q", "--python", python, "--require-hashes", str(lock)]
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    for command in ([*sync, "--offline"], sync):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return python
    raise CannotInstall(done.stderr.strip().splitlines()[-1])


class MixedStack(Stack):
    """Starts with services and schema as released; then each service is replaced, and put back.

    The topics are those of these sources from the beginning: creating them takes nothing away.
    """

    def __init__(self, folder: Path, released: Released) -> None:
        super().__init__(folder, wanted_ports={})
        self._released = released
        self._numbers = count(1)
        self._now: dict[str, str] = {}
        self.old: dict[str, bool] = {}
        """Whether the running process of each service is the released one."""

    async def upgrade_database(self) -> None:
        """The migrations of these sources, while services run."""
        await super()._migrate()

    async def repeat_old_migrations(self) -> None:
        """Run the migrations of the released version again: they do nothing on a newer schema."""
        await self._migrate()

    async def replace(self, service: str, *, old: bool, together: bool = False) -> None:
        """Run the other version of a service instead.

        `together`: it starts before the running one ends, as in a cluster; otherwise after it.
        """
        before = self._now[service]
        if not together:
            await self._end(before)
        await self._begin(service, old=old)
        await self._until_it_answers(service)
        if together:
            await self._end(before)

    def crashes(self) -> list[str]:
        """Services that were restarted after a crash, or wait for a restart."""
        here = [self.supervisor.children[name] for name in self._now.values()]
        return [child.line() for child in here if child.restart_count or child.state != "running"]

    async def _migrate(self) -> None:
        await self._released.migrate(self.dsn)

    async def _start_services(self) -> None:
        for service in SERVICES:
            await self._begin(service, old=True)
        for service in SERVICES:
            await self._until_it_answers(service)

    async def _begin(self, service: str, *, old: bool) -> Child:
        self.ports[f"{service}-health"] = free_port()
        self._now[service] = f"{service}-{next(self._numbers)}"
        self.old[service] = old
        command = python_module(service.replace("-", "_"))
        environment = self._environment_of(service)
        if old:
            command = [self._released.python, *command[1:]]
            environment["PYTHONPATH"] = self._released.pythonpath
        return await self.supervisor.start(Program(self._now[service], command, environment))

    async def _until_it_answers(self, service: str) -> None:
        await self._wait_until_up(self._now[service], partial(self.health, service))
        # A busy machine may answer once, and not in time the next time.
        report = await until(partial(self.health, service), timeout_s=60, what=f"{service} answers")
        assert report is not None
        assert report.get("version") == (self._released.version if self.old[service] else VERSION)

    async def _end(self, name: str) -> None:
        """Stop a process, which must finish its work in progress and exit by itself."""
        child = self.supervisor.children[name]
        await self.supervisor.stop(name)
        assert (child.last_exit, child.restart_count) == (0, 0), child.line()
