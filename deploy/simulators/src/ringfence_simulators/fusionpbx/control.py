"""`/_sim/`: how tests and the demonstration work the simulated PBX. Not part of FusionPBX."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from ringfence_simulators.control import body_of, json_answer
from ringfence_simulators.fusionpbx.faults import Faults
from ringfence_simulators.fusionpbx.logins import Logins
from ringfence_simulators.fusionpbx.model import KINDS, Extension, Pbx
from ringfence_simulators.fusionpbx.seed import apply_seed
from ringfence_simulators.fusionpbx.site import Site
from ringfence_simulators.fusionpbx.traffic import Traffic, TrafficPlan


class Control:
    """The handlers; bodies and answers are JSON. What can not be done is a 400 with `error`."""

    def __init__(
        self, pbx: Pbx, logins: Logins, site: Site, faults: Faults, traffic: Traffic
    ) -> None:
        self._pbx = pbx
        self._logins = logins
        self._site = site
        self._faults = faults
        self._traffic = traffic

    def routes(self) -> list[web.RouteDef]:
        """Everything under `/_sim/`."""
        return [
            web.get("/_sim/state", self.state),
            web.get("/_sim/can-call", self.can_call),
            web.post("/_sim/seed", self.seed),
            web.post("/_sim/calls", self.place_calls),
            web.post("/_sim/toggle", self.toggle),
            web.put("/_sim/switch", self.set_switch),
            web.post("/_sim/traffic", self.start_traffic),
            web.delete("/_sim/traffic", self.stop_traffic),
            *self._faults.routes(),
            web.put("/_sim/export-body", self.set_body),
            web.delete("/_sim/export-body", self.clear_bodies),
            web.delete("/_sim/sessions", self.forget_sessions),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Flags, live state, who could call, and counts."""
        extensions = [self._extension(e) for e in self._pbx.extensions.values()]
        return json_answer(
            {
                "domains": [asdict(domain) for domain in self._pbx.domains.values()],
                "gateways": [asdict(gateway) for gateway in self._pbx.gateways.values()],
                "extensions": extensions,
                "switch": {"event_socket": self._pbx.event_socket, "row_s": self._pbx.row_s},
                "calls": len(self._pbx.calls),
                "refused_calls": self._pbx.refused_calls,
                "traffic": {
                    "running": self._traffic.plan is not None,
                    "placed": self._traffic.placed,
                },
                "logins": {"succeeded": self._logins.succeeded, "failed": self._logins.failed},
            }
        )

    def _extension(self, extension: Extension) -> dict[str, Any]:
        allowed, reason = self._pbx.can_call(extension, cache=False)
        return {**asdict(extension), "can_call": allowed, "reason": reason}

    async def can_call(self, request: web.Request) -> web.Response:
        """`?extension=2112&domain=...`: whether it could place an outbound call now."""
        extension = self._named(request.query["extension"], request.query["domain"])
        allowed, reason = self._pbx.can_call(extension)
        return json_answer({"can_call": allowed, "reason": reason})

    def _named(self, number: str, domain: str) -> Extension:
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
        """Put a call on record, or a list of them; answers with their xml_cdr_uuids."""
        specs = await body_of(request)
        calls = [self._pbx.place(spec) for spec in (specs if isinstance(specs, list) else [specs])]
        return json_answer({"xml_cdr_uuids": [call.columns["xml_cdr_uuid"] for call in calls]})

    async def toggle(self, request: web.Request) -> web.Response:
        """Flip a stored flag, as a person at the pages would: `kind` and `uuid`."""
        wanted = await body_of(request)
        if wanted["kind"] not in KINDS or not self._pbx.toggle(wanted["kind"], wanted["uuid"]):
            raise ValueError(f"no such thing: {wanted}")
        return json_answer({})

    async def set_switch(self, request: web.Request) -> web.Response:
        """How the pages reach the switch: `event_socket` (up or not), `row_s` (seconds a row).

        What is not given stays as it is.
        """
        wanted = await body_of(request)
        up = wanted.pop("event_socket", self._pbx.event_socket)
        row_s = wanted.pop("row_s", self._pbx.row_s)
        if wanted or not isinstance(up, bool) or not 0 <= float(row_s) <= 60:
            raise ValueError("event_socket: true or false; row_s: 0 to 60; nothing else")
        self._pbx.event_socket, self._pbx.row_s = up, float(row_s)
        return json_answer({})

    async def start_traffic(self, request: web.Request) -> web.Response:
        """Let extensions (`[{"number", "domain"}]`; all, if none are named) call at random."""
        wanted = await body_of(request)
        named = [self._named(e["number"], e["domain"]) for e in wanted.pop("extensions", [])]
        talk_s = tuple(wanted.pop("talk_s", (20, 240)))
        extensions = named or list(self._pbx.extensions.values())
        self._traffic.start(TrafficPlan(extensions, talk_s=talk_s, **wanted))
        return json_answer({})

    async def stop_traffic(self, _: web.Request) -> web.Response:
        """No more random calls."""
        await self._traffic.stop()
        return json_answer({})

    async def set_body(self, request: web.Request) -> web.Response:
        """Answer exports with this body, to the byte: `?tenant=...`, or the one for show=all."""
        self._site.export_bodies[request.query.get("tenant", "").lower()] = await request.read()
        return json_answer({})

    async def clear_bodies(self, _: web.Request) -> web.Response:
        """Export real rows again."""
        self._site.export_bodies.clear()
        return json_answer({})

    async def forget_sessions(self, _: web.Request) -> web.Response:
        """Everybody must log in again."""
        self._logins.sessions.clear()
        return json_answer({})
