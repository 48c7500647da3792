"""Faults that a simulator injects on given paths, a given number of times."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from ringfence_simulators.control import body_of, json_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FaultKind = Literal[
    "status",
    "slow",
    "redirect",
    "html",
    "cut",
    "cut-quiet",
    "drop",
    "forget",
    "raw",
    "header",
    "slow-rows",
    "socket-down",
    "toggle-lies",
]

ROW_S = web.RequestKey("row_s", float)
"""Seconds that a list of gateways takes for each row, for this request."""


@dataclass
class Fault:
    """A fault on paths that begin with `path`, for the next `times` requests. By kind:

    - status: reply with the status `value`, optionally followed by the seconds of a `Retry-After`
      (`429 60`).
    - slow: wait `value` seconds first.
    - redirect: 302 to `value`.
    - html: the page `value` with status 200.
    - cut: half of the real body, then the connection closes.
    - cut-quiet: half of the real body, as a complete response.
    - drop: no response.
    - forget: the session is lost first.
    - raw: `value` is the whole response, head and body (a character up to U+00FF is one byte).
    - header: the real response with the header line `value` as given; then the connection closes.
    - slow-rows: a list of gateways takes `value` seconds for each row.
    - socket-down: the event socket does not answer during this request.
    - toggle-lies: a change of the element `value` (empty: of any) is reported as done, but not
      done; on any path, and `times` counts elements, not requests.
    """

    kind: FaultKind
    path: str = "/"
    value: str = ""
    times: int = 1


class Faults:
    """The planned faults; the first one that matches a request is used."""

    def __init__(
        self,
        forget_sessions: Callable[[], None],
        socket_down: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.planned: list[Fault] = []
        self._forget_sessions = forget_sessions
        self._socket_down = socket_down

    def take(self, path: str) -> Fault | None:
        """The fault for this request, if any; it counts as used once."""
        return self._use(lambda fault: fault.kind != "toggle-lies" and path.startswith(fault.path))

    def lies_about(self, element: str) -> bool:
        """Whether a change of this element is only reported as done; it counts as used once."""
        return (
            self._use(lambda fault: fault.kind == "toggle-lies" and fault.value in ("", element))
            is not None
        )

    def _use(self, fits: Callable[[Fault], bool]) -> Fault | None:
        for fault in self.planned:
            if fault.times > 0 and fits(fault):
                fault.times -= 1
                self.planned = [f for f in self.planned if f.times > 0]
                return fault
        return None

    def routes(self) -> list[web.RouteDef]:
        """The controls that plan and clear faults, the same for every simulator."""
        return [
            web.post("/_sim/faults", self._plan),
            web.delete("/_sim/faults", self._clear),
        ]

    async def _plan(self, request: web.Request) -> web.Response:
        """Plan a fault; the body has the fields of `Fault`."""
        self.planned.append(Fault(**await body_of(request)))
        return json_answer({})

    async def _clear(self, _: web.Request) -> web.Response:
        """Clear all planned faults."""
        self.planned.clear()
        return json_answer({})

    def middleware(self) -> Any:
        """An aiohttp middleware that injects the faults, except on the control interface."""

        @web.middleware
        async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = None if request.path.startswith("/_sim/") else self.take(request.path)
            return (
                await handler(request)
                if fault is None
                else await self._act(fault, request, handler)
            )

        return misbehave

    async def _act(
        self, fault: Fault, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        answer = _instead(fault, request)
        return answer or await self._spoiled(fault, request, handler)

    async def _spoiled(
        self, fault: Fault, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """The real response with a delay, a change, or a failure inside the PBX."""
        match fault.kind:
            case "slow":
                await asyncio.sleep(float(fault.value))
                return await handler(request)
            case "forget":
                self._forget_sessions()
                return await handler(request)
            case "cut" | "cut-quiet":
                return await _cut(request, await handler(request), fault.kind == "cut-quiet")
            case "header":
                return _send_raw(request, _with_header(await handler(request), fault.value))
            case "slow-rows":
                request[ROW_S] = float(fault.value)
                return await handler(request)
            case "socket-down":
                with self._socket_down():
                    return await handler(request)
            case _:
                raise ValueError(f"no such fault: {fault.kind}")


def _instead(fault: Fault, request: web.Request) -> web.StreamResponse | None:
    """The response that replaces the real one; None if the fault changes the real one."""
    match fault.kind:
        case "status":
            code, _, after = fault.value.partition(" ")
            headers = {"Retry-After": after} if after else {}
            return web.Response(status=int(code), text="fault", headers=headers)
        case "redirect":
            return web.Response(status=302, headers={"Location": fault.value})
        case "html":
            return web.Response(text=fault.value, content_type="text/html")
        case "drop":
            return _hang_up(request)
        case "raw":
            return _send_raw(request, fault.value.encode("latin-1"))
        case _:
            return None


async def _cut(request: web.Request, whole: web.StreamResponse, quiet: bool) -> web.StreamResponse:
    assert isinstance(whole, web.Response)
    assert isinstance(whole.body, bytes)
    half = whole.body[: len(whole.body) // 2]
    if quiet:
        return web.Response(body=half, content_type=whole.content_type)
    part = web.StreamResponse(headers={"Content-Type": whole.content_type})
    part.content_length = len(whole.body)
    await part.prepare(request)
    await part.write(half)
    return _hang_up(request, part)


def _with_header(whole: web.StreamResponse, line: str) -> bytes:
    """The response as bytes, with one more header line."""
    assert isinstance(whole, web.Response)
    body = whole.body if isinstance(whole.body, bytes) else b""
    lines = [f"HTTP/1.1 {whole.status} {whole.reason}"]
    lines += [f"{name}: {value}" for name, value in whole.headers.items()]
    lines += [f"Set-Cookie: {cookie.OutputString()}" for cookie in whole.cookies.values()]
    lines += [f"Content-Length: {len(body)}", "Connection: close", line]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _send_raw(request: web.Request, answer: bytes) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.write(answer)
        request.transport.close()
    return web.Response()


def _hang_up(request: web.Request, begun: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close() if begun else request.transport.abort()
    return begun or web.Response()
