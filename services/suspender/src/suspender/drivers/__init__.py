"""What servers are switched with: a driver for each kind, all with the same verbs (`driver`)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from ringfence.clock import Clock, SystemClock
from ringfence.pbx.servers import Servers
from suspender.drivers.driver import OperatorMustAct, PbxDriver
from suspender.drivers.fusionpbx import FusionPbxDriver
from suspender.drivers.fusionpbx_switch import FusionPbxSwitch
from suspender.drivers.lesnet import LesnetDriver
from suspender.drivers.lesnet_switch import LesnetSwitch
from suspender.drivers.switch import Switch, SwitchState
from suspender.drivers.vodia import VodiaDriver
from suspender.drivers.vodia_switch import VodiaSwitch

__all__ = ["OperatorMustAct", "PbxDriver", "Switch", "SwitchState", "open_drivers", "open_switches"]


@asynccontextmanager
async def open_drivers(
    servers: Servers, *, clock: Clock | None = None
) -> AsyncIterator[Mapping[str, PbxDriver]]:
    """The servers that can be switched, by id; their connections close with the context."""
    clock = clock or SystemClock()
    drivers: dict[str, PbxDriver] = {}
    async with AsyncExitStack() as stack:
        for server_id, fusionpbx in servers.fusionpbx.items():
            drivers[server_id] = FusionPbxDriver(server_id, fusionpbx, clock=clock)
        for server_id, vodia in servers.vodia.items():
            drivers[server_id] = VodiaDriver(server_id, vodia, clock=clock)
        for server_id, lesnet in servers.lesnet.items():
            drivers[server_id] = LesnetDriver(server_id, lesnet, clock=clock)
        for driver in drivers.values():
            stack.push_async_callback(driver.aclose)
        yield drivers


@asynccontextmanager
async def open_switches(
    servers: Servers, *, clock: Clock | None = None
) -> AsyncIterator[Mapping[str, Switch]]:
    """The servers that can be switched, by id; their connections close with the context."""
    async with AsyncExitStack() as stack:
        switches: dict[str, Switch] = {}
        for server_id, fusionpbx in servers.fusionpbx.items():
            switch = FusionPbxSwitch(server_id, fusionpbx, clock=clock or SystemClock())
            stack.push_async_callback(switch.aclose)
            switches[server_id] = switch
        for server_id, vodia in servers.vodia.items():
            absolute = VodiaSwitch(server_id, vodia, clock=clock or SystemClock())
            stack.push_async_callback(absolute.aclose)
            switches[server_id] = absolute
        for server_id, lesnet in servers.lesnet.items():
            configured = LesnetSwitch(server_id, lesnet, clock=clock or SystemClock())
            stack.push_async_callback(configured.aclose)
            switches[server_id] = configured
        yield switches
