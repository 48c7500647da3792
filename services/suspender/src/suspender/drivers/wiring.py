"""Opens a driver for each server of the servers file that can be switched."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from ringfence.clock import Clock, SystemClock
from ringfence_pbx.servers import Servers
from suspender.drivers.driver import PbxDriver
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from suspender.drivers.lesnet.driver import LesnetDriver
from suspender.drivers.vodia.driver import VodiaDriver


@asynccontextmanager
async def open_drivers(
    servers: Servers, *, clock: Clock | None = None
) -> AsyncIterator[Mapping[str, PbxDriver]]:
    """The drivers by server id; their connections close with the context."""
    clock = clock or SystemClock()
    drivers: dict[str, PbxDriver] = {}
    async with AsyncExitStack() as stack:

        def add(server_id: str, driver: PbxDriver) -> None:
            stack.push_async_callback(driver.aclose)
            drivers[server_id] = driver

        for server_id, fusionpbx in servers.fusionpbx.items():
            add(server_id, FusionPbxDriver(server_id, fusionpbx, clock=clock))
        for server_id, vodia in servers.vodia.items():
            add(server_id, VodiaDriver(server_id, vodia, clock=clock))
        for server_id, lesnet in servers.lesnet.items():
            add(server_id, LesnetDriver(server_id, lesnet, clock=clock))
        yield drivers
