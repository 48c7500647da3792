"""`/_sim/`: how tests and the demonstration work the simulated Les.net."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from ringfence_simulators.fusionpbx.faults import Fault, Faults
from ringfence_simulators.lesnet.model import Portal
from ringfence_simulators.lesnet.site import Site


class Control:
    """The handlers; bodies and answers are JSON. What can not be done is a 400 with `error`."""

    def __init__(self, portal: Portal, site: Site, faults: Faults) -> None:
        self._portal = portal
        self._site = site
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Everything under `/_sim/`."""
        return [
            web.get("/_sim/state", self.state),
            web.post("/_sim/seed", self.seed),
            web.post("/_sim/calls", self.calls),
            web.post("/_sim/write", self.write),
            web.put("/_sim/file", self.put_file),
            web.put("/_sim/balance", self.set_balance),
            web.post("/_sim/faults", self.plan_fault),
            web.delete("/_sim/faults", self.clear_faults),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Peers, files, balance, and what was asked for."""
        files = {
            path: {"bytes": len(file.body), "etag": file.etag}
            for path, file in self._portal.files.items()
        }
        return _json(
            {
                "peers": [asdict(peer) for peer in self._portal.peers.values()],
                "files": files,
                "balance": str(self._portal.balance),
                "asked": self._site.asked,
            }
        )

    async def seed(self, request: web.Request) -> web.Response:
        """Add peers and calls, as a seed file does."""
        self._portal.add(await _body(request))
        return _json({})

    async def calls(self, request: web.Request) -> web.Response:
        """Calls for the next writing: `{"path", "calls"}`."""
        wanted = await _body(request)
        self._portal.call(wanted["path"], wanted["calls"])
        return _json({})

    async def write(self, request: web.Request) -> web.Response:
        """Write the day's files; `?rotate=1`: with the new calls alone."""
        self._portal.write_files(rotate="rotate" in request.query)
        return _json({})

    async def put_file(self, request: web.Request) -> web.Response:
        """Serve this body at `?path=`, to the byte."""
        self._portal.put(request.query["path"], await request.read())
        return _json({})

    async def set_balance(self, request: web.Request) -> web.Response:
        """What is left of the account: `{"balance"}`."""
        self._portal.balance = Decimal(str((await _body(request))["balance"]))
        return _json({})

    async def plan_fault(self, request: web.Request) -> web.Response:
        """Misbehave: the fields of `Fault`."""
        self._faults.planned.append(Fault(**await _body(request)))
        return _json({})

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Behave again."""
        self._faults.planned.clear()
        return _json({})


async def _body(request: web.Request) -> Any:
    return orjson.loads(await request.read())


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
