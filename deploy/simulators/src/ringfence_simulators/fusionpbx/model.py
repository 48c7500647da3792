"""What the simulated PBX knows: domains, users, gateways, extensions, calls, and what is live."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from ringfence_simulators.fusionpbx.calls import Call, CallSpec, make_call
from ringfence_simulators.fusionpbx.journal import Journal

CACHE_S = 3600.0
"""How long FreeSWITCH keeps a directory entry that it has looked up."""

KINDS = ("gateways", "extensions", "domains")


def stable_uuid(*names: str) -> str:
    """The uuid of a thing that was given none: the same at every start."""
    return str(uuid5(NAMESPACE_DNS, "/".join(names)))


@dataclass
class Domain:
    """A tenant."""

    name: str
    uuid: str = ""
    enabled: bool = True
    description: str = ""


@dataclass
class User:
    """Who may log in; `group` is `superadmin` or `admin`."""

    name: str
    domain: str
    api_key: str
    group: str = "admin"

    @property
    def superadmin(self) -> bool:
        """Whether the user may act on all domains, on gateways and on the switch."""
        return self.group == "superadmin"


@dataclass
class Gateway:
    """A trunk; `domain` is empty for a global one. `live` is what the switch runs.

    `registration` is what it says of one that runs: REGED, NOREG, TRYING, FAIL_WAIT.
    """

    name: str
    uuid: str = ""
    domain: str = ""
    profile: str = "external"
    enabled: bool = True
    live: bool = True
    registration: str = "REGED"


@dataclass
class Extension:
    """A telephone; its outbound calls go through `gateway` (a uuid), if one is named."""

    number: str
    domain: str
    uuid: str = ""
    enabled: bool = True
    gateway: str = ""
    caller_name: str = ""
    caller_number: str = ""


@dataclass
class Pbx:
    """The whole PBX. `now` gives Unix seconds."""

    now: Callable[[], float] = time.time
    journal: Journal = field(default_factory=Journal)
    domains: dict[str, Domain] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    extensions: dict[str, Extension] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    directory: dict[str, float] = field(default_factory=dict)
    refused_calls: int = 0
    event_socket: bool = True
    row_s: float = 0.0
    """`event_socket`: whether the web pages reach the switch. `row_s`: what that takes for each."""

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

    def add_extension(self, extension: Extension) -> Extension:
        """A telephone, and its domain if that is new. `gateway` may be given by name."""
        self.add_domain(Domain(extension.domain))
        named = [g.uuid for g in self.gateways.values() if g.name == extension.gateway]
        extension.gateway = named[0] if named else extension.gateway
        extension.uuid = extension.uuid or stable_uuid(
            "extension", extension.domain, extension.number
        )
        return self.extensions.setdefault(extension.uuid, extension)

    def find_extension(self, number: str, domain: str) -> Extension | None:
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

    def toggle(self, kind: str, uuid: str) -> bool:
        """Flip the stored flag, with what FusionPBX does beside: and nothing more than that.

        A gateway's profile is rescanned, an extension's cache entry goes, a domain's stay. Without
        the event socket the flag alone changes.
        """
        thing = self.listed(kind).get(uuid)
        if thing is None:
            return False
        thing.enabled = not thing.enabled
        self.journal.write(kind=kind, uuid=uuid, enabled=thing.enabled)
        if not self.event_socket:
            return True
        if isinstance(thing, Gateway):
            self.rescan(thing.profile)
        elif isinstance(thing, Extension):
            self.directory.pop(_directory_key(thing), None)
        return True

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
                self._set_live(gateway, True)

    def kill_gateway(self, profile: str, uuid: str) -> None:
        """Stop a running gateway, whatever is stored."""
        gateway = self.gateways.get(uuid)
        if gateway is not None and gateway.profile == profile:
            self._set_live(gateway, False)

    def _set_live(self, gateway: Gateway, live: bool) -> None:
        if gateway.live != live:
            gateway.live = live
            self.journal.write(kind="live", uuid=gateway.uuid, live=live)

    def flush_cache(self) -> None:
        """Forget every directory entry."""
        self.directory.clear()

    def can_call(self, extension: Extension, *, cache: bool = True) -> tuple[bool, str]:
        """Whether the extension could place an outbound call now, and why not.

        Like a registration, this leaves an allowed extension in the directory cache; an onlooker
        passes `cache=False`.
        """
        key = _directory_key(extension)
        if self.directory.get(key, 0.0) <= self.now():
            if not extension.enabled:
                return False, "extension disabled"
            if not self.domains[extension.domain.lower()].enabled:
                return False, "domain disabled"
            if cache:
                self.directory[key] = self.now() + CACHE_S
        gateway = self.gateways.get(extension.gateway)
        if gateway is not None and not gateway.live:
            return False, "gateway down"
        return True, ""

    def place(self, spec: CallSpec) -> Call:
        """Put a call on record. The export shows it once it has ended, or later if it says so."""
        domain = self.add_domain(Domain(spec["domain_name"]))
        call = make_call(spec, domain.uuid, self.now())
        self.calls.append(call)
        self.journal.write(kind="call", columns=call.columns, shown_at=call.shown_at)
        return call


def _directory_key(extension: Extension) -> str:
    return f"directory:{extension.number}@{extension.domain.lower()}"
