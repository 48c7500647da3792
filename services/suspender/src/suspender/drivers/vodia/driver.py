"""Vodia: trunks and extensions, by idempotent requests that set a state (docs/vodia.md).

Vodia has no switch for a whole tenant, and none for outbound calls alone.
"""

from collections.abc import Collection, Mapping, Sequence

from ringfence.clock import Clock
from ringfence_contracts.errors import shown
from ringfence_contracts.events.account import Service
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaApi
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
from suspender.drivers.vodia.calls import VodiaCalls
from suspender.drivers.vodia.extensions import VodiaExtensions
from suspender.drivers.vodia.inventory import VodiaInventory
from suspender.drivers.vodia.trunks import VodiaTrunks
from suspender.rules.elements import Element, ElementWay

_Group = tuple[ElementWay, str, bool]
"""The way, the tenant, and whether it is to be off (true for what is only read)."""


class VodiaDriver:
    """One Vodia PBX. Raises BadInput when there is no password."""

    at_once = 100

    def __init__(self, server_id: str, server: VodiaServer, *, clock: Clock) -> None:
        self._server_id = server_id
        self._at_once = server.concurrency
        self._api = VodiaApi(server_id, server)
        self._trunks = VodiaTrunks(server_id, self._api, clock=clock, at_once=self._at_once)
        self._extensions = VodiaExtensions(server_id, server, self._api, clock=clock)
        self._calls = VodiaCalls(server_id, self._api)
        self._inventory = VodiaInventory(server_id, server, self._api)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        """See `PbxDriver.read`. Trunks are read by one list for each tenant."""
        groups: dict[_Group, dict[Element, SwitchTarget]] = {}
        for target in targets:
            way, tenant, _ = target.element
            groups.setdefault((way, tenant, True), {})[target.element] = target
        return await each_group(groups, self._read_group, at_once=self._at_once)

    async def _read_group(
        self, group: _Group, targets: Mapping[Element, SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        way, tenant, _ = group
        if way == "gateway":
            return await self._trunks.read(tenant, targets)
        if way == "extensions":
            return await self._extensions.read(tenant, targets)
        raise self._no_such_way(way, tenant)

    async def switch(
        self, changes: Sequence[ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        """See `PbxDriver.switch`."""
        groups: dict[_Group, dict[Element, ElementChange]] = {}
        for change in changes:
            way, tenant, _ = change.target.element
            group = groups.setdefault((way, tenant, change.off), {})
            group[change.target.element] = change
        return await each_group(groups, self._switch_group, at_once=self._at_once)

    async def _switch_group(
        self, group: _Group, changes: Mapping[Element, ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        way, tenant, _ = group
        if way == "gateway":
            return await self._trunks.switch(tenant, changes)
        if way == "extensions":
            return await self._extensions.switch(tenant, changes)
        raise self._no_such_way(way, tenant)

    def _no_such_way(self, way: ElementWay, tenant: str) -> OperatorMustAct:
        what = {
            "domain": "no switch for a whole tenant",
            "outbound": "no switch for outbound calls alone",
        }.get(way, f"nothing to switch by {way}")
        return OperatorMustAct(
            f"{self._server_id}: cannot switch {shown(tenant)}: Vodia documents {what}; suspend by "
            "gateway (trunks) or by extensions"
        )

    async def extensions_of(self, tenant: str) -> frozenset[str]:
        """See `PbxDriver.extensions_of`. OperatorMustAct where no list is known."""
        try:
            accounts = await self._api.accounts(tenant)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        if accounts is None:
            raise OperatorMustAct(
                f"{self._server_id}: the PBX has no list of the extensions of {shown(tenant)} that "
                "is known here: list them in the product in place of *"
            )
        return frozenset(account.number for account in accounts if account.is_extension)

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """See `PbxDriver.hang_up`. Retry also where a call goes on after being hung up."""
        return await self._calls.hang_up(product.tenant, extensions)

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """See `PbxDriver.live`. An extension whose state is not shown is not among them."""
        return read_as_on(await self.read(targets))

    async def inventory(self) -> Inventory:
        """See `PbxDriver.inventory`."""
        return await self._inventory.read()
