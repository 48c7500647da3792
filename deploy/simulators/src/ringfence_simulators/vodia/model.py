"""The state of the simulated PBX: tenants, accounts, trunks, past and current calls.

`Habits` selects behaviour that the vendor does not document.
"""

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ringfence_simulators.vodia.calls import SimulatedVodiaCall, VodiaCallSpec, make_call

CdrOrder = Literal["newest-first", "oldest-first", "random"]


@dataclass
class Habits:
    """Behaviour that is not documented or differs by version."""

    login: Literal["basic", "session", "both"] = "both"
    verbs: Literal["post", "put", "both"] = "both"
    order: CdrOrder = "newest-first"
    order_by: Literal["start", "end"] = "end"
    largest_page: int = 500
    retention_s: float = 7 * 86_400
    listed_call_id: Literal["PrimaryCallID", "CallID"] = "PrimaryCallID"
    disabling_drops_calls: bool = False
    calls_end_by_hang_up: bool = True
    lists_accounts: Literal["users", "userlist", "no"] = "no"
    hidden_domains: bool = False
    strict_orders: bool = False
    latency_s: float = 0.0


@dataclass
class SimulatedAccount:
    """An account; without `api` every response is 403. With a `tenant`, it sees only that one."""

    name: str
    password: str
    api: bool = True
    tenant: str = ""


@dataclass
class SimulatedVodiaExtension:
    """A telephone; its outbound calls go through `trunk` (an id).

    `aliases` are its further numbers, DIDs among them; `type` other than "extensions" makes it
    another kind of account ("hunts", "attendants").
    """

    number: str
    domain: str
    name: str = ""
    trunk: str = ""
    disabled: bool = False
    aliases: list[str] = field(default_factory=list)
    type: str = "extensions"


@dataclass
class Trunk:
    """A trunk; `disabled` and `shared` are flags as Vodia writes them: "true", "false" or ""."""

    id: str
    name: str
    domain: str
    disabled: str = ""
    shared: str = ""


@dataclass
class SimulatedVodia:
    """The whole PBX. `now` gives Unix seconds."""

    now: Callable[[], float] = time.time
    habits: Habits = field(default_factory=Habits)
    system: str = "739654e15108d9e7477d10a2e474ff"
    accounts: list[SimulatedAccount] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    extensions: dict[tuple[str, str], SimulatedVodiaExtension] = field(default_factory=dict)
    trunks: dict[str, Trunk] = field(default_factory=dict)
    calls: list[SimulatedVodiaCall] = field(default_factory=list)
    live: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    refused_calls: int = 0
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, seed: dict[str, list[dict[str, Any]]]) -> None:
        """Add the `accounts`, `trunks` and `extensions` of a seed, with the fields above."""
        for account in seed.get("accounts", []):
            self.accounts.append(SimulatedAccount(**account))
        for trunk in seed.get("trunks", []):
            self.trunks[trunk["id"]] = Trunk(**trunk)
            self._add_domain(trunk["domain"])
        for row in seed.get("extensions", []):
            extension = SimulatedVodiaExtension(**row)
            self.extensions[extension.domain, extension.number] = extension
            self._add_domain(extension.domain)

    def _add_domain(self, name: str) -> None:
        if name not in self.domains:
            self.domains.append(name)

    def trunks_of(self, domain: str) -> list[Trunk]:
        """A tenant's own trunks, and the shared ones."""
        return [t for t in self.trunks.values() if t.domain == domain or t.shared == "true"]

    def can_call(self, extension: SimulatedVodiaExtension) -> tuple[bool, str]:
        """Whether the extension can place an outbound call now, and the reason if not."""
        if extension.disabled:
            return False, "extension disabled"
        trunk = self.trunks.get(extension.trunk)
        if trunk is not None and trunk.disabled == "true":
            return False, "trunk disabled"
        return True, ""

    def place(self, spec: VodiaCallSpec) -> SimulatedVodiaCall:
        """Record a call that has just ended."""
        call = make_call(spec, next(self._ids), self.now())
        self._add_domain(call.domain)
        self.calls.append(call)
        return call

    def listed(self, domain: str) -> list[SimulatedVodiaCall]:
        """A tenant's calls within the retention period, in this PBX's order."""
        oldest = self.now() - self.habits.retention_s
        calls = [call for call in self.calls if call.domain == domain and call.end >= oldest]
        by_start = self.habits.order_by == "start"
        calls.sort(key=lambda call: (call.start if by_start else call.end, call.id))
        if self.habits.order == "newest-first":
            calls.reverse()
        elif self.habits.order == "random":
            calls.sort(key=lambda call: random.Random(call.id).random())
        return calls

    def begin_call(self, extension: str, domain: str, call_id: str, **details: Any) -> None:
        """Begin a call. Of `details`, `to` and `seconds` are used for its record."""
        self.live.setdefault((domain, extension), []).append({"callid": call_id, **details})

    def hang_up(self, extension: str, domain: str, call_id: str) -> list[SimulatedVodiaCall]:
        """End a call, if this PBX obeys such a request; returns the recorded calls."""
        return (
            self.end_calls(extension, domain, call_id) if self.habits.calls_end_by_hang_up else []
        )

    def end_calls(self, extension: str, domain: str, call_id: str = "") -> list[SimulatedVodiaCall]:
        """End the call with this id, or all of an extension, and record each."""
        calls = self.live.pop((domain, extension), [])
        ended = [call for call in calls if call_id in ("", call["callid"])]
        if left := [call for call in calls if call not in ended]:
            self.live[domain, extension] = left
        return [self.place(_spec(extension, domain, call)) for call in ended]

    def state(self) -> dict[str, Any]:
        """The whole state, without passwords."""
        return {
            "domains": self.domains,
            "habits": asdict(self.habits),
            "trunks": [asdict(trunk) for trunk in self.trunks.values()],
            "extensions": [
                {**asdict(extension), "can_call": self.can_call(extension)[0]}
                for extension in self.extensions.values()
            ],
            "calls": len(self.calls),
            "live": sum(map(len, self.live.values())),
            "live_calls": [
                {"domain": domain, "extension": extension, **call}
                for (domain, extension), calls in self.live.items()
                for call in calls
            ],
            "refused_calls": self.refused_calls,
        }


def _spec(extension: str, domain: str, live: dict[str, Any]) -> VodiaCallSpec:
    found = re.search(r"\d{3,}", str(live.get("to", "")))
    return {
        "domain": domain,
        "extension": extension,
        "talk_s": float(live.get("seconds", 0)),
        **({"number": found[0]} if found else {}),
    }
