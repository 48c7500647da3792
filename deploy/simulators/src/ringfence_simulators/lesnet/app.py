"""Assembles and serves the simulated Les.net."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import RequestLoad, explain_errors
from ringfence_simulators.faults import Faults
from ringfence_simulators.lesnet.control import LesnetControl
from ringfence_simulators.lesnet.model import Portal
from ringfence_simulators.lesnet.site import LesnetSite, Paths

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class LesnetSimulator:
    """A running simulator: its URL, and its parts for tests in the same process."""

    url: str
    portal: Portal
    site: LesnetSite
    faults: Faults

    @property
    def api_url(self) -> str:
        """The base of the API, as the servers file names it."""
        return f"{self.url}/v1"


@asynccontextmanager
async def serve(
    portal: Portal, *, paths: Paths | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[LesnetSimulator]:
    """Serve the portal until the context ends; port 0 means any free port."""
    faults, load = Faults(lambda: None), RequestLoad(lambda: portal.latency_s)
    site = LesnetSite(portal, paths or Paths(), faults.lies_about)
    app = web.Application(
        middlewares=[explain_errors, load.middleware(), faults.middleware()],
        client_max_size=MAX_BODY_BYTES,
    )
    app.add_routes(LesnetControl(portal, site, faults, load).routes())
    app.add_routes(site.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield LesnetSimulator(f"http://{host}:{bound}", portal, site, faults)
    finally:
        await runner.cleanup()
