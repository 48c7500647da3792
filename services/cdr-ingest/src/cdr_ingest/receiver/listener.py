"""The HTTP listener: `POST /cdr/{server_id}/{format}`, answered once the record is safe.

| status | means |
|---|---|
| 200 | the record is published and saved (a b leg: only saved) |
| 400 | the body cannot be read and is now a dead letter; the answer has field, value, expected |
| 401 | wrong user or password |
| 403 | a server without a password: the post comes from a web page, or by a foreign host name |
| 404 | no such server, or it does not post in this format |
| 408, 413 | the body was too slow or too large; nothing of it was saved |
| 415 | the body is compressed; nothing of it was read |
| 503 | too many posts at once, or Kafka or PostgreSQL fail; the record may or may not be saved |
"""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from cdr_ingest.metrics import POST_SECONDS, POSTS
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.formats import READERS, Posted, PushingServer, Reader
from cdr_ingest.receiver.guard import AuthResult, Guard
from cdr_ingest.sources.source import BadRow, BLeg, SourceRecord
from ringfence.listening.aiohttp_site import STRICT, LimitedSite
from ringfence.listening.connections import HEADER_S, ConnectionLimits
from ringfence_contracts.errors import BadInput, Retry, shown

RETRY_AFTER_S = 2
MAX_PARKED_BYTES = 256 * 1024
"""The part of an unreadable body that is kept: it must fit into a Kafka record."""

_BACKLOG = 2048
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FINISH_S = 15.0
_UNKNOWN = "unknown"
log = structlog.get_logger()


@dataclass(frozen=True)
class ReceiverLimits:
    """The limits of a listener: bytes of a body, concurrent posts, seconds until an answer.

    Beside them: how many connections, and seconds until a request's header is complete.
    """

    body_bytes: int
    posts: int
    answer_s: float
    connections: int = 2000
    header_s: float = HEADER_S


class PostRejected(Exception):
    """Ends a post with an answer other than 200; `result` is its label in metrics."""

    def __init__(self, status: HTTPStatus, result: str, problem: BadInput | str) -> None:
        super().__init__(str(problem))
        self.status = status
        self.result = result
        self.problem = problem
        self.headers: list[tuple[str, str]] = []


class Receiver:
    """Receives the posts of several servers, each with its own credentials.

    Raises BadInput when a server's password is missing, or when a server needs no password while
    `host` is not a loopback address.
    """

    def __init__(
        self,
        *,
        servers: Mapping[str, PushingServer],
        collector: Collector,
        host: str,
        port: int,
        limits: ReceiverLimits,
    ) -> None:
        self._servers = servers
        self._collector = collector
        self._host = host
        self._port = port
        self._limits = limits
        self._guards = {server_id: guard_of(server_id, s, host) for server_id, s in servers.items()}
        self._in_progress = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set; posts received until then are answered."""
        async with self.serving() as url:
            log.info("receiver listens", url=url, servers=sorted(self._servers))
            await stop.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve at the URL that it yields. On exit, the posts in progress are answered first."""
        listener_closed = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._collector.run(listener_closed))
            try:
                async with self._listening() as url:
                    yield url
            finally:
                listener_closed.set()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=self._limits.body_bytes)
        route = web.post("/cdr/{server_id}/{format}", self.post, expect_handler=_continue_later)
        app.add_routes([route])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_FINISH_S, **STRICT)
        await runner.setup()
        limits = ConnectionLimits(
            "receiver", most=self._limits.connections, header_s=self._limits.header_s
        )
        try:
            site = LimitedSite(runner, self._host, self._port, limits=limits, backlog=_BACKLOG)
            await site.start()
            host, port = runner.addresses[0][:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
        finally:
            await runner.cleanup()

    async def post(self, request: web.Request) -> web.Response:
        """Process one post, from its head to its answer."""
        began = time.monotonic()
        server_id = request.match_info["server_id"]
        label = server_id if server_id in self._servers else _UNKNOWN
        self._in_progress += 1
        try:
            response, result = await self._accept(request, server_id), "accepted"
        except PostRejected as rejected:
            response, result = _error_response(rejected), rejected.result
            if request.can_read_body:
                response.force_close()  # nobody reads the rest of the body
            log.warning("post refused", server_id=label, result=result, reason=str(rejected))
        finally:
            self._in_progress -= 1
        POSTS.labels(label, result).inc()
        POST_SECONDS.labels(label).observe(time.monotonic() - began)
        return response

    async def _accept(self, request: web.Request, server_id: str) -> web.Response:
        server, reader = self._find(server_id, request.match_info["format"])
        self._authenticate(request, server_id)
        if self._in_progress > self._limits.posts:
            raise _unavailable(f"{self._limits.posts} posts are under way already")
        _refuse_compressed(request)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(_CONTINUE)
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._limits.answer_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            expected = f"at most {self._limits.body_bytes} bytes"
            problem = BadInput("body", f"{request.content_length or 'more'} bytes", expected)
            raise PostRejected(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", problem) from None
        except TimeoutError:
            raise PostRejected(
                HTTPStatus.REQUEST_TIMEOUT, "slow", "the body came too slowly"
            ) from None
        content_type = request.headers.get("Content-Type", "")
        posted = Posted(server_id, server, content_type, request.query, body)
        return await self._ingest(posted, reader)

    def _find(self, server_id: str, form: str) -> tuple[PushingServer, Reader]:
        server = self._servers.get(server_id)
        reader = READERS.get((server.kind, form)) if server else None
        if server is None or reader is None:
            problem = BadInput("path", f"/cdr/{server_id}/{form}", "a server that pushes, and how")
            raise PostRejected(HTTPStatus.NOT_FOUND, "unknown", problem)
        return server, reader

    def _authenticate(self, request: web.Request, server_id: str) -> None:
        guard = self._guards[server_id]
        if guard is None:
            _refuse_web_page(request)
            return
        given = request.headers.get("Authorization", "")
        result = guard.check(given, request.method, request.raw_path)
        if result is AuthResult.ADMITTED:
            return
        scheme = given.partition(" ")[0].lower()
        sent = scheme if scheme in ("basic", "digest") else "nothing" if not given else "another"
        problem = BadInput("credentials", sent, "this server's user and password")
        rejected = PostRejected(HTTPStatus.UNAUTHORIZED, "unauthorised", problem)
        challenges = guard.challenges(stale=result is AuthResult.STALE)
        rejected.headers = [("WWW-Authenticate", challenge) for challenge in challenges]
        raise rejected

    async def _ingest(self, posted: Posted, reader: Reader) -> web.Response:
        """Ingest the posted record or, if it cannot be read, the bytes of the body."""
        try:
            record = reader(posted)
        except BadInput as problem:
            await self._submit(_bad_row(posted, problem))
            raise PostRejected(HTTPStatus.BAD_REQUEST, "unreadable", problem) from None
        if record is None:
            return web.json_response({"result": "nothing to take"})
        if isinstance(record, BadRow):
            await self._submit(replace(record, raw=record.raw[:MAX_PARKED_BYTES]))
            raise PostRejected(HTTPStatus.BAD_REQUEST, "unreadable", record.reason)
        await self._submit(record)
        if isinstance(record, BLeg):
            return web.json_response({"result": "noted, not billed: a b leg"})
        return web.json_response({"result": "accepted", "call_id": str(record.call_id)})

    async def _submit(self, record: SourceRecord) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_s):
                await self._collector.submit(record)
        except Retry as reason:
            raise _unavailable(str(reason)) from None
        except TimeoutError:
            raise _unavailable(f"not safe within {self._limits.answer_s:g} s") from None


async def _continue_later(_: web.Request) -> None:
    """Ask for no body yet: first the sender is authenticated."""


def _refuse_compressed(request: web.Request) -> None:
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        problem = BadInput("Content-Encoding", coding[:40], "a body that is not compressed")
        raise PostRejected(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unreadable", problem)


def _refuse_web_page(request: web.Request) -> None:
    """Refuse what a browser on this machine sends for a web page.

    Such a request has an Origin; or, if the page's name was pointed to this machine, a Host that is
    not this machine's. A PBX sends neither.
    """
    for name, wrong, expected in (
        ("Origin", "Origin" in request.headers, "none: a PBX sends the post, not a web page"),
        ("Host", not _is_loopback(_host_name(request.host)), "127.0.0.1, ::1 or localhost"),
    ):
        if wrong:
            problem = BadInput(name, request.headers.get(name, "")[:100], expected)
            raise PostRejected(HTTPStatus.FORBIDDEN, "foreign", problem)


def _host_name(host: str) -> str:
    """The name or address of a Host header, without its port; blank for what is neither."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def guard_of(server_id: str, server: PushingServer, host: str) -> Guard | None:
    """The guard of a server; None if its posts need no credentials.

    Raises BadInput for a missing password, and for a server without one if `host` is not loopback.
    """
    push = server.push
    assert push is not None, "a receiver gets only servers that push"
    if push.password is not None:
        password = push.password.read().get_secret_value()
        return Guard(server_id, user=push.user, password=password)
    if not _is_loopback(host):
        expected = f"user and password, for the receiver listens on {host}, not on loopback alone"
        raise BadInput(f"servers.{server_id}.push.open", True, expected)
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_row(posted: Posted, problem: BadInput) -> BadRow:
    cut = len(posted.body) > MAX_PARKED_BYTES
    note = f" (the first {MAX_PARKED_BYTES} of {len(posted.body)} bytes)" if cut else ""
    raw = posted.body[:MAX_PARKED_BYTES]
    return BadRow(posted.server_id, "*", raw, 0, f"posted: {problem}{note}")


def _unavailable(reason: str) -> PostRejected:
    rejected = PostRejected(HTTPStatus.SERVICE_UNAVAILABLE, "busy", reason)
    rejected.headers = [("Retry-After", str(RETRY_AFTER_S))]
    return rejected


def _error_response(rejected: PostRejected) -> web.Response:
    problem = rejected.problem
    if isinstance(problem, BadInput):
        error = {
            "field": problem.field,
            "value": shown(problem.value),
            "expected": problem.expected,
        }
    else:
        error = {"reason": problem}
    response = web.json_response({"error": error}, status=rejected.status)
    for name, value in rejected.headers:
        response.headers.add(name, value)
    return response
