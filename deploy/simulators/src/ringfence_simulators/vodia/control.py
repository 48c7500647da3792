"""`/_sim/`: the controls of the simulated PBX for tests and the demo; not part of Vodia."""

from typing import Any

from aiohttp import web

from ringfence_simulators.control import RequestLoad, body_of, json_answer
from ringfence_simulators.faults import Faults
from ringfence_simulators.vodia.logins import VodiaLogins
from ringfence_simulators.vodia.model import SimulatedVodia, SimulatedVodiaExtension
from ringfence_simulators.vodia.posting import CdrPosting
from ringfence_simulators.vodia.site import VodiaSite
from ringfence_simulators.vodia.traffic import VodiaTraffic


class VodiaControl:
    """The handlers, with JSON bodies. A request that cannot be executed gets a 400 with `error`."""

    def __init__(
        self,
        pbx: SimulatedVodia,
        logins: VodiaLogins,
        site: VodiaSite,
        faults: Faults,
        posting: CdrPosting,
        traffic: VodiaTraffic,
        load: RequestLoad,
    ) -> None:
        self._pbx = pbx
        self._logins = logins
        self._site = site
        self._faults = faults
        self._posting = posting
        self._traffic = traffic
        self._load = load

    def routes(self) -> list[web.RouteDef]:
        """All paths under `/_sim/`."""
        return [
            web.get("/_sim/state", self.state),
            web.get("/_sim/can-call", self.can_call),
            web.post("/_sim/seed", self.seed),
            web.post("/_sim/habits", self.change_habits),
            web.post("/_sim/calls", self.place_calls),
            web.post("/_sim/live", self.begin_call),
            web.delete("/_sim/live", self.end_calls),
            web.post("/_sim/hand", self.hand),
            web.delete("/_sim/requests", self.clear_requests),
            web.post("/_sim/cdr-url", self.set_cdr_url),
            web.post("/_sim/traffic", self.start_traffic),
            web.delete("/_sim/traffic", self.stop_traffic),
            *self._faults.routes(),
            web.delete("/_sim/sessions", self.clear_sessions),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Flags, which extensions can call, and counts."""
        return json_answer(
            {
                **self._pbx.state(),
                "traffic": {"running": self._traffic.running, "placed": self._traffic.placed},
                "logins": {"begun": self._logins.begun, "refused": self._logins.refused},
                "pages_sent": self._site.pages_sent,
                "orders": self._site.orders,
                "posts": self._posting.answers,
                **self._load.state(),
            }
        )

    async def can_call(self, request: web.Request) -> web.Response:
        """`?extension=2112&domain=...`: whether it can place an outbound call now."""
        allowed, reason = self._pbx.can_call(self._named(dict(request.query)))
        return json_answer({"can_call": allowed, "reason": reason})

    def _named(self, wanted: dict[str, Any]) -> SimulatedVodiaExtension:
        key = (wanted["domain"], wanted["extension"])
        if key not in self._pbx.extensions:
            raise ValueError(f"no extension {key}")
        return self._pbx.extensions[key]

    async def seed(self, request: web.Request) -> web.Response:
        """Add accounts, trunks and extensions."""
        self._pbx.add(await body_of(request))
        return json_answer({})

    async def change_habits(self, request: web.Request) -> web.Response:
        """Change the given fields of `Habits`."""
        for name, value in (await body_of(request)).items():
            if not hasattr(self._pbx.habits, name):
                raise ValueError(f"no habit {name!r}")
            setattr(self._pbx.habits, name, value)
        return json_answer({})

    async def place_calls(self, request: web.Request) -> web.Response:
        """Record and post a call or a list of calls; returns their ids."""
        specs = await body_of(request)
        calls = [self._pbx.place(spec) for spec in (specs if isinstance(specs, list) else [specs])]
        for call in calls:
            await self._posting.post(call)
        return json_answer(
            {"ids": [call.id for call in calls], "primary": [c.primary_id for c in calls]}
        )

    async def begin_call(self, request: web.Request) -> web.Response:
        """Begin a call: `extension`, `domain`, `call_id`, and further fields of it."""
        self._pbx.begin_call(**await body_of(request))
        return json_answer({})

    async def end_calls(self, request: web.Request) -> web.Response:
        """End the calls of `?extension=...&domain=...`, or with `&call_id=...` only that one.

        Each is recorded and posted. Returns their ids.
        """
        extension, query = self._named(dict(request.query)), request.query
        ended = self._pbx.end_calls(extension.number, extension.domain, query.get("call_id", ""))
        for call in ended:
            await self._posting.post(call)
        return json_answer({"ids": [call.id for call in ended]})

    async def hand(self, request: web.Request) -> web.Response:
        """Set `disabled` of a `trunk`, or of an `extension` of a `domain`, as a person would."""
        wanted = await body_of(request)
        disabled = wanted["disabled"]
        if not isinstance(disabled, bool):
            raise ValueError(f"disabled: got {disabled!r}, expected true or false")
        if "trunk" in wanted:
            self._pbx.trunks[wanted["trunk"]].disabled = "true" if disabled else "false"
        else:
            self._named(wanted).disabled = disabled
        return json_answer({})

    async def clear_requests(self, _: web.Request) -> web.Response:
        """Reset the counts of requests."""
        self._load.clear()
        return json_answer({})

    async def set_cdr_url(self, request: web.Request) -> web.Response:
        """`cdr_url`: the URLs to which calls are posted, space-separated; empty for none."""
        self._posting.configure((await body_of(request))["cdr_url"])
        return json_answer({})

    async def start_traffic(self, request: web.Request) -> web.Response:
        """Start random calls by `extensions` (`[{"extension", "domain"}]`; none given: by all)."""
        wanted = await body_of(request)
        named = [self._named(row) for row in wanted.get("extensions", [])]
        self._traffic.start(wanted["calls_per_second"], named)
        return json_answer({})

    async def stop_traffic(self, _: web.Request) -> web.Response:
        """Stop the random calls."""
        await self._traffic.stop()
        return json_answer({})

    async def clear_sessions(self, _: web.Request) -> web.Response:
        """End all sessions."""
        self._logins.sessions.clear()
        return json_answer({})
