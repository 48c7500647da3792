"""All that a Vodia has: tenants, extensions, DIDs as aliases of accounts, trunks."""

import asyncio
from collections.abc import Iterator

from ringfence_contracts.errors import Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaAccount, VodiaApi, VodiaTrunk
from suspender.drivers.driver import Inventory, OperatorMustAct, ServerItem

_MAX_GAPS = 20
_SHORTEST_DID = 7
"""An alias of fewer digits is another extension number, not a DID."""


class VodiaInventory:
    """Reads one PBX. Changes nothing."""

    def __init__(self, server_id: str, server: VodiaServer, api: VodiaApi) -> None:
        self._server_id = server_id
        self._server = server
        self._api = api

    async def read(self) -> Inventory:
        """All tenants, or those of the servers file if the account may not list tenants.

        Raises OperatorMustAct if the PBX refuses us altogether, Retry if no tenant can be read.
        """
        gaps: list[str] = []
        try:
            tenants = await self._api.tenants()
        except Refused as error:
            tenants = list(self._server.tenants)
            if not tenants:
                raise OperatorMustAct(str(error)) from None
            gaps.append(f"tenants are those of the servers file: {error}")
        slots = asyncio.Semaphore(self._server.concurrency)

        async def look(tenant: str) -> "_Tenant":
            async with slots:
                return await self._tenant(tenant)

        found = await asyncio.gather(*map(look, tenants))
        self._check_any(found)
        items = [item for tenant in found for item in tenant.items]
        gaps += [gap for tenant in found for gap in tenant.gaps]
        if len(gaps) > _MAX_GAPS:
            gaps[_MAX_GAPS:] = [f"and {len(gaps) - _MAX_GAPS} more of the kind"]
        return Inventory(tuple(dict.fromkeys(items)), tuple(gaps))

    def _check_any(self, found: "list[_Tenant]") -> None:
        """Raise the first error if no tenant could be read."""
        if not found or any(tenant.was_read for tenant in found):
            return
        first = found[0].errors[0]
        raise OperatorMustAct(str(first)) if isinstance(first, Refused) else first

    async def _tenant(self, name: str) -> "_Tenant":
        tenant = _Tenant(name)
        try:
            tenant.add_trunks(await self._api.trunks(name))
        except (Refused, Retry) as error:
            tenant.note(f"trunks of {name}: {error}", error)
        try:
            accounts = await self._api.accounts(name)
        except (Refused, Retry) as error:
            tenant.note(f"extensions and DIDs of {name}: {error}", error)
        else:
            if accounts is None:
                tenant.gaps.append(
                    f"extensions and DIDs of {name}: {self._server_id} has no list of accounts "
                    "that is known here"
                )
            else:
                tenant.add_accounts(accounts)
        return tenant


class _Tenant:
    def __init__(self, name: str) -> None:
        self._name = name.lower()
        self.items = [ServerItem("tenant", self._name, self._name)]
        self.gaps: list[str] = []
        self.errors: list[Refused | Retry] = []
        self.was_read = False

    def note(self, gap: str, error: Refused | Retry) -> None:
        self.gaps.append(gap)
        self.errors.append(error)

    def add_trunks(self, trunks: list[VodiaTrunk]) -> None:
        """Add trunks. A global trunk belongs to no tenant, and is listed by each of them."""
        self.was_read = True
        for trunk in trunks:
            enabled = None if trunk.disabled is None else not trunk.disabled
            owner = "" if trunk.shared else self._name
            label = "global: never switched" if trunk.shared else ""
            self.items.append(ServerItem("gateway", owner, trunk.name, trunk.id, label, enabled))

    def add_accounts(self, accounts: list[VodiaAccount]) -> None:
        self.was_read = True
        for account in accounts:
            enabled = None if account.disabled is None else not account.disabled
            if account.is_extension:
                self.items.append(
                    ServerItem("extension", self._name, account.number, "", account.label, enabled)
                )
            self.items += self._dids(account)

    def _dids(self, account: VodiaAccount) -> Iterator[ServerItem]:
        rings = account.number if account.is_extension else ""
        for name in (account.number, *account.aliases):
            digits = name.removeprefix("+")
            if digits.isascii() and digits.isdecimal() and len(digits) >= _SHORTEST_DID:
                label = account.label
                yield ServerItem("did", self._name, name, label=label, enabled=None, leads_to=rings)
