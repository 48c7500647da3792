"""FusionPBX: what is off is a disabled gateway, extension or domain, or an emptied toll_allow.

A toggle flips the stored flag, and its answer is the same whether it was carried out or refused. So
an element is toggled only if its flag is wrong, and the flag is read again afterwards. Between the
reading and the toggle nobody else may toggle: within this process the classes for each way ensure
it; other replicas are excluded by the caller (the worker holds the server's advisory lock in
PostgreSQL). A person at the web pages is not excluded: then the flag is wrong afterwards, and the
next attempt corrects it.

A stored flag is not the live state, and a process can be killed between the two. So the command
that makes the flag take effect (killgw, rescan, cache-flush: all idempotent) is sent even if the
flag is right already. FusionPBX answers such a command alike whether it reached FreeSWITCH ("the
switch") or not; so the answer of the switch itself is read, and nothing is confirmed without it.

The driver does not know which gateways clients share: a product that is suspended by gateway has to
name gateways of its own.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.session import FusionPbxSession, read_api_key
from ringfence_pbx.servers import FusionPbxServer
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
from suspender.drivers.fusionpbx.calls import Calls
from suspender.drivers.fusionpbx.domains import Domains
from suspender.drivers.fusionpbx.extensions import ExtensionLists, Extensions
from suspender.drivers.fusionpbx.inventory import InventoryReader
from suspender.drivers.fusionpbx.outbound import Outbound
from suspender.drivers.fusionpbx.sessions import Sessions, gathered
from suspender.drivers.fusionpbx.trunks import Trunks
from suspender.rules.elements import Element

ItemT = TypeVar("ItemT", SwitchTarget, ElementChange)
AnswerT = TypeVar("AnswerT")
_Work = Callable[[str, Sequence[ItemT]], Awaitable[Mapping[Element, AnswerT | Failure]]]


class FusionPbxDriver:
    """One FusionPBX, see `PbxDriver`. Gateways and domains need a superadmin's key.

    Raises BadInput when there is no api key, or none that can work.
    """

    at_once = 200

    def __init__(self, server_id: str, server: FusionPbxServer, *, clock: Clock) -> None:
        read_api_key(server_id, server)
        self._server_id = server_id
        self._sessions = Sessions(server_id, server)
        self._lists = ExtensionLists(self._sessions)
        self._trunks = Trunks(server.sip_profile, clock)
        self._domains = Domains(clock)
        self._extensions = Extensions(self._sessions, self._lists, clock)
        self._outbound = Outbound(self._sessions, self._lists, self._extensions, clock)
        self._calls = Calls(self._sessions)
        self._inventory = InventoryReader(self._sessions)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sessions.aclose()

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        """The stored state of each; of many gateways, those that run count as on."""
        return await self._by_way(targets, lambda target: target, self._read_way)

    async def switch(
        self, changes: Sequence[ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        """Switch each, make it take effect, read it back."""
        return await self._by_way(changes, lambda change: change.target, self._switch_way)

    async def _read_way(
        self, way: str, targets: Sequence[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        if way == "extensions":
            return await self._extensions.read(targets)
        if way == "outbound":
            return await self._outbound.read(targets)
        session = self._session(way, targets[0])
        return await (self._trunks if way == "gateway" else self._domains).read(session, targets)

    async def _switch_way(
        self, way: str, changes: Sequence[ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        if way == "extensions":
            return await self._extensions.switch(changes)
        if way == "outbound":
            return await self._outbound.switch(changes)
        session = self._session(way, changes[0].target)
        return await (self._trunks if way == "gateway" else self._domains).switch(session, changes)

    def _session(self, way: str, target: SwitchTarget) -> FusionPbxSession:
        tenant = target.product.tenant.lower()
        return self._sessions.of_server(tenant, "gateways" if way == "gateway" else "lists")

    async def _by_way(
        self,
        items: Collection[ItemT],
        target_of: Callable[[ItemT], SwitchTarget],
        work: _Work[ItemT, AnswerT],
    ) -> dict[Element, AnswerT | Failure]:
        """Work on all ways at the same time. Raises Retry when the server answered none of them."""
        groups: dict[str, list[ItemT]] = {}
        for item in items:
            groups.setdefault(target_of(item).element.way, []).append(item)
        answers: dict[Element, AnswerT | Failure] = {}
        failed: dict[str, Retry] = {}

        async def one(way: str, group: Sequence[ItemT]) -> None:
            elements = [target_of(item).element for item in group]
            if way == "peer":
                text = f"{self._server_id}: a FusionPBX has no peers: correct the product's kind"
                answers.update(dict.fromkeys(elements, OperatorMustAct(text)))
                return
            try:
                answers.update(await work(way, group))
            except (Refused, OperatorMustAct) as error:
                answers.update(dict.fromkeys(elements, OperatorMustAct(str(error))))
            except Retry as error:
                failed[way] = error
                answers.update(dict.fromkeys(elements, error))

        await gathered(*(one(way, group) for way, group in groups.items()))
        if failed and failed.keys() == groups.keys():
            raise next(iter(failed.values()))
        return answers

    async def extensions_of(self, tenant: str) -> frozenset[str]:
        """The numbers of all extensions of a tenant."""
        try:
            rows = await self._lists.of_tenant(tenant.lower())
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        return frozenset(number for _, number in rows)

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """End the live calls of these extensions, except those to or from emergency numbers."""
        try:
            return await self._calls.hang_up(product, extensions)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """Those that are on: gateways that the switch runs, and others whose stored flag is on."""
        gateways = [target for target in targets if target.element.way == "gateway"]
        others = [target for target in targets if target.element.way != "gateway"]
        live: set[Element] = set()
        try:
            if gateways:
                session = self._session("gateway", gateways[0])
                live |= await self._trunks.running(session, [t.element for t in gateways])
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        readings = await self.read(others)
        failed = [
            reading for reading in readings.values() if not isinstance(reading, ElementReading)
        ]
        if failed and len(failed) == len(targets):
            raise failed[0]
        return read_as_on(readings) | live

    async def inventory(self) -> Inventory:
        """All that can be read of the server, with pauses between slow pages."""
        try:
            return await self._inventory.read()
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
