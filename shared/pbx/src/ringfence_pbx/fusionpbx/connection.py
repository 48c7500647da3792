"""One login at one FusionPBX, kept alive, and the verdict on whatever comes back.

Two lines of FusionPBX want different logins. Up to 5.5 the api key alone logs in; from 5.6 on it
must come with the token of the login page, in the same session. Asking for the login page first
and sending its token if it has one works on both.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, urlencode

import httpx
from pydantic import SecretStr

from ringfence_contracts.errors import BadInput, Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.pages import find_token, is_denied, is_login_page, is_lost
from ringfence_pbx.fusionpbx.transport import WITH_KEY, keyed_transport
from ringfence_pbx.http import PbxClient
from ringfence_pbx.servers import FusionPbxServer
from ringfence_pbx.throttle import Throttled, retry_after_s

USER_AGENT = "ringfence/1"
"""A session is bound to its User-Agent, so this never varies within a process."""

EXPORT = "/app/xml_cdr/xml_cdr_export.php"
LOGIN = "/login.php"
MAX_PAGE_BYTES = 16 * 1024 * 1024
MIN_KEY = 31
"""FusionPBX looks a shorter key up as a user name instead."""

REFUSAL_PAUSE_S = 60.0
"""After a refused login the next one waits so long: FusionPBX counts them and bans by address."""

Fields = dict[str, str]
FormData = Sequence[tuple[str, str]]
"""The pairs of a form, in order; a name may come more than once."""


@dataclass(frozen=True)
class PageResponse:
    """A whole answer: `location` is where it redirects to, if it does.

    `retry_after_s` is how long the server wants to be left alone, if it says so.
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
        """Whether this is no answer but the way to the login."""
        if self.redirects:
            return is_lost(self.location)
        return self.status == 200 and is_login_page(self.text)

    @property
    def denied(self) -> bool:
        """Whether the user has no right to the page."""
        return is_denied(self.text)


class FusionPbxConnection:
    """Requests within one login of the server's api key under one host name.

    Logs in before the first request, and again when the server has forgotten the session. `enter`
    runs after each login, before anything else. `slots` bounds the requests under way.

    Errors: Retry when the server or the way to it is unwell, Refused when it says no, BadInput
    for a key that can not work.
    """

    def __init__(
        self,
        server_id: str,
        server: FusionPbxServer,
        *,
        host: str | None,
        slots: asyncio.Semaphore | None = None,
        enter: Callable[[], Awaitable[None]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{server_id} as {host}" if host else server_id
        self._url = server.url
        self._timeout_s = server.timeout_s
        self._key = read_api_key(server_id, server)
        self._slots = slots or asyncio.Semaphore(server.concurrency)
        self._enter = enter
        self._monotonic = monotonic
        self._login_lock = asyncio.Lock()
        self._generation = 0
        self._logged_in = False
        self._refused: tuple[float, str] | None = None
        self._client = PbxClient(
            base_url=server.url,
            headers={"User-Agent": USER_AGENT, **({"Host": host} if host else {})},
            timeout_s=server.timeout_s,
            transport=keyed_transport(self._key, server.concurrency),
        )

    async def aclose(self) -> None:
        """Close the connections; the session on the server ends by itself."""
        await self._client.aclose()

    @property
    def generation(self) -> int:
        """Which login this is: it grows with each."""
        return self._generation

    async def ask(
        self, method: str, path: str, params: Fields | None = None, form: FormData | None = None
    ) -> PageResponse:
        """A request within the session, repeated once after a new login if that was lost."""
        for _ in range(2):
            login = await self.log_in()
            answer = await self.send(method, path, params, form)
            if not answer.lost:
                return answer
            self.forget(login)
        raise self.ended()

    async def log_in(self) -> int:
        """Log in unless we are. Returns which login this is, for `forget`."""
        async with self._login_lock:
            if self._logged_in:
                return self._generation
            if self._refused and self._monotonic() < self._refused[0]:
                raise Refused(self._refused[1])
            self._client.cookies.clear()
            await self._present_key()
            if self._enter:
                await self._enter()
            self._logged_in, self._refused = True, None
            self._generation += 1
            return self._generation

    def forget(self, login: int) -> None:
        """That login was lost; a later one stays."""
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
    ) -> PageResponse:
        """One request as it stands, and its whole answer."""
        with self._verdicts():
            async with (
                asyncio.timeout(self._timeout_s),
                self.stream(method, path, params, form, key=key) as response,
            ):
                answer = await self.whole(response, b"", response.aiter_bytes())
        self.sound(answer, path)
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
    ) -> AsyncIterator[httpx.Response]:
        """One request as it stands, its body not yet read; `key` sends the api key along."""
        marked = {WITH_KEY: True} if key else {}
        written = None if form is None else urlencode(form).encode()
        headers = None if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        with self._verdicts():
            async with (
                self._slots,
                self._client.stream(
                    method, path, params=params, content=written, headers=headers, extensions=marked
                ) as response,
            ):
                yield response

    async def whole(
        self, response: httpx.Response, begun: bytes, rest: AsyncIterator[bytes]
    ) -> PageResponse:
        """The answer whose body began with `begun`; of an endless one, its beginning."""
        body = bytearray(begun)
        async for piece in rest:
            body += piece
            if len(body) > MAX_PAGE_BYTES:
                break
        text = bytes(body).decode("utf-8", "replace")
        location = response.headers.get("location", "")
        return PageResponse(response.status_code, location, text, retry_after_s(response.headers))

    async def _present_key(self) -> None:
        page = await self.send("GET", LOGIN)
        if page.location.startswith("https:") and self._url.startswith("http:"):
            raise self.refused("redirects to https: begin `url` with https")
        # One second of 1970 holds no calls; without a window this would export everything.
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
            self._refused = (self._monotonic() + REFUSAL_PAUSE_S, str(refusal))
            raise refusal
        if answer.redirects:
            where = self.seen(answer.location)
            raise self.refused(f"redirects to {where}: is `url` FusionPBX's base URL?")

    @contextmanager
    def _verdicts(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise Retry(f"{self.name}: no answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise Retry(f"{self.name}: {type(error).__name__} {self.seen(str(error))}") from None

    def sound(self, answer: PageResponse, path: str) -> None:
        """Raise what an answer's status means, where it means something for every page."""
        if answer.status in (429, 503) and answer.retry_after_s is not None:
            said = f"{self.name}: status {answer.status} on {path}"
            after_s = answer.retry_after_s
            raise Throttled(f"{said}, again in {after_s:g} s", after_s)
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise Retry(f"{self.name}: status {answer.status} on {path}")
        if answer.status >= 400 and path != LOGIN:
            raise self.refused(f"answers {path} with {answer.status}: is `url` its base URL?")

    def ended(self) -> Refused:
        """The refusal when a session is lost as soon as it was made."""
        return self.refused("ends our session as soon as it began")

    def refused(self, what: str) -> Refused:
        """A refusal that names the server."""
        return Refused(f"{self.name} {what}")

    def unexpected(self, what: str, answer: PageResponse) -> Retry:
        """The verdict on an answer that is neither what was asked for nor a known refusal."""
        said = self.seen(answer.location or answer.text)
        return Retry(f"{self.name}: answered {what} with {answer.status} and {said}")

    def seen(self, text: str) -> str:
        """A piece of what the server said, short, and without our key should it echo it."""
        key = self._key.get_secret_value()
        for written in (key, quote(key), quote_plus(key)):
            text = text.replace(written, "***")
        return shown(text.strip(), 200)


def read_api_key(server_id: str, server: FusionPbxServer) -> SecretStr:
    """The server's api key. Raises BadInput when there is none, or none that can work."""
    key = server.api_key.read()
    if len(key.get_secret_value()) < MIN_KEY:
        expected = f"at least {MIN_KEY} characters, as FusionPBX makes them"
        raise BadInput(f"{server_id}: api_key", "(hidden)", expected)
    return key
