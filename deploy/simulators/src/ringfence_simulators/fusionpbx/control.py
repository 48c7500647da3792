"""`/_sim/`: how tests and the demonstration work the simulated PBX. Not part of FusionPBX."""

from dataclasses import asdict, fields
from itertools import takewhile
from typing import Any

from aiohttp import web

from ringfence_simulators.control import RequestLoad, body_of, json_answer
from ringfence_simulators.faults import Faults
from ringfence_simulators.fusionpbx.access.logins import FusionPbxLogins
from ringfence_simulators.fusionpbx.model import KINDS, SimulatedFusionPbx, SwitchCosts
from ringfence_simulators.fusionpbx.seed import apply_seed
from ringfence_simulators.fusionpbx.site import FusionPbxSite
from ringfence_simulators.fusionpbx.things import Gateway, SimulatedExtension
from ringfence_simulators.fusionpbx.traffic import FusionPbxTraffic, TrafficPlan


class FusionPbxControl:
    """The handlers, with JSON bodies. A request that cannot be executed gets a 400 with `error`."""

    def __init__(
        self,
        pbx: SimulatedFusionPbx,
        logins: FusionPbxLogins,
        site: FusionPbxSite,
        faults: Faults,
        traffic: FusionPbxTraffic,
        load: RequestLoad,
    ) -> None:
        self._pbx = pbx
        self._logins = logins
        self._site = site
        self._faults = faults
        self._traffic = traffic
        self._load = load

    def routes(self) -> list[web.RouteDef]:
        """All paths under `/_sim/`."""
        return [
            web.get("/_sim/state", self.state),
            web.get("/_sim/can-call", self.can_call),
            web.post("/_sim/seed", self.seed),
            web.post("/_sim/calls", self.place_calls),
            web.post("/_sim/toggle", self.toggle),
            web.post("/_sim/hand", self.hand),
            web.get("/_sim/changes", self.changes),
            web.post("/_sim/live", self.begin_calls),
            web.delete("/_sim/live", self.end_calls),
            web.put("/_sim/switch", self.set_switch),
            web.put("/_sim/toll-names", self.set_toll_names),
            web.delete("/_sim/requests", self.clear_requests),
            web.post("/_sim/traffic", self.start_traffic),
            web.delete("/_sim/traffic", self.stop_traffic),
            *self._faults.routes(),
            web.put("/_sim/export-body", self.set_body),
            web.delete("/_sim/export-body", self.clear_bodies),
            web.delete("/_sim/sessions", self.clear_sessions),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Flags, live state, which extensions can call, and counts."""
        extensions = [self._extension(e) for e in self._pbx.extensions.values()]
        return json_answer(
            {
                "domains": [asdict(domain) for domain in self._pbx.domains.values()],
                "gateways": [asdict(gateway) for gateway in self._pbx.gateways.values()],
                "extensions": extensions,
                "destinations": [asdict(did) for did in self._pbx.destinations.values()],
                "routes": [asdict(route) for route in self._pbx.routes.values()],
                "switch": asdict(self._pbx.switch),
                "commands": dict(self._pbx.commands),
                "live": [asdict(call) for call in self._pbx.live.values()],
                **self._load.state(),
                "calls": len(self._pbx.calls),
                "refused_calls": self._pbx.refused_calls,
                "traffic": {
                    "running": self._traffic.plan is not None,
                    "placed": self._traffic.placed,
                },
                "logins": {"succeeded": self._logins.succeeded, "failed": self._logins.failed},
            }
        )

    def _extension(self, extension: SimulatedExtension) -> dict[str, Any]:
        allowed, reason = self._pbx.can_call(extension, cache=False)
        return {**asdict(extension), "can_call": allowed, "reason": reason}

    async def can_call(self, request: web.Request) -> web.Response:
        """`?extension=2112&domain=...`: whether it can place an outbound call now.

        With `&number=911`, a call to that number; with `&inbound=1`, a call to the extension.
        """
        query = request.query
        extension = self._named(query["extension"], query["domain"])
        allowed, reason = self._pbx.can_call(
            extension, number=query.get("number", ""), inbound=query.get("inbound", "") == "1"
        )
        return json_answer({"can_call": allowed, "reason": reason})

    def _named(self, number: str, domain: str) -> SimulatedExtension:
        extension = self._pbx.find_extension(number, domain)
        if extension is None:
            raise ValueError(f"no extension {number!r} in {domain!r}")
        return extension

    async def seed(self, request: web.Request) -> web.Response:
        """Add domains, users, gateways and extensions, as a seed file does."""
        seed = await body_of(request)
        apply_seed(self._pbx, seed)
        self._pbx.journal.write(kind="seed", seed=seed)
        return json_answer({})

    async def place_calls(self, request: web.Request) -> web.Response:
        """Record a call or a list of calls; returns their xml_cdr_uuids."""
        specs = await body_of(request)
        calls = [self._pbx.place(spec) for spec in (specs if isinstance(specs, list) else [specs])]
        return json_answer({"xml_cdr_uuids": [call.columns["xml_cdr_uuid"] for call in calls]})

    async def toggle(self, request: web.Request) -> web.Response:
        """Toggle a stored flag, as a person would on the pages: `kind` and `uuid`."""
        wanted = await body_of(request)
        if wanted["kind"] not in KINDS or not self._pbx.toggle(wanted["kind"], wanted["uuid"]):
            raise ValueError(f"no such thing: {wanted}")
        return json_answer({})

    async def hand(self, request: web.Request) -> web.Response:
        """Change an element as a person would on the pages: `kind`, `uuid` and the new state.

        `enabled` is the new flag; with no field, the flag is toggled. `toll_allow` is that of an
        extension. `live` starts or stops a gateway at the switch only.
        """
        wanted = await body_of(request)
        kind, uuid = wanted.pop("kind"), wanted.pop("uuid")
        thing = self._pbx.listed(kind).get(uuid) if kind in KINDS else None
        if thing is None:
            raise ValueError(f"no {kind!r} of uuid {uuid!r}")
        if unknown := wanted.keys() - {"enabled", "toll_allow", "live"}:
            raise ValueError(f"{sorted(unknown)}: only enabled, toll_allow, live")
        if not wanted or wanted.get("enabled", thing.enabled) != thing.enabled:
            self._pbx.toggle(kind, uuid)
        if "toll_allow" in wanted and isinstance(thing, SimulatedExtension):
            thing.toll_allow = wanted["toll_allow"].replace(",", ":")
            self._pbx.save_extension(thing)
            self._pbx.delete_cached(thing.number, thing.user_context)
        if "live" in wanted and isinstance(thing, Gateway):
            self._pbx.set_live(thing, bool(wanted["live"]))
        return json_answer(asdict(thing))

    async def changes(self, request: web.Request) -> web.Response:
        """The changes after the change with the number `?after=...`, as `Change`."""
        after = int(request.query.get("after", "0"))
        newest = takewhile(lambda change: change.number > after, reversed(self._pbx.changes))
        return json_answer([change._asdict() for change in newest][::-1])

    async def begin_calls(self, request: web.Request) -> web.Response:
        """Begin a call or a list of calls (see `live.begin`); returns the calls."""
        specs = await body_of(request)
        calls = [self._pbx.begin_call(s) for s in (specs if isinstance(specs, list) else [specs])]
        return json_answer([asdict(call) for call in calls])

    async def end_calls(self, request: web.Request) -> web.Response:
        """End and record the call of `?uuid=...`, or all; returns their xml_cdr_uuids."""
        named = request.query.get("uuid")
        uuids = [named] if named else list(self._pbx.live)
        ended = [call for uuid in uuids if (call := self._pbx.end_call(uuid)) is not None]
        return json_answer({"xml_cdr_uuids": [call.columns["xml_cdr_uuid"] for call in ended]})

    async def set_switch(self, request: web.Request) -> web.Response:
        """Set the given fields of `SwitchCosts`: how long the pages take, and the event socket."""
        wanted = await body_of(request)
        known = {field.name for field in fields(SwitchCosts)}
        for name, value in wanted.items():
            up = name == "event_socket"
            valid = isinstance(value, bool) if up else 0 <= float(value) <= 60
            if name not in known or not valid:
                raise ValueError(
                    "event_socket: true or false; latency_s, row_s, extension_s: 0 to 60"
                )
        for name, value in wanted.items():
            setattr(self._pbx.switch, name, value if name == "event_socket" else float(value))
        return json_answer(asdict(self._pbx.switch))

    async def set_toll_names(self, request: web.Request) -> web.Response:
        """Set the default setting "toll allow": a list of names; empty for free text."""
        self._pbx.toll_names = [str(name) for name in await body_of(request)]
        return json_answer({})

    async def clear_requests(self, _: web.Request) -> web.Response:
        """Reset the counts of requests and commands."""
        self._load.clear()
        self._pbx.commands.clear()
        return json_answer({})

    async def start_traffic(self, request: web.Request) -> web.Response:
        """Start random calls by extensions (`[{"number", "domain"}]`), or by all if none given."""
        wanted = await body_of(request)
        named = [self._named(e["number"], e["domain"]) for e in wanted.pop("extensions", [])]
        talk_s = tuple(wanted.pop("talk_s", (20, 240)))
        extensions = named or list(self._pbx.extensions.values())
        self._traffic.start(TrafficPlan(extensions, talk_s=talk_s, **wanted))
        return json_answer({})

    async def stop_traffic(self, _: web.Request) -> web.Response:
        """Stop the random calls."""
        await self._traffic.stop()
        return json_answer({})

    async def set_body(self, request: web.Request) -> web.Response:
        """Reply to exports of `?tenant=...` with this body unchanged; without it, to show=all."""
        self._site.export_bodies[request.query.get("tenant", "").lower()] = await request.read()
        return json_answer({})

    async def clear_bodies(self, _: web.Request) -> web.Response:
        """Export the real rows again."""
        self._site.export_bodies.clear()
        return json_answer({})

    async def clear_sessions(self, _: web.Request) -> web.Response:
        """End all sessions."""
        self._logins.sessions.clear()
        return json_answer({})
