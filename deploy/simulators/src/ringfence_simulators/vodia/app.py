"""Putting the simulated Vodia together and serving it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import Load, explain
from ringfence_simulators.vodia.control import Control
from ringfence_simulators.vodia.faults import PatienceFaults
from ringfence_simulators.vodia.logins import Logins
from ringfence_simulators.vodia.model import Pbx
from ringfence_simulators.vodia.posting import Posting
from ringfence_simulators.vodia.site import Site
from ringfence_simulators.vodia.traffic import Traffic


@dataclass
class Simulator:
    """A served PBX: where it is, and its inside for whoever runs in the same process."""

    url: str
    pbx: Pbx
    logins: Logins
    site: Site
    faults: PatienceFaults
    posting: Posting
    traffic: Traffic


@asynccontextmanager
async def serve(pbx: Pbx, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Simulator]:
    """Serve the PBX until the context ends; port 0 takes a free one."""
    logins, posting = Logins(pbx), Posting(pbx)
    faults, load = PatienceFaults(logins.sessions.clear), Load(lambda: pbx.habits.latency_s)
    site = Site(pbx, logins, faults.lies_about, posting.post)
    traffic = Traffic(pbx, posting.post)
    app = web.Application(
        middlewares=[explain, load.middleware(), faults.middleware(), logins.middleware()]
    )
    app.add_routes(site.routes())
    app.add_routes(Control(pbx, logins, site, faults, posting, traffic, load).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield Simulator(
            f"http://{host}:{bound}", pbx, logins, site, faults, posting, traffic
        )  # fmt: skip
    finally:
        await traffic.stop()
        await runner.cleanup()
