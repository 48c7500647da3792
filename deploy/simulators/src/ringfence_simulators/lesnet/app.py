"""Putting the simulated Les.net together and serving it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import Load, explain
from ringfence_simulators.lesnet.control import Control
from ringfence_simulators.lesnet.model import Portal
from ringfence_simulators.lesnet.site import Paths, Site
from ringfence_simulators.vodia.faults import PatienceFaults

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class Simulator:
    """A served portal: where it is, and its inside for whoever runs in the same process."""

    url: str
    portal: Portal
    site: Site
    faults: PatienceFaults

    @property
    def api_url(self) -> str:
        """The base of the API, as the servers file names it."""
        return f"{self.url}/v1"


@asynccontextmanager
async def serve(
    portal: Portal, *, paths: Paths | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Simulator]:
    """Serve the portal until the context ends; port 0 takes a free one."""
    faults, load = PatienceFaults(lambda: None), Load(lambda: portal.latency_s)
    site = Site(portal, paths or Paths(), faults.lies_about)
    app = web.Application(
        middlewares=[explain, load.middleware(), faults.middleware()],
        client_max_size=MAX_BODY_BYTES,
    )
    app.add_routes(Control(portal, site, faults, load).routes())
    app.add_routes(site.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield Simulator(f"http://{host}:{bound}", portal, site, faults)
    finally:
        await runner.cleanup()
