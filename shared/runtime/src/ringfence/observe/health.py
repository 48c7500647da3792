"""Health means progress: the loops of a process turn, and their lag does not stay.

`/health` answers whether the process must be replaced, `/ready` whether it can work now. An
unreachable database makes a process unready; it stays healthy, because a restart would not help.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import ringfence.observe.metrics  # noqa: F401 - so that every service has them
from ringfence.listening.aiohttp_site import STRICT, LimitedSite
from ringfence.listening.connections import ConnectionLimits
from ringfence.observe.readiness import Readiness
from ringfence.version import revision, version

STALL_S = 45.0
"""A loop without a turn for so long is stuck. It is longer than the bound on retries."""


_MOST = 64
"""Connections to the health endpoint: few, so that they never use up the process's open files."""


@dataclass
class Progress:
    """The progress of one loop, which calls `turned` at the end of every turn."""

    name: str
    monotonic: Callable[[], float] = time.monotonic
    stall_s: float = STALL_S
    last_turn: float = field(init=False)
    last_moved: float = field(init=False)
    lag: int = 0
    read: int = 0

    def __post_init__(self) -> None:
        self.last_turn = self.last_moved = self.monotonic()

    def pauses(self, seconds: float) -> None:
        """The loop pauses for so long between turns: only a longer silence is a stall."""
        self.stall_s = max(self.stall_s, seconds + STALL_S)

    def turned(self, *, read: int = 0, lag: int = 0) -> None:
        """Record a turn: `read` records were read, and `lag` records are left."""
        self.last_turn = self.monotonic()
        self.read += read
        self.lag = lag
        if read or lag == 0:
            self.last_moved = self.last_turn

    def problem(self) -> str | None:
        """Why this loop is stalled, or None."""
        now = self.monotonic()
        if now - self.last_turn > self.stall_s:
            return f"{self.name}: no turn for {now - self.last_turn:.0f} s"
        if now - self.last_moved > self.stall_s:
            return f"{self.name}: {self.lag} records behind and none read for {self.stall_s:.0f} s"
        return None


class Health:
    """The loops of a process and its dependencies. `stopping`: whether it is shutting down."""

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self.loops: list[Progress] = []
        self.readiness = Readiness()
        self._stopping = stopping

    def loop(self, name: str, **settings: float) -> Progress:
        """The progress of a new loop, which is part of the report from now on."""
        progress = Progress(name, **settings)  # type: ignore[arg-type]
        self.loops.append(progress)
        return progress

    def report(self) -> dict[str, object]:
        """The version, the state of every loop, and whether any is stalled."""
        problems = self._stalled()
        return {
            "status": "stalled" if problems else "ok",
            "version": version(),
            **({"revision": revision()} if revision() else {}),
            "problems": problems,
            "loops": {loop.name: {"read": loop.read, "lag": loop.lag} for loop in self.loops},
        }

    async def ready(self) -> dict[str, object]:
        """Whether the process can work now, and the problems if it cannot."""
        if self._stopping():
            problems = ["stopping: work in progress is finished, nothing new is started"]
        else:
            problems = [*self._stalled(), *await self.readiness.missing()]
        return {"status": "unready" if problems else "ready", "problems": problems}

    def _stalled(self) -> list[str]:
        return [problem for loop in self.loops if (problem := loop.problem())]


def health_app(health: Health) -> web.Application:
    """`GET /health` (200 while there is progress, else 503), `/ready` (likewise), `/metrics`."""

    async def show_health(_: web.Request) -> web.Response:
        report = health.report()
        return web.json_response(report, status=200 if report["status"] == "ok" else 503)

    async def show_ready(_: web.Request) -> web.Response:
        report = await health.ready()
        return web.json_response(report, status=200 if report["status"] == "ready" else 503)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/health", show_health),
            web.get("/ready", show_ready),
            web.get("/metrics", show_metrics),
        ]
    )
    return app


async def serve_health(health: Health, host: str, port: int) -> web.AppRunner:
    """Serve until the returned runner is cleaned up."""
    runner = web.AppRunner(health_app(health), access_log=None, **STRICT)
    await runner.setup()
    await LimitedSite(runner, host, port, limits=ConnectionLimits("health", most=_MOST)).start()
    return runner
