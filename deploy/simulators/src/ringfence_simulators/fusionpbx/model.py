"""The simulated PBX: its tables, what its switch runs, and whether a call can be placed now."""

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from ringfence_simulators.fusionpbx.calls import (
    FusionPbxCallSpec,
    SimulatedFusionPbxCall,
    make_call,
)
from ringfence_simulators.fusionpbx.journal import Journal
from ringfence_simulators.fusionpbx.live import LiveCall, begin, record_of
from ringfence_simulators.fusionpbx.things import (
    Destination,
    Domain,
    Gateway,
    Route,
    SimulatedExtension,
    User,
    stable_uuid,
)

CACHE_S = 3600.0
"""How long FreeSWITCH keeps a directory entry that it has looked up."""

KINDS = ("gateways", "extensions", "domains")
CHANGES_KEPT = 100_000
EMERGENCY = frozenset({"911", "112", "999", "933"})
"""Numbers that the routes let through whatever toll_allow says."""


class CachedEntry(NamedTuple):
    """A directory entry that FreeSWITCH keeps: until when (Unix seconds), and its toll_allow."""

    until: float
    toll_allow: str


class Change(NamedTuple):
    """What was switched, by anybody, and when (Unix seconds)."""

    number: int
    at: float
    uuid: str
    what: Literal["enabled", "live", "toll_allow"]
    value: bool | str


@dataclass
class SwitchCosts:
    """What the pages take, in seconds: each request, each listed gateway, each toggled extension.

    `event_socket`: whether the pages reach the switch.
    """

    event_socket: bool = True
    latency_s: float = 0.0
    row_s: float = 0.0
    extension_s: float = 0.0


@dataclass
class SimulatedFusionPbx:
    """The whole PBX. `now` gives Unix seconds."""

    now: Callable[[], float] = time.time
    journal: Journal = field(default_factory=Journal)
    domains: dict[str, Domain] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    extensions: dict[str, SimulatedExtension] = field(default_factory=dict)
    calls: list[SimulatedFusionPbxCall] = field(default_factory=list)
    destinations: dict[str, Destination] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    live: dict[str, LiveCall] = field(default_factory=dict)
    directory: dict[str, CachedEntry] = field(default_factory=dict)
    toll_names: list[str] = field(default_factory=list)
    """The default setting "toll allow": with names, the form of an extension offers only these."""
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    """The newest; `Change.number` counts on from 1."""
    refused_calls: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    """What was sent over the event socket, by the command's name."""
    switch: SwitchCosts = field(default_factory=SwitchCosts)

    @property
    def event_socket(self) -> bool:
        """Whether the web pages reach the switch."""
        return self.switch.event_socket

    @event_socket.setter
    def event_socket(self, up: bool) -> None:
        self.switch.event_socket = up

    def add_domain(self, domain: Domain) -> Domain:
        """A new tenant, or the one of that name as it is."""
        domain.uuid = domain.uuid or stable_uuid("domain", domain.name)
        return self.domains.setdefault(domain.name.lower(), domain)

    def add_user(self, user: User) -> User:
        """A user, and its domain if that is new; a key of 30 characters or less never works."""
        self.add_domain(Domain(user.domain))
        self.users.append(user)
        return user

    def add_gateway(self, gateway: Gateway) -> Gateway:
        """A trunk; it runs at once if it is enabled."""
        gateway.uuid = gateway.uuid or stable_uuid("gateway", gateway.domain, gateway.name)
        gateway.live = gateway.live and gateway.enabled
        return self.gateways.setdefault(gateway.uuid, gateway)

    def add_extension(self, extension: SimulatedExtension) -> SimulatedExtension:
        """A telephone, and its domain if that is new. `gateway` may be given by name."""
        self.add_domain(Domain(extension.domain))
        named = [g.uuid for g in self.gateways.values() if g.name == extension.gateway]
        extension.gateway = named[0] if named else extension.gateway
        extension.uuid = extension.uuid or stable_uuid(
            "extension", extension.domain, extension.number
        )
        digest = sha256(extension.uuid.encode()).hexdigest()
        extension.password = extension.password or digest[:20]
        extension.user_context = extension.user_context or extension.domain
        return self.extensions.setdefault(extension.uuid, extension)

    def add_destination(self, destination: Destination) -> Destination:
        """A DID, and its domain if that is new."""
        self.add_domain(Domain(destination.domain))
        destination.uuid = destination.uuid or stable_uuid("destination", destination.number)
        return self.destinations.setdefault(destination.uuid, destination)

    def add_route(self, route: Route) -> Route:
        """An outbound route."""
        route.uuid = route.uuid or stable_uuid("route", route.domain, route.name)
        return self.routes.setdefault(route.uuid, route)

    def find_extension(self, number: str, domain: str) -> SimulatedExtension | None:
        """The telephone of that number within a tenant."""
        wanted = (number, domain.lower())
        return next(
            (e for e in self.extensions.values() if (e.number, e.domain.lower()) == wanted), None
        )

    def listed(self, kind: str) -> dict[str, Any]:
        """The things of one kind by uuid."""
        if kind == "domains":
            return {domain.uuid: domain for domain in self.domains.values()}
        return self.gateways if kind == "gateways" else self.extensions

    def toggle(self, kind: str, uuid: str, *, rescan: bool = True) -> bool:
        """Flip the stored flag, with what FusionPBX does beside: and nothing more than that.

        A gateway's profile is rescanned (of many, once after the last: `rescan` is false for each),
        an extension's cache entry goes, a domain's stay. Without the event socket the flag alone
        changes.
        """
        thing = self.listed(kind).get(uuid)
        if thing is None:
            return False
        thing.enabled = not thing.enabled
        self.journal.write(kind=kind, uuid=uuid, enabled=thing.enabled)
        self._note(uuid, "enabled", thing.enabled)
        if not self.event_socket:
            return True
        if isinstance(thing, Gateway):
            if rescan:
                self.rescan(thing.profile)
        elif isinstance(thing, SimulatedExtension):
            self.delete_cached(thing.number, thing.user_context)
        return True

    def delete_cached(self, number: str, context: str) -> None:
        """Forget one directory entry; nothing happens without the event socket."""
        if self.event_socket:
            self.commands["cache-delete"] += 1
            self.directory.pop(f"directory:{number}@{context.lower()}", None)

    def save_extension(self, extension: SimulatedExtension) -> None:
        """Write an extension down as it is now, for the next start."""
        self.journal.write(kind="extension", extension=asdict(extension))
        self._note(extension.uuid, "toll_allow", extension.toll_allow)

    def _note(
        self, uuid: str, what: Literal["enabled", "live", "toll_allow"], value: bool | str
    ) -> None:
        number = self.changes[-1].number + 1 if self.changes else 1
        self.changes.append(Change(number, self.now(), uuid, what, value))

    @contextmanager
    def socket_down(self) -> Iterator[None]:
        """The web pages do not reach the switch meanwhile."""
        before, self.event_socket = self.event_socket, False
        try:
            yield
        finally:
            self.event_socket = before

    def profiles(self) -> list[str]:
        """The SIP profiles that the switch runs."""
        return sorted({"external", "internal", *(g.profile for g in self.gateways.values())})

    def command(self, action: str, profile: str, gateway: str) -> str:
        """What the switch answers to a command of SIP status; nothing without the event socket."""
        if self.event_socket:
            self.commands[action] += 1
        if action == "cache-flush":
            if self.event_socket:
                self.flush_cache()
            return "+OK cache flushed" if self.event_socket else ""
        if not self.event_socket or action not in ("killgw", "rescan"):
            return ""
        if profile not in self.profiles():
            return f"Invalid Profile [{profile}]"
        if action == "rescan":
            self.rescan(profile)
            return "+OK scan complete"
        known = self.gateways.get(gateway)
        if known is None or known.profile != profile or not known.live:
            return "-ERR no such gateway."
        self.kill_gateway(profile, gateway)
        return "+OK gateway marked for deletion."

    def rescan(self, profile: str) -> None:
        """Start the profile's enabled gateways that do not run. It stops none."""
        for gateway in self.gateways.values():
            if gateway.profile == profile and gateway.enabled:
                self.set_live(gateway, True)

    def kill_gateway(self, profile: str, uuid: str) -> None:
        """Stop a running gateway, whatever is stored."""
        gateway = self.gateways.get(uuid)
        if gateway is not None and gateway.profile == profile:
            self.set_live(gateway, False)

    def set_live(self, gateway: Gateway, live: bool) -> None:
        """Start or stop a gateway at the switch, whatever is stored."""
        if gateway.live != live:
            gateway.live = live
            self.journal.write(kind="live", uuid=gateway.uuid, live=live)
            self._note(gateway.uuid, "live", live)

    def flush_cache(self) -> None:
        """Forget every directory entry."""
        self.directory.clear()

    def can_call(
        self,
        extension: SimulatedExtension,
        *,
        cache: bool = True,
        number: str = "",
        inbound: bool = False,
    ) -> tuple[bool, str]:
        """Whether the extension could place (or take) a call now, and why not.

        Like a registration, this leaves an allowed extension in the directory cache; an onlooker
        passes `cache=False`. Routes test toll_allow for outbound calls that are no emergency.
        """
        key = f"directory:{extension.number}@{extension.domain.lower()}"
        known = self.directory.get(key)
        toll_allow = extension.toll_allow
        if known is not None and known.until > self.now():
            toll_allow = known.toll_allow
        else:
            if not extension.enabled:
                return False, "extension disabled"
            if not self.domains[extension.domain.lower()].enabled:
                return False, "domain disabled"
            if cache:
                self.directory[key] = CachedEntry(self.now() + CACHE_S, toll_allow)
        gateway = self.gateways.get(extension.gateway)
        if gateway is not None and not gateway.live:
            return False, "gateway down"
        if inbound or number in EMERGENCY or self._has_route(extension.domain, toll_allow):
            return True, ""
        return False, "toll_allow"

    def _has_route(self, domain: str, toll_allow: str) -> bool:
        routes = [
            route
            for route in self.routes.values()
            if route.enabled and route.domain.lower() in ("", domain.lower())
        ]
        return not routes or any(re.search(route.toll_allow, toll_allow) for route in routes)

    def begin_call(self, spec: dict[str, Any]) -> LiveCall:
        """A call in progress (see `live.begin`), whether or not a new one could be placed."""
        extension = self.find_extension(str(spec["extension"]), str(spec["domain"]))
        if extension is None:
            raise ValueError(f"no extension {spec['extension']!r} in {spec['domain']!r}")
        call = begin(spec, extension, self.now())
        self.live[call.uuid] = call
        return call

    def end_call(self, uuid: str, cause: str = "NORMAL_CLEARING") -> SimulatedFusionPbxCall | None:
        """End the call that has a channel of this uuid, and put it on record; None: there is none.

        The record has the uuid of the first channel, as FreeSWITCH writes it.
        """
        for call in list(self.live.values()):
            if uuid in (call.uuid, call.other_uuid):
                del self.live[call.uuid]
                return self.place(record_of(call, self.now(), cause))
        return None

    def kill_channel(self, uuid: str) -> None:
        """What `uuid_kill` does, if the switch is reached."""
        if self.event_socket:
            self.commands["uuid_kill"] += 1
            self.end_call(uuid, "MANAGER_REQUEST")

    def place(self, spec: FusionPbxCallSpec) -> SimulatedFusionPbxCall:
        """Put a call on record. The export shows it once it has ended, or later if it says so."""
        domain = self.add_domain(Domain(spec["domain_name"]))
        call = make_call(spec, domain.uuid, self.now())
        self.calls.append(call)
        self.journal.write(kind="call", columns=call.columns, shown_at=call.shown_at)
        return call
