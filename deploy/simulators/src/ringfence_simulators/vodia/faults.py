"""Making the simulated PBX misbehave: as the simulated FusionPBX does, and asking for patience."""

from aiohttp import web

from ringfence_simulators.fusionpbx.faults import Fault, Faults, Handler

__all__ = ["Fault", "PatienceFaults"]


class PatienceFaults(Faults):
    """A status may be followed by `Retry-After`: `429 7`."""

    async def _act(
        self, fault: Fault, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        status, _, after = fault.value.partition(" ")
        if fault.kind == "status" and after:
            headers = {"Retry-After": after}
            return web.Response(status=int(status), text="fault", headers=headers)
        return await super()._act(fault, request, handler)
