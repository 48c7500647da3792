"""Les.net: a peer is off when the API, read back, says so; by calls that configuration names.

The call that disables a peer is not public. Without `suspend`, `resume` and `read_back` in the
server's entry, switching is a person's work, and nothing is sent. With them, what counts is the
read-back alone: an order that was accepted proves nothing.
"""

import re
from typing import Any, NamedTuple

from ringfence.clock import Clock
from ringfence.errors import Retry, shown
from ringfence.events.account import Service
from ringfence.pbx.fusionpbx_connection import Refused
from ringfence.pbx.lesnet import LesnetApi
from ringfence.pbx.lesnet_orders import NotThere, Order, ReadBack, at_pointer
from ringfence.pbx.servers import LesnetServer
from suspender.drivers.driver import OperatorMustAct
from suspender.drivers.switch import SwitchState

_PEER = re.compile(r"[0-9A-Fa-f]{13}", re.ASCII)


class _Calls(NamedTuple):
    """What the server's entry configures, all of it or nothing."""

    api: LesnetApi
    suspend: Order
    resume: Order
    read_back: ReadBack


class LesnetSwitch:
    """One account at Les.net. Raises BadInput when calls are configured and a key is missing."""

    def __init__(self, server_id: str, server: LesnetServer, *, clock: Clock) -> None:
        self._server_id = server_id
        self._clock = clock
        self._calls: _Calls | None = None
        if server.suspend and server.resume and server.read_back:
            api = LesnetApi(server_id, server, clock=clock)
            self._calls = _Calls(api, server.suspend, server.resume, server.read_back)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._calls is not None:
            await self._calls.api.aclose()

    async def read(self, service: Service) -> SwitchState:
        """What Les.net shows of the peer (see `Switch.read`)."""
        calls = self._configured(service, "read")
        dids = self._dids(service, calls.read_back)
        states = {await self._state(calls, service, did) for did in dids}
        return states.pop() if len(states) == 1 else SwitchState.MIXED

    async def suspend(self, service: Service) -> str:
        """Disable the peer and read it back (see `Switch.suspend`)."""
        return await self._bring(service, SwitchState.SUSPENDED)

    async def restore(self, service: Service) -> str:
        """Enable the peer and read it back (see `Switch.restore`)."""
        return await self._bring(service, SwitchState.ACTIVE)

    async def _bring(self, service: Service, wanted: SwitchState) -> str:
        off = wanted is SwitchState.SUSPENDED
        calls = self._configured(service, "suspend" if off else "restore")
        order = calls.suspend if off else calls.resume
        dids = self._dids(service, order, calls.read_back)
        differing = [did for did in dids if not await self._shows(calls, service, did, wanted)]
        for did in differing:
            await self._ask(calls.api, order, service, did)
        for did in differing:
            state = await self._state(calls, service, did)
            if state is not wanted:
                raise Retry(f"{self._server_id}: peer {service.tenant} still reads {state}")
        sent = f"{order.path} sent" if differing else "stood so already"
        seen = f"{calls.read_back.path} shows {wanted}"
        now = self._clock.now()
        return f"peer {service.tenant}: {sent}, {seen}, read back {now:%H:%M:%SZ}"

    async def _shows(self, calls: _Calls, service: Service, did: str, wanted: SwitchState) -> bool:
        """Whether the wanted state shows; before an order, an unknown value hinders nothing."""
        answer = await self._ask(calls.api, calls.read_back, service, did)
        try:
            return calls.read_back.state(answer) == wanted
        except NotThere:
            return False

    async def _state(self, calls: _Calls, service: Service, did: str) -> SwitchState:
        read_back = calls.read_back
        answer = await self._ask(calls.api, read_back, service, did)
        try:
            state = read_back.state(answer)
            found = shown(at_pointer(answer, read_back.pointer), 100)
        except NotThere:
            state, found = None, "nothing"
        if state is None:
            raise OperatorMustAct(
                f"{self._server_id}: {read_back.path} shows {found} at {read_back.pointer} for peer"
                f" {service.tenant}, neither `suspended` nor `active` as the servers file knows"
                " them: look at the peer in Les.net's portal, and correct read_back"
            )
        return SwitchState(state)

    async def _ask(
        self, api: LesnetApi, order: Order, service: Service, did: str
    ) -> dict[str, Any]:
        path, payload = order.fill(peer=service.tenant.upper(), did=did)
        try:
            return await api.ask(path, payload)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None

    def _configured(self, service: Service, verb: str) -> _Calls:
        if self._calls is None:
            raise OperatorMustAct(
                f"{self._server_id}: no call is configured to {verb} peer {service.tenant}: do it "
                "in Les.net's portal, or give suspend, resume and read_back in the servers file"
            )
        if not _PEER.fullmatch(service.tenant):
            raise OperatorMustAct(
                f"{self._server_id}: service {service.service_id} names peer "
                f"{shown(service.tenant)}, expected 13 hex digits: correct the product"
            )
        return self._calls

    def _dids(self, service: Service, *orders: Order) -> tuple[str, ...]:
        """The DIDs to make the calls for; one is enough where no call names a DID."""
        if not any(order.per_did for order in orders):
            return service.dids[:1] or ("",)
        if not service.dids:
            raise OperatorMustAct(
                f"{self._server_id}: the calls name a DID, and service {service.service_id} has "
                "none: correct the product"
            )
        return service.dids
