"""Assembles and serves the simulated FusionPBX."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import RequestLoad, explain_errors
from ringfence_simulators.faults import Faults
from ringfence_simulators.fusionpbx.access.logins import FusionPbxLogins, ReleaseLine
from ringfence_simulators.fusionpbx.control import FusionPbxControl
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.site import FusionPbxSite
from ringfence_simulators.fusionpbx.traffic import FusionPbxTraffic

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class FusionPbxSimulator:
    """A running simulator: its URL, and its parts for tests in the same process."""

    url: str
    pbx: SimulatedFusionPbx
    logins: FusionPbxLogins
    site: FusionPbxSite
    faults: Faults
    traffic: FusionPbxTraffic
    load: RequestLoad

    def requests(self) -> int:
        """The number of requests to all pages so far."""
        return self.load.requests.total()


@asynccontextmanager
async def serve(
    pbx: SimulatedFusionPbx,
    *,
    line: ReleaseLine = "5.5",
    host: str = "127.0.0.1",
    port: int = 0,
    rows_per_page: int = 50,
) -> AsyncIterator[FusionPbxSimulator]:
    """Serve the PBX until the context ends; port 0 means any free port."""
    logins = FusionPbxLogins(pbx, line)
    site = FusionPbxSite(pbx, logins, rows_per_page=rows_per_page)
    faults = Faults(logins.sessions.clear, pbx.socket_down)
    site.set_lies_about(faults.lies_about)
    traffic, load = FusionPbxTraffic(pbx), RequestLoad(lambda: pbx.switch.latency_s)
    app = web.Application(
        middlewares=[explain_errors, load.middleware(), faults.middleware(), logins.cookies()],
        client_max_size=MAX_BODY_BYTES,
    )
    app.add_routes(site.routes())
    control = FusionPbxControl(pbx, logins, site, faults, traffic, load)
    app.add_routes(control.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        url = f"http://{host}:{bound}"
        yield FusionPbxSimulator(url, pbx, logins, site, faults, traffic, load)
    finally:
        await traffic.stop()
        await runner.cleanup()
        pbx.journal.close()
