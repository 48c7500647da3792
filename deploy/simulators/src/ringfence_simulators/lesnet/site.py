"""The paths of Les.net: the CDR files, and the API."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from ringfence_simulators.lesnet.model import Peer, Portal, ServedFile


@dataclass(frozen=True)
class Paths:
    """The API calls that switch a peer. The real ones are not published."""

    disable: str = "peer/disable"
    enable: str = "peer/enable"
    show: str = "peer/show"


class LesnetSite:
    """The handlers. `asked` lists the requests: the path of the file or call, and the status.

    A change of a peer for which `lies_about` is true is reported as done, but not done.
    """

    def __init__(self, portal: Portal, paths: Paths, lies_about: Callable[[str], bool]) -> None:
        self._portal = portal
        self._paths = paths
        self._lies_about = lies_about
        self.asked: list[tuple[str, int]] = []
        self.envelopes: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        """All paths."""
        return [web.post("/v1/{call:.+}/", self.api), web.get("/{path:cdr/.+}", self.file)]

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A CDR file, or 304 if the client has this version."""
        path = f"/{request.match_info['path']}"
        found = self._portal.files.get(path)
        status = _status(request, found)
        self.asked.append((path, status))
        if found is None or status == 401:
            return web.Response(status=status, text="no such file for you")
        headers = {"Content-Type": "text/plain"}
        if found.validators:
            headers |= {"ETag": found.etag, "Last-Modified": found.last_modified}
        if status == 304:
            return web.Response(status=304, headers=headers)
        if not found.framed:
            return await _unframed(request, headers, found.body)
        return web.Response(body=found.body, headers=headers)

    async def api(self, request: web.Request) -> web.Response:
        """A call of the API, with its envelope."""
        call = request.match_info["call"]
        envelope = orjson.loads(await request.read())
        self.envelopes.append(envelope)
        self.asked.append((call, 200))
        keys = {"apikey": self._portal.api_key, "idkey": self._portal.id_key}
        if envelope.get("authentication") != keys:
            return _error("authentication", "apikey or idkey is wrong")
        if not isinstance(envelope.get("sequence"), int):
            return _error("sequence", "sequence is missing")
        if call == "account/balance":
            return _json({"status": "ok", "balance": float(self._portal.balance)})
        return self._switch(call, envelope)

    def _switch(self, call: str, envelope: dict[str, Any]) -> web.Response:
        if call not in (self._paths.disable, self._paths.enable, self._paths.show):
            return _error("unknown call", f"there is no {call}")
        peer = self._portal.peers.get(str(envelope.get("peer", "")))
        if peer is None:
            return _error("unknown peer", "the account has no such peer")
        if call != self._paths.show and not self._lies_about(peer.peer):
            peer.enabled = call == self._paths.enable
        return _json({"status": "ok", "peer": _shown(peer)})


def _shown(peer: Peer) -> dict[str, Any]:
    state = "enabled" if peer.enabled else "disabled"
    return {"id": peer.peer, "state": state, "dids": peer.dids}


def _status(request: web.Request, file: ServedFile | None) -> int:
    if file is None:
        return 404
    wanted = f"Basic {b64encode(file.login.encode()).decode()}"
    if file.login and request.headers.get("Authorization") != wanted:
        return 401
    return 304 if _is_known(request, file) else 200


def _is_known(request: web.Request, file: ServedFile) -> bool:
    if not file.validators:
        return False
    if (known := request.headers.get("If-None-Match")) is not None:
        return known == file.etag
    return request.headers.get("If-Modified-Since") == file.last_modified


async def _unframed(
    request: web.Request, headers: dict[str, str], body: bytes
) -> web.StreamResponse:
    """A response without Content-Length, which ends with the connection, as old servers send it."""
    response = web.StreamResponse(headers={**headers, "Connection": "close"})
    response.force_close()
    response.headers.pop("Transfer-Encoding", None)
    if request.transport is not None:
        head = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        request.transport.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)
        request.transport.close()
    return response


def _error(error: str, detail: str) -> web.Response:
    return _json({"status": "error", "error": error, "error_detail": detail})


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
