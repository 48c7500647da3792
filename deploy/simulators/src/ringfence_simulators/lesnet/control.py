"""`/_sim/`: the controls of the simulated Les.net for tests and the demo."""

from dataclasses import asdict
from decimal import Decimal

from aiohttp import web

from ringfence_simulators.control import RequestLoad, body_of, json_answer
from ringfence_simulators.faults import Faults
from ringfence_simulators.lesnet.model import Portal
from ringfence_simulators.lesnet.site import LesnetSite


class LesnetControl:
    """The handlers, with JSON bodies. A request that cannot be executed gets a 400 with `error`."""

    def __init__(self, portal: Portal, site: LesnetSite, faults: Faults, load: RequestLoad) -> None:
        self._portal = portal
        self._site = site
        self._faults = faults
        self._load = load

    def routes(self) -> list[web.RouteDef]:
        """All paths under `/_sim/`."""
        return [
            web.get("/_sim/state", self.state),
            web.post("/_sim/seed", self.seed),
            web.post("/_sim/calls", self.calls),
            web.post("/_sim/write", self.write),
            web.put("/_sim/file", self.put_file),
            web.put("/_sim/balance", self.set_balance),
            web.post("/_sim/hand", self.hand),
            web.put("/_sim/switch", self.set_switch),
            *self._faults.routes(),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Peers, files, balance, and the requests so far."""
        files = {
            path: {"bytes": len(file.body), "etag": file.etag}
            for path, file in self._portal.files.items()
        }
        return json_answer(
            {
                "peers": [asdict(peer) for peer in self._portal.peers.values()],
                "files": files,
                "balance": str(self._portal.balance),
                "asked": self._site.asked,
                **self._load.state(),
            }
        )

    async def seed(self, request: web.Request) -> web.Response:
        """Add peers and calls, as a seed file does."""
        self._portal.add(await body_of(request))
        return json_answer({})

    async def calls(self, request: web.Request) -> web.Response:
        """Add calls to the next version of a file: `{"path", "calls"}`."""
        wanted = await body_of(request)
        self._portal.call(wanted["path"], wanted["calls"])
        return json_answer({})

    async def write(self, request: web.Request) -> web.Response:
        """Write the day's files; with `?rotate=1` they contain only the new calls."""
        self._portal.write_files(rotate="rotate" in request.query)
        return json_answer({})

    async def put_file(self, request: web.Request) -> web.Response:
        """Serve this body unchanged at `?path=`."""
        self._portal.put(request.query["path"], await request.read())
        return json_answer({})

    async def hand(self, request: web.Request) -> web.Response:
        """Switch a peer as a person would in the portal: `{"peer", "enabled"}`."""
        wanted = await body_of(request)
        if not isinstance(enabled := wanted["enabled"], bool):
            raise ValueError(f"enabled: got {enabled!r}, expected true or false")
        self._portal.peers[wanted["peer"].upper()].enabled = enabled
        return json_answer({})

    async def set_switch(self, request: web.Request) -> web.Response:
        """Set the latency of each request: `{"latency_s"}`, 0 to 60."""
        latency_s = float((await body_of(request))["latency_s"])
        if not 0 <= latency_s <= 60:
            raise ValueError(f"latency_s: got {latency_s}, expected 0 to 60")
        self._portal.latency_s = latency_s
        return json_answer({})

    async def set_balance(self, request: web.Request) -> web.Response:
        """Set the account's balance: `{"balance"}`."""
        self._portal.balance = Decimal(str((await body_of(request))["balance"]))
        return json_answer({})
