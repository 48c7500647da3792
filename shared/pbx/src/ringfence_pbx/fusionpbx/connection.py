"""One login at one FusionPBX, kept alive, and the mapping of its answers to errors.

FusionPBX has two kinds of login. Up to 5.5 the api key alone logs in; from 5.6 on the request must
also send the token of the login page, in the same session. Reading the login page first, and
sending its token if it has one, works with both.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, urlencode

import httpx
from pydantic import SecretStr

from ringfence_contracts.errors import BadInput, Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.pages import find_token, is_denied, is_login_page, is_lost
from ringfence_pbx.fusionpbx.transport import WITH_KEY, keyed_transport
from ringfence_pbx.http import (
    PbxClient,
    check_available,
    errors_as_retry,
    quoted,
    read_body,
)
from ringfence_pbx.login_pause import LoginPause
from ringfence_pbx.servers import FusionPbxServer
from ringfence_pbx.throttle import retry_after_s

USER_AGENT = "ringfence/1"
"""FusionPBX binds a session to its User-Agent, so this never changes within a process."""

EXPORT = "/app/xml_cdr/xml_cdr_export.php"
LOGIN = "/login.php"
MAX_PAGE_BYTES = 16 * 1024 * 1024
MIN_KEY = 31
"""FusionPBX takes a shorter key for a user name."""

Fields = dict[str, str]
FormData = Sequence[tuple[str, str]]
"""The pairs of a form in order; a name may occur more than once."""


@dataclass(frozen=True)
class PageResponse:
    """A complete answer. `location` is empty unless it is a redirect.

    `retry_after_s` is the pause in seconds that the server asks for; None if it asks for none.
    """

    status: int
    location: str
    text: str
    retry_after_s: float | None = None

    @property
    def redirects(self) -> bool:
        """Whether the status is a redirect."""
        return 300 <= self.status < 400

    @property
    def lost(self) -> bool:
        """Whether this is the login page or a redirect to it: the session is gone."""
        if self.redirects:
            return is_lost(self.location)
        return self.status == 200 and is_login_page(self.text)

    @property
    def denied(self) -> bool:
        """Whether the user has no right to the page."""
        return is_denied(self.text)


class FusionPbxConnection:
    """Requests within one login of the server's api key under one host name.

    It logs in before the first request, and again when the session is gone. `enter` runs directly
    after each login. `slots` limits the concurrent requests, `beside` those that are sent with
    `beside=True` while an export is being read, which occupies one of the slots.

    Raises Retry when the server or the network fails, Refused when the server rejects a request,
    and BadInput for an api key that cannot work.
    """

    def __init__(
        self,
        server_id: str,
        server: FusionPbxServer,
        *,
        host: str | None,
        slots: asyncio.Semaphore | None = None,
        beside: asyncio.Semaphore | None = None,
        enter: Callable[[], Awaitable[None]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{server_id} as {host}" if host else server_id
        self._url = server.url
        self._timeout_s = server.timeout_s
        self._key = read_api_key(server_id, server)
        self._slots = slots or asyncio.Semaphore(server.concurrency)
        self._beside = beside or asyncio.Semaphore(slots_beside(server))
        self._enter = enter
        self._login_lock = asyncio.Lock()
        self._generation = 0
        self._logged_in = False
        self._pause = LoginPause(monotonic)
        self._client = PbxClient(
            base_url=server.url,
            headers={"User-Agent": USER_AGENT, **({"Host": host} if host else {})},
            timeout_s=server.timeout_s,
            transport=keyed_transport(self._key, server.concurrency + slots_beside(server)),
        )

    async def aclose(self) -> None:
        """Close the connections; the session on the server ends by itself."""
        await self._client.aclose()

    @property
    def generation(self) -> int:
        """The number of the current login; each login increases it."""
        return self._generation

    async def request(
        self, method: str, path: str, params: Fields | None = None, form: FormData | None = None
    ) -> PageResponse:
        """A request within the session; repeated after a new login if the session is gone."""
        for _ in range(2):
            login = await self.log_in()
            answer = await self.send(method, path, params, form)
            if not answer.lost:
                return answer
            self.session_lost(login)
        raise self.session_ended()

    async def log_in(self) -> int:
        """Log in unless logged in. Returns the number of the login, for `session_lost`."""
        async with self._login_lock:
            if self._logged_in:
                return self._generation
            self._pause.check()
            self._client.cookies.clear()
            await self._present_key()
            if self._enter:
                await self._enter()
            self._logged_in = True
            self._pause.end()
            self._generation += 1
            return self._generation

    def session_lost(self, login: int) -> None:
        """The session of that login is gone; a later login stays valid."""
        if login == self._generation:
            self._logged_in = False

    async def send(
        self,
        method: str,
        path: str,
        params: Fields | None = None,
        form: FormData | None = None,
        *,
        key: bool = False,
        beside: bool = False,
    ) -> PageResponse:
        """One request that does not log in first, and its complete answer.

        The time limit does not include the wait for a slot of the requests `beside` an export.
        """
        with self._errors_as_retry():
            async with (
                self._beside if beside else nullcontext(),
                asyncio.timeout(self._timeout_s),
                self.stream(method, path, params, form, key=key, beside=beside) as response,
            ):
                answer = await self.read_response(response, b"", response.aiter_bytes())
        self.check_status(answer, path)
        return answer

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        params: Fields | None = None,
        form: FormData | None = None,
        *,
        key: bool = False,
        beside: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """As `send`, but the body is not read yet; `key` adds the api key to the request."""
        marked = {WITH_KEY: True} if key else {}
        written = None if form is None else urlencode(form).encode()
        headers = None if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        with self._errors_as_retry():
            async with (
                nullcontext() if beside else self._slots,
                self._client.stream(
                    method, path, params=params, content=written, headers=headers, extensions=marked
                ) as response,
            ):
                yield response

    async def read_response(
        self, response: httpx.Response, begun: bytes, rest: AsyncIterator[bytes]
    ) -> PageResponse:
        """The answer whose body started with `begun`; of a body without end, its beginning."""
        body = await read_body(rest, MAX_PAGE_BYTES, begun=begun)
        text = body.decode("utf-8", "replace")
        location = response.headers.get("location", "")
        return PageResponse(response.status_code, location, text, retry_after_s(response.headers))

    async def _present_key(self) -> None:
        page = await self.send("GET", LOGIN)
        if page.location.startswith("https:") and self._url.startswith("http:"):
            raise self.refused("redirects to https: begin `url` with https")
        # A window of one second in 1970 holds no calls; without a window, all calls are exported.
        params = {"export_format": "csv", "start_epoch": "1", "stop_epoch": "1"}
        token = find_token(page.text)
        if token is not None:
            params[token.name] = token.value
        answer = await self.send("GET", EXPORT, params, key=True)
        if answer.lost:
            refusal = self.refused(
                "refuses the api key: check the key, that its user is enabled and belongs to this "
                "domain, and the host name"
            )
            self._pause.start(refusal)
            raise refusal
        if answer.redirects:
            where = self.quoted(answer.location)
            raise self.refused(f"redirects to {where}: is `url` FusionPBX's base URL?")

    def _errors_as_retry(self) -> AbstractContextManager[None]:
        return errors_as_retry(self.name, f"within {self._timeout_s:g} s", self.quoted)

    def check_status(self, answer: PageResponse, path: str) -> None:
        """Raise the error that the status means for every page, unless it means none."""
        check_available(self.name, answer.status, answer.retry_after_s, path=path)
        if answer.status >= 400 and path != LOGIN:
            raise self.refused(f"answers {path} with {answer.status}: is `url` its base URL?")

    def session_ended(self) -> Refused:
        """The error for a session that is gone directly after its login."""
        return self.refused("ends our session as soon as it began")

    def refused(self, what: str) -> Refused:
        """A Refused that names the server."""
        return Refused(f"{self.name} {what}")

    def unexpected(self, what: str, answer: PageResponse) -> Retry:
        """A Retry for an answer that is neither the expected page nor a known refusal."""
        content = self.quoted(answer.location or answer.text)
        return Retry(f"{self.name}: answered {what} with {answer.status} and {content}")

    def quoted(self, text: str) -> str:
        """The beginning of a text of the server, without the api key if the server echoes it."""
        key = self._key.get_secret_value()
        return quoted(text, key, quote(key), quote_plus(key))


def slots_beside(server: FusionPbxServer) -> int:
    """How many requests may be sent at once while an export is being read: at least one."""
    return max(1, server.concurrency - 1)


def read_api_key(server_id: str, server: FusionPbxServer) -> SecretStr:
    """The server's api key. Raises BadInput for a missing or too short one."""
    key = server.api_key.read()
    if len(key.get_secret_value()) < MIN_KEY:
        expected = f"at least {MIN_KEY} characters, as FusionPBX makes them"
        raise BadInput(f"{server_id}: api_key", "(hidden)", expected)
    return key
