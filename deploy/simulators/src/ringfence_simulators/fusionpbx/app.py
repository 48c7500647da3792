"""Putting the simulated FusionPBX together and serving it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ringfence_simulators.control import Load, explain
from ringfence_simulators.fusionpbx.access.logins import Line, Logins
from ringfence_simulators.fusionpbx.control import Control
from ringfence_simulators.fusionpbx.faults import Faults
from ringfence_simulators.fusionpbx.model import Pbx
from ringfence_simulators.fusionpbx.site import Site
from ringfence_simulators.fusionpbx.traffic import Traffic

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class Simulator:
    """A served PBX: where it is, and its inside for whoever runs in the same process."""

    url: str
    pbx: Pbx
    logins: Logins
    site: Site
    faults: Faults
    traffic: Traffic


@asynccontextmanager
async def serve(
    pbx: Pbx,
    *,
    line: Line = "5.5",
    host: str = "127.0.0.1",
    port: int = 0,
    rows_per_page: int = 50,
) -> AsyncIterator[Simulator]:
    """Serve the PBX until the context ends; port 0 takes a free one."""
    logins = Logins(pbx, line)
    site = Site(pbx, logins, rows_per_page=rows_per_page)
    faults = Faults(logins.sessions.clear, pbx.socket_down)
    site.believe(faults.lies_about)
    traffic, load = Traffic(pbx), Load(lambda: pbx.switch.latency_s)
    app = web.Application(
        middlewares=[explain, load.middleware(), faults.middleware(), logins.cookies()],
        client_max_size=MAX_BODY_BYTES,
    )
    app.add_routes(site.routes())
    control = Control(pbx, logins, site, faults, traffic, load)
    app.add_routes(control.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield Simulator(f"http://{host}:{bound}", pbx, logins, site, faults, traffic)
    finally:
        await traffic.stop()
        await runner.cleanup()
        pbx.journal.close()
