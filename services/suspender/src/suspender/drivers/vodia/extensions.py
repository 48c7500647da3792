"""Switches Vodia's extensions with one request, and reads them back if the PBX shows their state.

For present versions it is not documented where an extension's state can be read. It is read where
the server entry says (`extension_state_path`), or else in the list of accounts from the vendor's
older documentation. If neither shows it, the request is sent, but the result is not proven.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaAccount, VodiaApi
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.groups import each_group
from suspender.rules.elements import Element


class _Shown(NamedTuple):
    """The state of an extension as the PBX shows it; `why`: the reason if it shows none."""

    state: Literal["on", "off", "missing", "unknown"]
    why: str = ""


_NOT_SHOWN = _Shown(
    "unknown",
    "nothing shows it: set extension_state_path in the servers file, or accept_unread to take "
    "an accepted order for done",
)


class VodiaExtensions:
    """The extensions of one PBX's tenants."""

    def __init__(self, server_id: str, server: VodiaServer, api: VodiaApi, *, clock: Clock) -> None:
        self._server_id = server_id
        self._server = server
        self._api = api
        self._clock = clock

    async def read(
        self, tenant: str, targets: Mapping[Element, SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """What the PBX shows of each."""
        readings: dict[Element, ElementReading | Failure] = dict(self._invalid_names(targets))
        found = await self._shown(tenant, targets.keys() - readings.keys())
        for element, seen in found.items():
            if not isinstance(seen, _Shown):
                readings[element] = seen
            elif seen is _NOT_SHOWN and not await self._exists(element):
                readings[element] = ElementReading("missing")
            else:
                readings[element] = ElementReading(seen.state, name=element.name)
        return readings

    async def switch(
        self, tenant: str, changes: Mapping[Element, ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """Switch those that do not show the desired state, in one request, and read all back.

        All changes have the same desired state.
        """
        answers: dict[Element, SwitchDone | Failure] = dict(self._invalid_names(changes))
        valid = {element: c for element, c in changes.items() if element not in answers}
        ordered = {
            element: change
            for element, change in valid.items()
            if change.reading.state != ("off" if change.off else "on")
        }
        answers |= await self._order(tenant, ordered)
        found = await self._shown(tenant, valid.keys() - answers.keys())
        for element, seen in found.items():
            if isinstance(seen, _Shown):
                was_ordered = element in ordered
                answers[element] = self._judge(
                    element, valid[element], seen, was_ordered=was_ordered
                )
            else:
                answers[element] = seen
        return answers

    async def _order(
        self, tenant: str, changes: Mapping[Element, ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """One request for all; if the PBX refuses it, one for each, so that one fails no other."""
        if not changes:
            return {}
        disabled = next(iter(changes.values())).off
        try:
            names = sorted(element.name for element in changes)
            await self._api.set_extensions(tenant, names, disabled=disabled)
        except Refused:
            if len(changes) == 1:
                raise
            alone = {element: {element: change} for element, change in changes.items()}
            return await each_group(alone, self._order_one, at_once=self._server.concurrency)
        return {}

    async def _order_one(
        self, element: Element, changes: Mapping[Element, ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        off = changes[element].off
        await self._api.set_extensions(element.tenant, [element.name], disabled=off)
        return {}

    def _judge(
        self, element: Element, change: ElementChange, seen: _Shown, *, was_ordered: bool
    ) -> SwitchDone | Failure:
        """The result for an extension, by what the PBX shows after the request."""
        state, now = "disabled" if change.off else "enabled", f"{self._clock.now():%H:%M:%SZ}"
        where = f"extension {element.name} of {shown(element.tenant)}"
        if seen.state == "missing":
            return OperatorMustAct(
                f"{self._server_id}: the PBX has no {where}: correct the product's extensions"
            )
        if seen.state == "unknown":
            if self._server.accept_unread and self._server.extension_state_path is None:
                evidence = f"extension {element.name} {state} by order, accepted {now}"
                return SwitchDone(f"{evidence}, not read back", proven=False)
            return OperatorMustAct(
                f"{self._server_id}: the order was accepted, but whether {where} is {state} cannot "
                f"be read back: {seen.why}"
            )
        if seen.state != ("off" if change.off else "on"):
            return Retry(
                f"{self._server_id}: {where} not {state} after the order; if this stays so, the "
                "account may lack the right to switch it"
            )
        already = "" if was_ordered else " already"
        return SwitchDone(f"extension {element.name} {state}{already}, read back {now}")

    async def _shown(
        self, tenant: str, elements: Collection[Element]
    ) -> dict[Element, _Shown | Failure]:
        if not elements:
            return {}
        accounts: dict[str, VodiaAccount] | None = None
        if self._server.extension_state_path is None:
            accounts = await self._accounts(tenant)
            if accounts is None:
                return dict.fromkeys(elements, _NOT_SHOWN)

        async def look(
            element: Element, _: Mapping[Element, Element]
        ) -> dict[Element, _Shown | Failure]:
            return {element: await self._look(element, accounts)}

        alone = {element: {element: element} for element in elements}
        return await each_group(alone, look, at_once=self._server.concurrency)

    async def _accounts(self, tenant: str) -> dict[str, VodiaAccount] | None:
        """The tenant's accounts by number; None where the PBX gives no list."""
        try:
            listed = await self._api.accounts(tenant)
        except Refused:
            return None  # switching does not need the list
        return None if listed is None else {account.number: account for account in listed}

    async def _look(self, element: Element, accounts: Mapping[str, VodiaAccount] | None) -> _Shown:
        try:
            disabled, is_listed = await self._disabled(element, accounts)
        except Refused as error:
            return _Shown("unknown", str(error))
        if disabled is not None:
            return _Shown("off" if disabled else "on")
        if is_listed:
            return _NOT_SHOWN
        # A wrong path or a partial list would show no extension at all: an extension counts as
        # missing only if its page of calls is missing, too.
        if not await self._exists(element):
            return _Shown("missing")
        return _Shown("unknown", "it exists, but no state is shown: correct extension_state_path")

    async def _exists(self, element: Element) -> bool:
        """Whether the PBX knows the extension, by its page of calls; true if in doubt."""
        try:
            return await self._api.live_calls(element.tenant, element.name) is not None
        except (Refused, Retry):
            return True

    async def _disabled(
        self, element: Element, accounts: Mapping[str, VodiaAccount] | None
    ) -> tuple[bool | None, bool]:
        """Whether it is disabled (None: not shown), and whether the extension itself is shown."""
        if accounts is None:
            state = await self._api.extension_disabled(element.tenant, element.name)
            return state, state is not None
        account = accounts.get(element.name)
        return (None, False) if account is None else (account.disabled, True)

    def _invalid_names(self, elements: Collection[Element]) -> dict[Element, OperatorMustAct]:
        """Names that cannot be sent: the PBX takes a list separated by blanks."""
        return {
            element: OperatorMustAct(
                f"{self._server_id}: {shown(element.name)} is no extension: correct the product's "
                "extensions"
            )
            for element in elements
            if not (element.name.isascii() and element.name.isalnum())
        }
