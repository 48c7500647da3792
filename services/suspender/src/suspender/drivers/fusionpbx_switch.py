"""The driver of FusionPBX behind the older protocol, which knows whole services."""

from ringfence.clock import Clock
from ringfence.events.account import Service
from ringfence.pbx.servers import FusionPbxServer
from suspender.drivers.driver import Change, Done, Reading, Target
from suspender.drivers.fusionpbx import FusionPbxDriver
from suspender.drivers.fusionpbx_words import listed, not_there
from suspender.drivers.switch import SwitchState
from suspender.elements import Element, elements_of


class FusionPbxSwitch:
    """See `Switch`; an element that the server does not have is passed over if it has others."""

    def __init__(self, server_id: str, server: FusionPbxServer, *, clock: Clock) -> None:
        self._server_id = server_id
        self._driver = FusionPbxDriver(server_id, server, clock=clock)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._driver.aclose()

    async def read(self, service: Service) -> SwitchState:
        """What FusionPBX has stored of the service."""
        states = {reading.state for _, reading in await self._present(service)}
        if len(states) > 1:
            return SwitchState.MIXED
        return SwitchState.ACTIVE if states == {"on"} else SwitchState.SUSPENDED

    async def suspend(self, service: Service) -> str:
        """Off, read back."""
        return await self._bring(service, off=True)

    async def restore(self, service: Service) -> str:
        """On, read back."""
        return await self._bring(service, off=False)

    async def _present(self, service: Service) -> list[tuple[Element, Reading]]:
        targets = [Target(element, service) for element in elements_of(service)]
        readings = await self._driver.read(targets)
        found = []
        for element, reading in readings.items():
            if isinstance(reading, Exception):
                raise reading
            if reading.state != "missing":
                found.append((element, reading))
            elif element.way == "gateway":
                what = f"gateway {element.name}"
                raise not_there(self._server_id, what, Target(element, service))
        if not found:
            what, element = f"{service.suspend_by} to switch", Element("domain", "", "")
            raise not_there(self._server_id, what, Target(element, service))
        return found

    async def _bring(self, service: Service, *, off: bool) -> str:
        found = await self._present(service)
        changes = [Change(Target(element, service), off, reading) for element, reading in found]
        outcomes = await self._driver.bring(changes)
        said = []
        for outcome in outcomes.values():
            if isinstance(outcome, Done):
                said.append(outcome.evidence)
            else:
                raise outcome
        return listed(said, 2000)
