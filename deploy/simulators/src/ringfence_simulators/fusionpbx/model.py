"""The state of the simulated PBX: its tables, its switch, and whether a call can be placed now."""

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
"""How long FreeSWITCH caches a directory entry, in seconds."""

KINDS = ("gateways", "extensions", "domains")
CHANGES_KEPT = 100_000
EMERGENCY = frozenset({"911", "112", "999", "933"})
"""Numbers that the routes allow for any toll_allow."""


class CachedEntry(NamedTuple):
    """A cached directory entry: when it expires (Unix seconds), and its toll_allow."""

    until: float
    toll_allow: str


class Change(NamedTuple):
    """A change of an element, by any client or person; `at` in Unix seconds."""

    number: int
    at: float
    uuid: str
    what: Literal["enabled", "live", "toll_allow"]
    value: bool | str


@dataclass
class SwitchCosts:
    """Times in seconds for each request, each listed gateway, and each toggled extension.

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
    default_settings: list[dict[str, str]] = field(default_factory=list)
    """The default settings, each with `category`, `subcategory`, `name`, `value`, `enabled`."""
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    """The newest changes; `Change.number` counts from 1."""
    refused_calls: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    """The commands that were sent over the event socket, by name."""
    switch: SwitchCosts = field(default_factory=SwitchCosts)

    @property
    def event_socket(self) -> bool:
        """Whether the web pages reach the switch."""
        return self.switch.event_socket

    @event_socket.setter
    def event_socket(self, up: bool) -> None:
        self.switch.event_socket = up

    def add_domain(self, domain: Domain) -> Domain:
        """Add a tenant, unless one with that name exists; returns it."""
        domain.uuid = domain.uuid or stable_uuid("domain", domain.name)
        return self.domains.setdefault(domain.name.lower(), domain)

    def add_user(self, user: User) -> User:
        """Add a user, and its domain if new. API keys of at most 30 characters never work."""
        self.add_domain(Domain(user.domain))
        self.users.append(user)
        return user

    def add_gateway(self, gateway: Gateway) -> Gateway:
        """Add a trunk, which runs at once if it is enabled."""
        gateway.uuid = gateway.uuid or stable_uuid("gateway", gateway.domain, gateway.name)
        gateway.live = gateway.live and gateway.enabled
        return self.gateways.setdefault(gateway.uuid, gateway)

    def add_extension(self, extension: SimulatedExtension) -> SimulatedExtension:
        """Add an extension, and its domain if new. `gateway` can be a name."""
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
        """Add a DID, and its domain if new."""
        self.add_domain(Domain(destination.domain))
        destination.uuid = destination.uuid or stable_uuid("destination", destination.number)
        return self.destinations.setdefault(destination.uuid, destination)

    def add_route(self, route: Route) -> Route:
        """Add an outbound route."""
        route.uuid = route.uuid or stable_uuid("route", route.domain, route.name)
        return self.routes.setdefault(route.uuid, route)

    def find_extension(self, number: str, domain: str) -> SimulatedExtension | None:
        """The extension with that number in a tenant, or None."""
        wanted = (number, domain.lower())
        return next(
            (e for e in self.extensions.values() if (e.number, e.domain.lower()) == wanted), None
        )

    def listed(self, kind: str) -> dict[str, Any]:
        """The elements of one kind by uuid."""
        if kind == "domains":
            return {domain.uuid: domain for domain in self.domains.values()}
        return self.gateways if kind == "gateways" else self.extensions

    def toggle(self, kind: str, uuid: str, *, rescan: bool = True) -> bool:
        """Toggle the stored flag, with the same side effects as in FusionPBX.

        A gateway's profile is rescanned unless `rescan` is false (for several gateways, the caller
        rescans once at the end). An extension's cache entry is deleted, a domain's are kept.
        Without the event socket only the flag changes. Returns False if there is no such element.
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
        """Delete one cached directory entry; without the event socket, do nothing."""
        if self.event_socket:
            self.commands["cache-delete"] += 1
            self.directory.pop(f"directory:{number}@{context.lower()}", None)

    def save_extension(self, extension: SimulatedExtension) -> None:
        """Write an extension's current state to the journal."""
        self.journal.write(kind="extension", extension=asdict(extension))
        self._note(extension.uuid, "toll_allow", extension.toll_allow)

    def _note(
        self, uuid: str, what: Literal["enabled", "live", "toll_allow"], value: bool | str
    ) -> None:
        number = self.changes[-1].number + 1 if self.changes else 1
        self.changes.append(Change(number, self.now(), uuid, what, value))

    @contextmanager
    def socket_down(self) -> Iterator[None]:
        """Disconnect the web pages from the switch for the duration of the context."""
        before, self.event_socket = self.event_socket, False
        try:
            yield
        finally:
            self.event_socket = before

    def export_columns(self) -> list[str]:
        """The SQL expressions that the export selects in addition to its own columns."""
        named = ("cdr", "export", "array", "true")
        return [
            setting["value"]
            for setting in self.default_settings
            if tuple(setting[n] for n in ("category", "subcategory", "name", "enabled")) == named
        ]

    def profiles(self) -> list[str]:
        """The SIP profiles that the switch runs."""
        return sorted({"external", "internal", *(g.profile for g in self.gateways.values())})

    def command(self, action: str, profile: str, gateway: str) -> str:
        """Execute a command of SIP status; returns the switch's reply, '' without event socket."""
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
        """Start the profile's enabled gateways that do not run; stop none."""
        for gateway in self.gateways.values():
            if gateway.profile == profile and gateway.enabled:
                self.set_live(gateway, True)

    def kill_gateway(self, profile: str, uuid: str) -> None:
        """Stop a running gateway, regardless of its stored flag."""
        gateway = self.gateways.get(uuid)
        if gateway is not None and gateway.profile == profile:
            self.set_live(gateway, False)

    def set_live(self, gateway: Gateway, live: bool) -> None:
        """Start or stop a gateway at the switch, regardless of its stored flag."""
        if gateway.live != live:
            gateway.live = live
            self.journal.write(kind="live", uuid=gateway.uuid, live=live)
            self._note(gateway.uuid, "live", live)

    def flush_cache(self) -> None:
        """Delete all cached directory entries."""
        self.directory.clear()

    def can_call(
        self,
        extension: SimulatedExtension,
        *,
        cache: bool = True,
        number: str = "",
        inbound: bool = False,
    ) -> tuple[bool, str]:
        """Whether the extension can place (or receive) a call now, and the reason if not.

        Like a registration, this caches the directory entry of an allowed extension, except with
        `cache=False`. Routes test toll_allow for outbound calls except emergency calls.
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
        """Begin a call (see `live.begin`), even if the extension could not place one."""
        extension = self.find_extension(str(spec["extension"]), str(spec["domain"]))
        if extension is None:
            raise ValueError(f"no extension {spec['extension']!r} in {spec['domain']!r}")
        call = begin(spec, extension, self.now())
        self.live[call.uuid] = call
        return call

    def end_call(self, uuid: str, cause: str = "NORMAL_CLEARING") -> SimulatedFusionPbxCall | None:
        """End and record the call that has a channel with this uuid; None if there is none.

        The record has the uuid of the first channel, as in FreeSWITCH.
        """
        for call in list(self.live.values()):
            if uuid in (call.uuid, call.other_uuid):
                del self.live[call.uuid]
                return self.place(record_of(call, self.now(), cause))
        return None

    def kill_channel(self, uuid: str) -> None:
        """Execute `uuid_kill`, if the switch is reachable."""
        if self.event_socket:
            self.commands["uuid_kill"] += 1
            self.end_call(uuid, "MANAGER_REQUEST")

    def place(self, spec: FusionPbxCallSpec) -> SimulatedFusionPbxCall:
        """Record a call. The export contains it after its end, or later by `shown_after_s`."""
        domain = self.add_domain(Domain(spec["domain_name"]))
        call = make_call(spec, domain.uuid, self.now(), self._extension_of(spec))
        self.calls.append(call)
        self.journal.write(kind="call", **asdict(call))
        return call

    def _extension_of(self, spec: FusionPbxCallSpec) -> str:
        """The uuid of the call's extension; empty if it has none or its columns are given."""
        if "extension_name" in spec or not spec.get("extension"):
            return ""
        uuid = stable_uuid("extension", str(spec["domain_name"]), str(spec["extension"]))
        return uuid if uuid in self.extensions else ""

    def exported(self, call: SimulatedFusionPbxCall) -> dict[str, str]:
        """A call's columns, with its extension's number and name as they are now."""
        extension = self.extensions.get(call.extension_uuid)
        if extension is None:
            return call.columns
        joined = {"extension": extension.number, "extension_name": extension.caller_name}
        return {**call.columns, **joined}
