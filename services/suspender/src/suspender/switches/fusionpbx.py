"""FusionPBX: a service is off when its gateways, its extensions or its domain are disabled.

A toggle flips, whoever sent it last, and is answered alike whether it was carried out or refused.
So nothing is toggled that already stands right, and the list is read again afterwards. Between the
first reading and the toggle nobody else may toggle: within this process a lock per list sees to
that; another replica is kept away by whoever calls (the worker holds the server for itself, by an
advisory lock in PostgreSQL). A person at the pages is not: then the flag reads wrong afterwards,
and the next try puts it right.

A stored flag is not the live state, and a process can be killed between the one and the other. So
what makes a flag take effect (killgw, rescan, cache-flush: each harmless when repeated) is sent
every time, also when the flag stands right already.

Which gateways a client shares with others is not known here: a product that is suspended by
gateway names gateways of its own.
"""

import asyncio
from collections.abc import Iterable

from ringfence.clock import Clock
from ringfence.errors import Retry, shown
from ringfence.events.account import Service
from ringfence.pbx.fusionpbx import (
    FusionPbxSession,
    Kind,
    ListedRow,
    Listing,
    Refused,
    read_api_key,
)
from ringfence.pbx.servers import FusionPbxServer
from suspender.switches.switch import OperatorMustAct, SwitchState

_KINDS: dict[str, Kind] = {
    "gateway": "gateways",
    "extensions": "extensions",
    "domain": "domains",
}
_GONE_CHECKS = 8
_GONE_PAUSE_S = 0.25
"""A killed gateway may stay listed while it takes its registration back."""

_Parts = dict[str, ListedRow]
"""What a service consists of on the server, by uuid."""


class FusionPbxSwitch:
    """One FusionPBX. Gateways and domains need a superadmin's key.

    Raises BadInput when there is no api key, or none that can work.
    """

    def __init__(self, server_id: str, server: FusionPbxServer, *, clock: Clock) -> None:
        read_api_key(server_id, server)
        self._server_id = server_id
        self._server = server
        self._clock = clock
        self._slots = asyncio.Semaphore(server.concurrency)
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._sessions: dict[tuple[str, str], FusionPbxSession] = {}
        self._homes: dict[str, str] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.aclose()

    async def read(self, service: Service) -> SwitchState:
        """What FusionPBX has stored of the service (see `Switch.read`)."""
        try:
            parts, _ = await self._read(service)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        enabled = {row.enabled for row in parts.values()}
        if len(enabled) > 1:
            return SwitchState.MIXED
        return SwitchState.ACTIVE if enabled == {True} else SwitchState.SUSPENDED

    async def suspend(self, service: Service) -> str:
        """Disable, make it take effect, read back (see `Switch.suspend`)."""
        return await self._bring(service, enabled=False)

    async def restore(self, service: Service) -> str:
        """Enable, make it take effect, read back (see `Switch.restore`)."""
        return await self._bring(service, enabled=True)

    async def _bring(self, service: Service, *, enabled: bool) -> str:
        try:
            async with self._lock(service):
                parts = await self._set_flags(service, enabled=enabled)
                effect = await self._take_effect(service, parts, enabled=enabled)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        now = self._clock.now()
        state = "enabled" if enabled else "disabled"
        return f"{_named(service, parts)} {state}{effect}, read back {now:%H:%M:%SZ}"

    async def _set_flags(self, service: Service, *, enabled: bool) -> _Parts:
        parts, listing = await self._read(service)
        differing = [uuid for uuid, row in parts.items() if row.enabled != enabled]
        if not differing:
            return parts
        session, kind = self._session(service), _KINDS[service.suspend_by]
        await session.toggle(kind, differing, listing.token)
        parts, _ = await self._read(service)
        wrong = [row.name for row in parts.values() if row.enabled != enabled]
        if wrong:
            wanted = "enabled" if enabled else "disabled"
            raise Retry(
                f"{session.name}: {kind} {', '.join(wrong)[:200]} not {wanted} after the toggle; "
                "if this stays so, the key's user may lack the right to switch them"
            )
        return parts

    async def _take_effect(self, service: Service, parts: _Parts, *, enabled: bool) -> str:
        session, profile = self._session(service), self._server.sip_profile
        if service.suspend_by == "domain":
            await session.cache_flush()
            return ", cache flushed"
        if service.suspend_by == "extensions":
            return ""
        if enabled:
            await session.rescan(profile)
            return f", rescan of {profile} sent"
        for uuid in parts:
            await session.killgw(profile, uuid)
        await self._see_gone(session, parts)
        return ", killgw sent, no longer live"

    async def _see_gone(self, session: FusionPbxSession, parts: _Parts) -> None:
        for _ in range(_GONE_CHECKS):
            live = await session.live_gateways() & parts.keys()
            if not live:
                return
            await asyncio.sleep(_GONE_PAUSE_S)
        names = ", ".join(sorted(parts[uuid].name for uuid in live))
        raise Retry(f"{session.name}: gateways {names} disabled, but still live after killgw")

    async def _read(self, service: Service) -> tuple[_Parts, Listing]:
        """The service's rows, each with a flag that can be switched, and the list they are from."""
        session, kind = self._session(service), _KINDS[service.suspend_by]
        wanted = service.gateway_ids if kind == "gateways" else ()
        listing = await session.list_rows(kind, all_tenants=kind == "gateways", wanted=wanted)
        parts = {row.uuid: row for row in listing.rows.values() if _belongs(service, row)}
        if kind == "extensions" and self._server.all_tenants:
            await self._check_home(session, parts, service.tenant)
        self._check_parts(service, parts)
        return parts, listing

    async def _check_home(self, session: FusionPbxSession, parts: _Parts, tenant: str) -> None:
        """Two tenants may have the same extension numbers: make sure that these are the tenant's.

        A superadmin's session acts in the domain that it entered. Which domain an extension belongs
        to never changes, so the list of all tenants is read only for extensions not met before.
        """
        if not parts.keys() <= self._homes.keys():
            everyone = await session.list_rows("extensions", all_tenants=True)
            self._homes |= {row.uuid: row.domain.lower() for row in everyone.rows.values()}
        if any(self._homes.get(uuid) != tenant.lower() for uuid in parts):
            raise Retry(f"{session.name}: the session is not in the domain {shown(tenant)}")

    def _check_parts(self, service: Service, parts: _Parts) -> None:
        wanted = {uuid.lower() for uuid in service.gateway_ids}
        if service.suspend_by == "gateway" and (not wanted or wanted - parts.keys()):
            raise self._act(service, f"gateways {sorted(wanted - parts.keys()) or 'to switch'}")
        if not parts:
            raise self._act(service, f"{service.suspend_by} to switch")
        if unread := [row.name for row in parts.values() if row.enabled is None]:
            raise OperatorMustAct(
                f"{self._server_id}: can not tell whether {', '.join(unread)[:200]} is enabled: "
                "the key's user needs the right to switch it, and English as language"
            )

    def _act(self, service: Service, what: str) -> OperatorMustAct:
        return OperatorMustAct(
            f"{self._server_id}: found no {what} of service {service.service_id} in "
            f"{shown(service.tenant)}: correct the product (suspend_by, extensions, gateway_ids), "
            "or the rights of the key's user"
        )

    def _lock(self, service: Service) -> asyncio.Lock:
        """One toggler at a time in each list; the extensions of each tenant are a list."""
        scope = service.tenant.lower() if service.suspend_by == "extensions" else ""
        return self._locks.setdefault((service.suspend_by, scope), asyncio.Lock())

    def _session(self, service: Service) -> FusionPbxSession:
        """A superadmin's session of all tenants enters a domain only to switch its extensions."""
        own = service.tenant
        extensions = service.suspend_by == "extensions"
        if self._server.all_tenants:
            host, tenant = self._server.host, own if extensions else None
        else:
            host, tenant = own if extensions else self._server.host or own, None
        key = (host or "", tenant or "")
        if key not in self._sessions:
            self._sessions[key] = FusionPbxSession(
                self._server_id, self._server, host=host, tenant=tenant, slots=self._slots
            )
        return self._sessions[key]


def _belongs(service: Service, row: ListedRow) -> bool:
    if service.suspend_by == "gateway":
        return row.uuid in {uuid.lower() for uuid in service.gateway_ids}
    if service.suspend_by == "extensions":
        return row.name in service.extensions
    return row.name.lower() == service.tenant.lower()


def _named(service: Service, parts: _Parts) -> str:
    names = [row.name for row in parts.values()]
    said = f"{service.suspend_by} {_listed(names)}"
    if service.suspend_by == "extensions":
        missing = sorted(set(service.extensions) - set(names))
        said += f" ({_listed(missing)} not on the PBX)" if missing else ""
    return said


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 300 else f"{text[:299]}…"
