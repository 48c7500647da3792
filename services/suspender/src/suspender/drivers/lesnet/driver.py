"""Les.net: peers are switched and read back by API calls that the servers file configures.

The call that disables a peer is not public. Without `suspend`, `resume` and `read_back` in the
server's entry, a person has to switch the peer, and nothing is sent. With them, only the read-back
counts: an accepted request proves nothing. Les.net can neither list nor end calls in progress.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from ringfence_contracts.events.account import Service
from ringfence_pbx.errors import Refused
from ringfence_pbx.lesnet.api import LesnetApi
from ringfence_pbx.lesnet.orders import OrderTemplate, PointerNotFound, ReadBack, at_pointer
from ringfence_pbx.servers import LesnetServer
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    HungUp,
    Inventory,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
    read_as_on,
)
from suspender.drivers.groups import each_group
from suspender.rules.elements import Element

_PEER = re.compile(r"[0-9A-F]{13}", re.ASCII)
_PeerState = Literal["suspended", "active"]


class _Calls(NamedTuple):
    """The calls that the server's entry configures, all of them or none."""

    api: LesnetApi
    suspend: OrderTemplate
    resume: OrderTemplate
    read_back: ReadBack


class LesnetDriver:
    """One account at Les.net. Raises BadInput when calls are configured and a key is missing."""

    at_once = 50

    def __init__(self, server_id: str, server: LesnetServer, *, clock: Clock) -> None:
        self._server_id = server_id
        self._clock = clock
        self._concurrency = server.concurrency
        self._calls: _Calls | None = None
        if server.suspend and server.resume and server.read_back:
            api = LesnetApi(server_id, server, clock=clock)
            self._calls = _Calls(api, server.suspend, server.resume, server.read_back)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._calls is not None:
            await self._calls.api.aclose()

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        """See `PbxDriver.read`. A peer counts as on while one of its DIDs is."""
        alone = {target.element: {target.element: target} for target in targets}
        return await each_group(alone, self._read_one, at_once=self._concurrency)

    async def _read_one(
        self, element: Element, targets: Mapping[Element, SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        calls = self._configured(element)
        dids = self._dids(targets[element], calls.read_back)
        try:
            states = {await self._state(calls, element, did) for did in dids}
        except (Refused, OperatorMustAct):
            # The read-back may be configured wrongly and the order rightly: `switch` reports it.
            return {element: ElementReading("unknown", name=element.name)}
        return {
            element: ElementReading("off" if states == {"suspended"} else "on", name=element.name)
        }

    async def switch(
        self, changes: Sequence[ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        """See `PbxDriver.switch`."""
        alone = {c.target.element: {c.target.element: c} for c in changes}
        return await each_group(alone, self._switch_one, at_once=self._concurrency)

    async def _switch_one(
        self, element: Element, changes: Mapping[Element, ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        change, calls = changes[element], self._configured(element)
        wanted: _PeerState = "suspended" if change.off else "active"
        order = calls.suspend if change.off else calls.resume
        dids = self._dids(change.target, order, calls.read_back)
        differing = [did for did in dids if not await self._shows(calls, element, did, wanted)]
        for did in differing:
            await self._ask(calls.api, order, element, did)
        for did in differing:
            state = await self._state(calls, element, did)
            if state != wanted:
                still = f"{self._server_id}: peer {element.name} still reads {state}"
                return {element: Retry(still)}
        sent = f"{order.path} sent" if differing else f"{wanted} already"
        seen = f"{calls.read_back.path} shows {wanted}"
        now = self._clock.now()
        return {
            element: SwitchDone(f"peer {element.name}: {sent}, {seen}, read back {now:%H:%M:%SZ}")
        }

    async def _shows(self, calls: _Calls, element: Element, did: str, wanted: _PeerState) -> bool:
        """Whether the desired state is shown; an unknown value does not prevent the order."""
        try:
            return await self._state(calls, element, did) == wanted
        except (Refused, OperatorMustAct):
            return False

    async def _state(self, calls: _Calls, element: Element, did: str) -> _PeerState:
        read_back = calls.read_back
        answer = await self._ask(calls.api, read_back, element, did)
        try:
            state = read_back.state(answer)
            found = shown(at_pointer(answer, read_back.pointer), 100)
        except PointerNotFound:
            state, found = None, "nothing"
        if state is None:
            raise OperatorMustAct(
                f"{self._server_id}: {read_back.path} shows {found} at {read_back.pointer} for peer"
                f" {element.name}, neither `suspended` nor `active` as the servers file knows"
                " them: look at the peer in Les.net's portal, and correct read_back"
            )
        return "suspended" if state == "suspended" else "active"

    async def _ask(
        self, api: LesnetApi, order: OrderTemplate, element: Element, did: str
    ) -> dict[str, Any]:
        path, payload = order.fill(peer=element.name, did=did)
        return await api.request(path, payload)

    def _configured(self, element: Element) -> _Calls:
        if self._calls is None:
            raise OperatorMustAct(
                f"{self._server_id}: no call is configured to switch peer {shown(element.name)}: "
                "do it in Les.net's portal, or give suspend, resume and read_back in the servers "
                "file"
            )
        if element.way != "peer" or not _PEER.fullmatch(element.name):
            raise OperatorMustAct(
                f"{self._server_id}: the product names peer {shown(element.name)}, expected 13 hex "
                "digits: correct the product"
            )
        return self._calls

    def _dids(self, target: SwitchTarget, *orders: OrderTemplate) -> tuple[str, ...]:
        """The DIDs to make the calls for; one is enough where no call names a DID."""
        dids = target.product.dids
        if not any(order.per_did for order in orders):
            return dids[:1] or ("",)
        if not dids:
            raise OperatorMustAct(
                f"{self._server_id}: the calls name a DID, and service "
                f"{target.product.service_id} has none: correct the product"
            )
        return dids

    async def extensions_of(self, tenant: str) -> frozenset[str]:
        """See `PbxDriver.extensions_of`: a peer has no extensions."""
        raise OperatorMustAct(
            f"{self._server_id}: Les.net has no extensions, peer {shown(tenant)} is switched whole"
        )

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """See `PbxDriver.hang_up`: no call of Les.net's API is known for it."""
        return HungUp()

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """See `PbxDriver.live`. A peer whose state cannot be read is not among them."""
        return read_as_on(await self.read(targets))

    async def inventory(self) -> Inventory:
        """See `PbxDriver.inventory`: empty, with the reason as a gap."""
        return Inventory(gaps=("peers and DIDs: no call of Les.net's API is known to list them",))
