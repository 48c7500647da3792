"""Vodia: a service is off when its trunks or its extensions are disabled.

Orders name the state they want, so whatever stands right already may be ordered again; it is not,
where it can be read. A trunk that other tenants use as well is never switched for one of them.
Nothing documents that disabling ends the calls in progress, so those of the product's extensions
are hung up, except calls to emergency numbers.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence

from ringfence.clock import Clock
from ringfence.errors import Retry, shown
from ringfence.events.account import Service
from ringfence.pbx.servers import VodiaServer
from ringfence.pbx.vodia import LiveCall, Refused, Trunk, VodiaApi
from suspender.drivers.driver import OperatorMustAct
from suspender.drivers.switch import SwitchState

_SIDE = re.compile("from|to|number|remote|dest|call(er|ee|ed)", re.IGNORECASE)
_EMERGENCY = re.compile(r"(?<![\w+])(911|112|999)(?!\w)")
_GONE_CHECKS = 8
_GONE_PAUSE_S = 0.25
"""A call that was hung up may stay listed until the telephones have answered."""


class VodiaSwitch:
    """One Vodia PBX. Raises BadInput when there is no password."""

    def __init__(self, server_id: str, server: VodiaServer, *, clock: Clock) -> None:
        self._server_id = server_id
        self._server = server
        self._clock = clock
        self._api = VodiaApi(server_id, server)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def read(self, service: Service) -> SwitchState:
        """What Vodia has stored of the service (see `Switch.read`)."""
        try:
            disabled = set((await self._stored(service)).values())
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        if len(disabled) > 1:
            return SwitchState.MIXED
        return SwitchState.SUSPENDED if disabled == {True} else SwitchState.ACTIVE

    async def suspend(self, service: Service) -> str:
        """Disable, read back, hang up (see `Switch.suspend`)."""
        return await self._bring(service, disabled=True)

    async def restore(self, service: Service) -> str:
        """Enable, read back (see `Switch.restore`)."""
        return await self._bring(service, disabled=False)

    async def _bring(self, service: Service, *, disabled: bool) -> str:
        self._check(service)
        by_trunk = service.suspend_by == "gateway"
        try:
            order = self._order_trunks if by_trunk else self._order_extensions
            done = await order(service, disabled=disabled)
            ended = await self._hang_up(service) if disabled else ""
            return f"{done}{ended}, {await self._confirmed(service, disabled=disabled)}"
        except Refused as error:
            raise OperatorMustAct(str(error)) from None

    def _check(self, service: Service) -> None:
        if service.suspend_by == "domain":
            raise self._act(
                service, "Vodia documents no switch for a whole tenant: suspend by gateway "
                "(trunks) or by extensions"
            )  # fmt: skip
        if service.suspend_by == "gateway" and not service.gateway_ids:
            raise self._act(service, "it names no trunks: enter their ids as gateway_ids")
        odd = [e for e in service.extensions if not e.isalnum()]
        if service.suspend_by == "extensions" and (odd or not service.extensions):
            named = f"these are none: {_listed(odd)}" if odd else "it names no extensions"
            raise self._act(service, f"{named}; correct the product's extensions")

    def _act(self, service: Service, what: str) -> OperatorMustAct:
        where = f"service {service.service_id} of {shown(service.tenant)}"
        return OperatorMustAct(f"{self._server_id}: can not switch {where}: {what}")

    async def _order_trunks(self, service: Service, *, disabled: bool) -> str:
        trunks = await self._own_trunks(service)
        for trunk in trunks:
            if trunk.disabled is not disabled:
                await self._api.set_trunk(service.tenant, trunk.id, disabled=disabled)
        names = _listed(f"{trunk.name} ({trunk.id})" for trunk in trunks)
        return f"trunk {names} {_state(disabled)}"

    async def _own_trunks(self, service: Service) -> list[Trunk]:
        """The service's trunks: all of them, and none that others use as well."""
        wanted = set(service.gateway_ids)
        trunks = [t for t in await self._api.trunks(service.tenant) if t.id in wanted]
        if missing := wanted - {trunk.id for trunk in trunks}:
            raise self._act(service, f"it has no trunk {_listed(sorted(missing))} there")
        if shared := [trunk for trunk in trunks if trunk.shared]:
            names = _listed(f"{trunk.name} ({trunk.id})" for trunk in shared)
            raise self._act(
                service,
                f"trunk {names} is global, other tenants call through it: give the tenant a trunk "
                "of its own, or suspend by extensions",
            )
        return trunks

    async def _order_extensions(self, service: Service, *, disabled: bool) -> str:
        await self._api.set_extensions(service.tenant, service.extensions, disabled=disabled)
        return f"extensions {_listed(service.extensions)} {_state(disabled)}"

    async def _confirmed(self, service: Service, *, disabled: bool) -> str:
        """That the PBX shows the wanted state. Retry when it does not."""
        now = self._clock.now()
        unread = service.suspend_by == "extensions" and self._server.extension_state_path is None
        if unread and self._server.accept_unread:
            return f"accepted {now:%H:%M:%SZ}, not read back"
        if unread:
            raise self._act(
                service,
                f"the order was accepted, but nothing shows whether extensions are "
                f"{_state(disabled)}: set extension_state_path, or accept_unread, for the server",
            )
        stored = await self._stored(service)
        wrong = [name for name, state in stored.items() if state is not disabled]
        if wrong:
            raise Retry(
                f"{self._server_id}: {_listed(wrong)} not {_state(disabled)} after the order; if "
                "this stays so, the account may lack the right to switch them"
            )
        return f"read back {now:%H:%M:%SZ}"

    async def _stored(self, service: Service) -> dict[str, bool | None]:
        """Whether each of the service's parts is disabled, by its name."""
        self._check(service)
        if service.suspend_by == "gateway":
            return {f"{t.name} ({t.id})": t.disabled for t in await self._own_trunks(service)}
        states = await asyncio.gather(
            *(self._api.extension_disabled(service.tenant, e) for e in service.extensions)
        )
        stored = dict(zip(service.extensions, states, strict=True))
        present = {extension: state for extension, state in stored.items() if state is not None}
        if not present:
            raise self._act(service, "the PBX has none of its extensions")
        return dict(present)

    async def _hang_up(self, service: Service) -> str:
        """End the calls in progress of the product's extensions; say how many."""
        if not service.extensions:
            return ", calls in progress left alone (the product names no extensions)"
        ended = await asyncio.gather(*(self._end_calls(service, e) for e in service.extensions))
        return f", {sum(ended)} live calls ended"

    async def _end_calls(self, service: Service, extension: str) -> int:
        calls = await self._api.live_calls(service.tenant, extension) or []
        ending = {call.id for call in calls if not _is_emergency(call)}
        for call_id in sorted(ending):
            await self._api.hang_up(service.tenant, extension, call_id)
        if ending:
            await self._see_gone(service, extension, ending)
        return len(ending)

    async def _see_gone(self, service: Service, extension: str, ending: set[str]) -> None:
        for _ in range(_GONE_CHECKS):
            calls = await self._api.live_calls(service.tenant, extension) or []
            if not ending & {call.id for call in calls}:
                return
            await asyncio.sleep(_GONE_PAUSE_S)
        raise Retry(f"{self._server_id}: calls of {extension} go on after being hung up")


def _is_emergency(call: LiveCall) -> bool:
    """Whether a side of the call is an emergency number; how its fields are named is not known."""
    sides = [str(said) for name, said in call.said.items() if _SIDE.search(name)]
    return any(_EMERGENCY.search(side) for side in sides)


def _state(disabled: bool) -> str:
    return "disabled" if disabled else "enabled"


def _listed(names: Iterable[str] | Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 300 else f"{text[:299]}…"
