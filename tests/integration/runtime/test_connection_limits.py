"""Half a header holds no connection for ever, and nobody is kept out by those who send one.

Each test is run with both servers that the product has: aiohttp (the receiver and /health) and
uvicorn (the API).
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx
import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringfence.listening.aiohttp_site import STRICT, LimitedSite
from ringfence.listening.asgi_server import AsgiServer
from ringfence.listening.connections import ConnectionLimits
from ringfence.observe.health import Progress
from ringfence_testing.wait import until

MOST, HEADER_S = 20, 0.5
HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
Serving = Callable[..., AbstractAsyncContextManager[int]]


@asynccontextmanager
async def by_aiohttp(*, most: int = MOST, header_s: float = HEADER_S) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())} bytes")

    app = web.Application()
    app.add_routes([web.route("*", "/", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, **STRICT)
    await runner.setup()
    limits = ConnectionLimits("test", most=most, header_s=header_s)
    try:
        await LimitedSite(runner, "127.0.0.1", 0, limits=limits).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def by_uvicorn(*, most: int = MOST, header_s: float = HEADER_S) -> AsyncIterator[int]:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    limits = ConnectionLimits("test", most=most, header_s=header_s)
    server = AsgiServer(app, host="127.0.0.1", port=0, progress=Progress("api"), limits=limits)
    stop = asyncio.Event()
    task = asyncio.create_task(server.run(stop))
    try:
        await until(lambda: bool(server.url))
        yield int(server.url.rsplit(":", 1)[1])
    finally:
        stop.set()
        await task


each_server = pytest.mark.parametrize("serving", [by_aiohttp, by_uvicorn])


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """A response, whose body is a text without line breaks."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head.split(b"\r\n")[0] + b" " + await self._reader.readexactly(length)

    async def ended(self) -> bool:
        """Whether the server closes the connection within 5 s, without an answer."""
        try:
            return await asyncio.wait_for(self._reader.read(), 5) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.close()


def closed(reason: str) -> float:
    """The connections that were closed for a reason, of all tests."""
    labels = {"listener": "test", "reason": reason}
    return REGISTRY.get_sample_value("ringfence_http_connections_closed_total", labels) or 0.0


def open_now() -> float:
    return REGISTRY.get_sample_value("ringfence_http_connections", {"listener": "test"}) or 0.0


@each_server
async def test_a_header_that_is_not_complete_in_time_ends_the_connection(serving: Serving) -> None:
    before = closed("slow-header")
    async with serving() as port, connected(port) as client, connected(port) as silent:
        await client.send(HALF)
        assert await client.ended()
        assert await silent.ended()
        assert closed("slow-header") == before + 2
        await until(lambda: open_now() == 0)


@each_server
async def test_the_header_of_a_later_request_has_the_same_limit(serving: Serving) -> None:
    async with serving() as port, connected(port) as client:
        for _ in range(2):
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in await client.answer()
        await client.send(HALF)
        assert await client.ended()


@each_server
async def test_a_slow_body_is_no_slow_header(serving: Serving) -> None:
    """A large tariff over a thin line; what limits it is the application."""
    async with serving() as port, connected(port) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(HEADER_S / 2)  # the time itself is what is tested
            await client.send(b"x")
        assert await client.answer() == b"HTTP/1.1 200 OK 6 bytes"


@each_server
async def test_a_client_is_served_while_others_hold_every_connection(serving: Serving) -> None:
    before = closed("too-many")
    async with serving(header_s=30.0) as port, AsyncExitStack() as held:
        for _ in range(MOST + 5):
            client = await held.enter_async_context(connected(port))
            await client.send(HALF)
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(3):
                answer = await http.get(f"http://127.0.0.1:{port}/", timeout=5)
                assert answer.status_code == 200
        assert closed("too-many") >= before + 5
        assert open_now() <= MOST


@each_server
async def test_connections_that_sent_a_request_are_not_closed_for_new_ones(
    serving: Serving,
) -> None:
    async with serving(most=2, header_s=30.0) as port, AsyncExitStack() as held:
        clients = [await held.enter_async_context(connected(port)) for _ in range(2)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.answer()
        assert await (await held.enter_async_context(connected(port))).ended()
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200" in await client.answer()


PROGRAM = """
import resource
from ringfence.process import run_service
from ringfence.settings import CommonSettings

async def main(health, stop):
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))

run_service("trial", CommonSettings(), main)
"""


def test_a_service_may_open_as_many_files_as_the_machine_allows() -> None:
    """The usual limit of a shell is 1,024: 1,100 connections would use it up."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 5000 if hard == resource.RLIM_INFINITY else min(hard, 5000)

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))

    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lower,
    )
    assert found.stdout.split() == [str(most), str(most)]
