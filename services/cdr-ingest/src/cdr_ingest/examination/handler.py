"""The handler of `doctor.examine`: finds the examination and runs it within its bounds.

The examination is a package of its own (`ringfence-doctor`), which imports this service. So it is
found by an entry point, and imported only when it is requested: a service that nobody asks needs
no memory for it.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import structlog

from cdr_ingest.examination.store import ExaminationLock
from cdr_ingest.settings import Settings
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence_contracts.errors import BadInput, RingfenceError
from ringfence_pbx.servers import AnyServer, load_servers

COMMAND = "doctor.examine"
ENTRY_POINTS = "ringfence.examinations"

EXAMINATION_S = 120.0
"""The time limit of an examination, whatever the servers answer."""

_TURN_S = 300.0
_LOOK_EVERY_S = 1.0

Examine = Callable[
    [Mapping[str, AnyServer], Settings, str | None, ReportProgress], Awaitable[list[dict[str, str]]]
]
"""Examines servers (all, or the one that is named). Returns checks, each with `subject`, `check`,
`state`, `said` and `do`. Raises BadInput."""

log = structlog.get_logger()


class ExaminationRefused(RingfenceError):
    """An examination that cannot be made here; the message says what to do."""


class ExaminationHandler:
    """The handler of the job. `running` are the servers with which the service was started."""

    def __init__(
        self, settings: Settings, running: Mapping[str, AnyServer], lock: ExaminationLock
    ) -> None:
        self._settings = settings
        self._running = running
        self._lock = lock

    async def handle(self, job: Job, progress: ReportProgress) -> dict[str, Any]:
        """Examine, and return `findings`. Changes nothing, so that it may be repeated.

        Raises RingfenceError if nothing can be examined. Nothing that a server answers raises
        anything else: an examination must not end the service.
        """
        only = job.arguments.get("server")
        examine = await asyncio.to_thread(find_examination)
        servers = await asyncio.to_thread(self._read_servers)
        findings = await self._in_turn(examine, servers, only, progress)
        return {"findings": [*self._changed_entries(servers, only), *findings]}

    def _read_servers(self) -> Mapping[str, AnyServer]:
        """The servers file as it is now: an entry is examined before the service is restarted."""
        path = self._settings.servers_file
        try:
            return load_servers(path).servers
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a servers file that cdr-ingest can read ({type(error).__name__})"
            raise BadInput("servers_file", str(path), expected) from None

    async def _in_turn(
        self,
        examine: Examine,
        servers: Mapping[str, AnyServer],
        only: str | None,
        progress: ReportProgress,
    ) -> list[dict[str, str]]:
        """Examine while no other replica does: a server is asked by one examination at a time."""
        for _ in range(round(_TURN_S / _LOOK_EVERY_S)):
            async with self._lock.attempt() as held:
                if held:
                    return await self._bounded(examine, servers, only, progress)
            progress("waiting for another examination to end")
            await asyncio.sleep(_LOOK_EVERY_S)
        raise ExaminationRefused("another examination does not end: try again later")

    async def _bounded(
        self,
        examine: Examine,
        servers: Mapping[str, AnyServer],
        only: str | None,
        progress: ReportProgress,
    ) -> list[dict[str, str]]:
        try:
            async with asyncio.timeout(EXAMINATION_S):
                return await examine(servers, self._settings, only, progress)
        except TimeoutError:
            raise ExaminationRefused(
                f"the examination did not end within {EXAMINATION_S:g} s: examine one server at a"
                " time, by --server"
            ) from None
        except RingfenceError:
            raise
        except Exception as error:
            # Without the error's message, which may repeat a secret that a server has sent back.
            frames = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            log.error("examination failed", error=type(error).__name__, frames=frames)
            raise ExaminationRefused(
                f"a defect of ringfence ({type(error).__name__}): the log of cdr-ingest says where"
            ) from None

    def _changed_entries(
        self, servers: Mapping[str, AnyServer], only: str | None
    ) -> list[dict[str, str]]:
        """A check for each entry of the servers file that the running service does not have yet."""
        return [
            {
                "subject": server_id,
                "check": "entry",
                "state": "warn",
                "said": "in the servers file, it is not the one with which cdr-ingest was started",
                "do": "restart cdr-ingest and the suspender, which read the file at their start",
            }
            for server_id, server in servers.items()
            if only in (None, server_id) and self._running.get(server_id) != server
        ]


def find_examination() -> Examine:
    """The installed examination. Raises ExaminationRefused if none is, with what to install."""
    for point in entry_points(group=ENTRY_POINTS):
        examine: Examine = point.load()
        return examine
    raise ExaminationRefused(
        "the package ringfence-doctor is not installed where cdr-ingest runs: install it there"
        " (the image of cdr-ingest has it), or examine from another machine by"
        " `ringfence doctor --here`"
    )
