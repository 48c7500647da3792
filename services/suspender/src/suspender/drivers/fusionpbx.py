"""FusionPBX: a service is off when its gateways, its extensions or its domain are disabled.

A toggle flips, whoever sent it last, and is answered alike whether it was carried out or refused.
So nothing is toggled that already stands right, and the list is read again afterwards. Between the
first reading and the toggle nobody else may toggle: within this process a lock per list sees to
that; another replica is kept away by whoever calls (the worker holds the server for itself, by an
advisory lock in PostgreSQL). A person at the pages is not: then the flag reads wrong afterwards,
and the next try puts it right.

A stored flag is not the live state, and a process can be killed between the one and the other. So
what makes a flag take effect (killgw, rescan, cache-flush: each harmless when repeated) is sent
every time, also when the flag is right already. FusionPBX answers such a command alike whether
the switch was reached or not; so the switch's own answer is read on the next page, and nothing is
confirmed without it: a gateway is off when the switch was reached and does not list it, and on when
the switch lists it, in whatever state of registration.

Which gateways a client shares with others is not known here: a product that is suspended by
gateway names gateways of its own.
"""

import asyncio
from collections.abc import Iterable, Mapping

from ringfence.clock import Clock
from ringfence.errors import Retry, shown
from ringfence.events.account import Service
from ringfence.pbx.fusionpbx import (
    FusionPbxSession,
    Kind,
    ListedRow,
    Listing,
    Refused,
    SwitchStatus,
    read_api_key,
)
from ringfence.pbx.servers import FusionPbxServer
from suspender.drivers.driver import OperatorMustAct
from suspender.drivers.fusionpbx_gateways import GatewayFinder
from suspender.drivers.switch import SwitchState

_KINDS: dict[str, Kind] = {
    "gateway": "gateways",
    "extensions": "extensions",
    "domain": "domains",
}
_CHECKS = 8
_PAUSE_S = 0.25
"""A killed gateway may stay listed while it takes its registration back, a new one come late."""

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
        self._gateways = GatewayFinder()

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
                parts, listing = await self._read(service)
                differing = [uuid for uuid, row in parts.items() if row.enabled != enabled]
                if differing:
                    session, kind = self._session(service), _KINDS[service.suspend_by]
                    await session.toggle(kind, differing, listing.token)
                effect = await self._take_effect(service, parts, enabled=enabled)
                if differing:
                    parts = await self._read_back(service, enabled=enabled)
        except Refused as error:
            raise OperatorMustAct(str(error)) from None
        now = self._clock.now()
        state = "enabled" if enabled else "disabled"
        return f"{_named(service, parts)} {state}{effect}, read back {now:%H:%M:%SZ}"

    async def _read_back(self, service: Service, *, enabled: bool) -> _Parts:
        session, kind = self._session(service), _KINDS[service.suspend_by]
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
        """Bring the switch to what is stored, and say what it answered: the evidence."""
        session, profile = self._session(service), self._server.sip_profile
        if service.suspend_by == "domain":
            return _answered("cache-flush", await session.cache_flush())
        if service.suspend_by == "extensions":
            return await self._flush_extensions(session)
        if enabled:
            status = await session.rescan(profile)
            return _answered("rescan", status) + await self._see_listed(session, parts, status)
        status = await session.killgw(profile, *parts)
        await self._see_gone(session, parts, status)
        return _answered("killgw", status) + ", not listed by the switch"

    async def _flush_extensions(self, session: FusionPbxSession) -> str:
        """A toggle drops the extension's cache entry, but does not say whether it could.

        An admin's key can neither flush nor ask: then that is said in place of a proof.
        """
        try:
            return _answered("cache-flush", await session.cache_flush())
        except Refused:
            return ", switch not asked (that is for superadmins)"

    async def _see_gone(
        self, session: FusionPbxSession, parts: _Parts, status: SwitchStatus
    ) -> None:
        for _ in range(_CHECKS):
            if not status.gateways.keys() & parts.keys():
                return
            await asyncio.sleep(_PAUSE_S)
            status = await session.status()
        names = _listed(sorted(parts[u].name for u in status.gateways.keys() & parts.keys()))
        raise Retry(f"{session.name}: gateways {names} disabled, but still live after killgw")

    async def _see_listed(
        self, session: FusionPbxSession, parts: _Parts, status: SwitchStatus
    ) -> str:
        for _ in range(_CHECKS):
            if parts.keys() <= status.gateways.keys():
                states = sorted({status.gateways[uuid] or "no state" for uuid in parts})
                return f", listed by the switch ({_listed(states)})"
            await asyncio.sleep(_PAUSE_S)
            status = await session.status()
        names = _listed(sorted(parts[u].name for u in parts.keys() - status.gateways.keys()))
        raise Retry(
            f"{session.name}: gateways {names} enabled, but not listed by the switch after rescan; "
            "if this stays so, `sip_profile` may be another than theirs"
        )

    async def _read(self, service: Service) -> tuple[_Parts, Listing]:
        """The service's rows, each with a flag that can be switched, and the list they are from."""
        session, kind = self._session(service), _KINDS[service.suspend_by]
        if kind == "gateways":
            listing = await self._gateways.find(session, service.gateway_ids)
        else:
            listing = await session.list_rows(kind, until=lambda rows: _has_all(service, rows))
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


def _has_all(service: Service, rows: Mapping[str, ListedRow]) -> bool:
    """Whether the list needs no further page."""
    names = {row.name for row in rows.values()}
    if service.suspend_by == "extensions":
        return names.issuperset(service.extensions)
    return service.tenant.lower() in {name.lower() for name in names}


def _answered(command: str, status: SwitchStatus) -> str:
    return f", {command} answered {_listed(status.answers)}"


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
