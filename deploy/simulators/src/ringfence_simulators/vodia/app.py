"""Assembles and serves the simulated Vodia."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import RequestLoad, explain_errors
from ringfence_simulators.faults import Faults
from ringfence_simulators.vodia.control import VodiaControl
from ringfence_simulators.vodia.logins import VodiaLogins
from ringfence_simulators.vodia.model import SimulatedVodia
from ringfence_simulators.vodia.posting import CdrPosting
from ringfence_simulators.vodia.site import VodiaSite
from ringfence_simulators.vodia.traffic import VodiaTraffic


@dataclass
class VodiaSimulator:
    """A running simulator: its URL, and its parts for tests in the same process."""

    url: str
    pbx: SimulatedVodia
    logins: VodiaLogins
    site: VodiaSite
    faults: Faults
    posting: CdrPosting
    traffic: VodiaTraffic


@asynccontextmanager
async def serve(
    pbx: SimulatedVodia, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[VodiaSimulator]:
    """Serve the PBX until the context ends; port 0 means any free port."""
    logins, posting = VodiaLogins(pbx), CdrPosting(pbx)
    faults, load = Faults(logins.sessions.clear), RequestLoad(lambda: pbx.habits.latency_s)
    site = VodiaSite(pbx, logins, faults.lies_about, posting.post)
    traffic = VodiaTraffic(pbx, posting.post)
    app = web.Application(
        middlewares=[explain_errors, load.middleware(), faults.middleware(), logins.middleware()]
    )
    app.add_routes(site.routes())
    app.add_routes(VodiaControl(pbx, logins, site, faults, posting, traffic, load).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield VodiaSimulator(
            f"http://{host}:{bound}", pbx, logins, site, faults, posting, traffic
        )  # fmt: skip
    finally:
        await traffic.stop()
        await runner.cleanup()
