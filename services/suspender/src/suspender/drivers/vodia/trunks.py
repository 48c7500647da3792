"""Vodia's trunks: read from a tenant's list, switched one by one, read back from the list.

A trunk that several tenants share is never switched, neither off nor on.
"""

from collections.abc import Mapping

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.vodia.api import VodiaApi, VodiaTrunk
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


class VodiaTrunks:
    """The trunks of one PBX's tenants."""

    def __init__(self, server_id: str, api: VodiaApi, *, clock: Clock, at_once: int) -> None:
        self._server_id = server_id
        self._api = api
        self._clock = clock
        self._at_once = at_once

    async def read(
        self, tenant: str, targets: Mapping[Element, SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The state of each trunk by the tenant's list."""
        trunks = await self._listed(tenant)
        return {element: self._reading(element, trunks) for element in targets}

    def _reading(
        self, element: Element, trunks: Mapping[str, VodiaTrunk]
    ) -> ElementReading | Failure:
        trunk = trunks.get(element.name)
        if trunk is None:
            return ElementReading("missing")
        if trunk.shared:
            return self._shared(trunk)
        if trunk.disabled is None:
            return ElementReading("unknown", name=_named(trunk))
        return ElementReading("off" if trunk.disabled else "on", name=_named(trunk))

    async def switch(
        self, tenant: str, changes: Mapping[Element, ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """Switch those that differ, and read all back from one list."""
        before = await self._listed(tenant)
        answers: dict[Element, SwitchDone | Failure] = {}
        ordered: dict[Element, dict[Element, ElementChange]] = {}
        for element, change in changes.items():
            trunk = before.get(element.name)
            if trunk is None or trunk.shared:
                answers[element] = self._shared(trunk) if trunk else self._missing(element)
            elif trunk.disabled is not change.off:
                ordered[element] = {element: change}
        answers |= await each_group(ordered, self._order, at_once=self._at_once)
        after = await self._listed(tenant)
        for element, change in changes.items():
            if element not in answers:
                was_ordered = element in ordered
                answers[element] = self._judge(element, change, after, was_ordered=was_ordered)
        return answers

    async def _order(
        self, element: Element, changes: Mapping[Element, ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """Switch one. The PBX's answer proves nothing, so there is no result yet."""
        await self._api.set_trunk(element.tenant, element.name, disabled=changes[element].off)
        return {}

    def _judge(
        self,
        element: Element,
        change: ElementChange,
        trunks: Mapping[str, VodiaTrunk],
        *,
        was_ordered: bool,
    ) -> SwitchDone | Failure:
        """The result for a trunk, by what the list shows after the request."""
        trunk, state = trunks.get(element.name), "disabled" if change.off else "enabled"
        if trunk is None:
            return self._missing(element)
        if trunk.disabled is None:
            return OperatorMustAct(
                f"{self._server_id}: the order was accepted, but the list of trunks does not show "
                f"whether trunk {_named(trunk)} is {state}: look at it in the PBX"
            )
        if trunk.disabled is not change.off:
            return Retry(
                f"{self._server_id}: trunk {_named(trunk)} not {state} after the order; if this "
                "stays so, the account may lack the right to switch it"
            )
        already = "" if was_ordered else " already"
        return SwitchDone(
            f"trunk {_named(trunk)} {state}{already}, read back {self._clock.now():%H:%M:%SZ}"
        )

    async def _listed(self, tenant: str) -> dict[str, VodiaTrunk]:
        return {trunk.id.lower(): trunk for trunk in await self._api.trunks(tenant)}

    def _missing(self, element: Element) -> OperatorMustAct:
        return OperatorMustAct(
            f"{self._server_id}: {shown(element.tenant)} has no trunk {element.name}: correct the "
            "product's trunk ids"
        )

    def _shared(self, trunk: VodiaTrunk) -> OperatorMustAct:
        return OperatorMustAct(
            f"{self._server_id}: trunk {_named(trunk)} is global, other tenants call through it: "
            "give the tenant a trunk of its own, or suspend by extensions"
        )


def _named(trunk: VodiaTrunk) -> str:
    return f"{trunk.name} ({trunk.id})"
