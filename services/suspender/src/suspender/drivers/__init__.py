"""What a service is switched with: one module per kind of server, all with the same three verbs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from ringfence.clock import Clock, SystemClock
from ringfence.pbx.servers import Servers
from suspender.drivers.driver import OperatorMustAct
from suspender.drivers.fusionpbx import FusionPbxSwitch
from suspender.drivers.lesnet import LesnetSwitch
from suspender.drivers.switch import Switch, SwitchState
from suspender.drivers.vodia import VodiaSwitch

__all__ = ["OperatorMustAct", "Switch", "SwitchState", "open_switches"]


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
