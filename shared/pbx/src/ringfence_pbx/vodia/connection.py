"""Requests to one Vodia PBX within its own login, and the verdict on whatever comes back.

Two generations want different logins: HTTP Basic on every request, or a session that is begun with
the MD5 of the password. Which one is the server entry's to say.
"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import md5
from typing import Any, NoReturn

import httpx

from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import PbxClient
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.throttle import Throttled, retry_after_s

SESSION = "/rest/system/session"
MAX_BODY_BYTES = 16 * 1024 * 1024
REFUSAL_PAUSE_S = 60.0
"""After a refused login the next request waits so long: a PBX may ban an address for many."""

Json = Any
"""What `json.loads` gives, with decimals instead of floats: a call's times must not lose digits."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class VodiaConnection:
    """Requests with the server's user and password, at most `concurrency` under way at once.

    Errors: Retry when the server or the way to it is unwell (Throttled when it says how long),
    Refused when it says no. Raises BadInput at once when there is no password.
    """

    def __init__(
        self,
        server_id: str,
        server: VodiaServer,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server_id = server_id
        self._server = server
        self._password = server.password.read().get_secret_value()
        self._slots = asyncio.Semaphore(server.concurrency)
        self._monotonic = monotonic
        self._login_lock = asyncio.Lock()
        self._session = ""
        self._refused: tuple[float, str] | None = None
        basic = httpx.BasicAuth(server.user, self._password) if server.login == "basic" else None
        self._client = PbxClient(
            base_url=server.url,
            auth=basic,
            headers={"User-Agent": "ringfence/1", "Accept": "application/json"},
            timeout_s=server.timeout_s,
            connections=server.concurrency,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(
        self, path: str, params: dict[str, str] | None = None, *, missing_ok: bool = False
    ) -> Json:
        """The JSON at a path; with `missing_ok`, None where the server knows no such thing."""
        answer = await self._ask("GET", path, params, None)
        if missing_ok and answer.status == 404:
            return None
        self._sound(answer, path)
        return self._json(answer, path)

    async def write(
        self, path: str, body: dict[str, str], params: dict[str, str] | None = None
    ) -> None:
        """Send a change, by the verb of the server's era. Its answer says nothing to rely on."""
        answer = await self._ask(self._server.verbs.upper(), path, params, body)
        self._sound(answer, path)

    async def _ask(
        self, method: str, path: str, params: dict[str, str] | None, body: dict[str, str] | None
    ) -> _Answer:
        if self._refused and self._monotonic() < self._refused[0]:
            raise Refused(self._refused[1])
        if self._server.login == "basic":
            answer = await self._send(method, path, params, body, {})
            return self._refuse_login() if answer.status == 401 else answer
        for _ in range(2):
            session = await self._log_in()
            cookie = {"Cookie": f"session={session}"}
            answer = await self._send(method, path, params, body, cookie)
            if answer.status != 401:
                return answer
            if session == self._session:
                self._session = ""
        raise self.refused("ends our session as soon as it began: check the user's rights")

    async def _log_in(self) -> str:
        async with self._login_lock:
            if self._session:
                return self._session
            order = {"name": "auth", "value": f"{self._server.user} {self._digest()}"}
            answer = await self._send("PUT", SESSION, None, order, {})
            if answer.status == 401:
                self._refuse_login()
            self._sound(answer, SESSION)
            session = self._json(answer, SESSION)
            if session in (None, False, ""):
                self._refuse_login()
            if not isinstance(session, str) or not session.isalnum():
                raise self._unexpected(SESSION, answer)
            self._session = session
            return session

    async def _send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        body: dict[str, str] | None,
        headers: dict[str, str],
    ) -> _Answer:
        try:
            async with self._slots, asyncio.timeout(self._server.timeout_s):
                self._client.cookies.clear()
                async with self._client.stream(
                    method, path, params=params, json=body, headers=headers
                ) as response:
                    return _Answer(response.status_code, response.headers, await _whole(response))
        except (httpx.TimeoutException, TimeoutError):
            limit = f"{self._server.timeout_s:g} s"
            raise Retry(f"{self.server_id}: no answer within {limit}") from None
        except httpx.HTTPError as error:
            what = f"{type(error).__name__} {self._seen(str(error))}"
            raise Retry(f"{self.server_id}: {what}") from None

    def _sound(self, answer: _Answer, path: str) -> None:
        """Raise what a status means, unless it is a success."""
        status = answer.status
        if status in (429, 503) and (after_s := retry_after_s(answer.headers)) is not None:
            said = f"{self.server_id}: status {status} on {path}, again in {after_s:g} s"
            raise Throttled(said, after_s)
        if status >= 500 or status in (408, 425, 429):
            raise Retry(f"{self.server_id}: status {status} on {path}")
        if status == 403:
            raise self.refused(
                f"forbids {path} (403): the password is right, but the account lacks the right; "
                'give it "API access" and, for other tenants, the system administrator\'s account'
            )
        if status == 404:
            raise self.refused(f"knows no {path} (404): check the tenant's name and `url`")
        if status >= 400:
            raise self.refused(f"answers {path} with {status}: is `verbs` right for its version?")
        if status >= 300:
            self._redirected(answer, path)

    def _redirected(self, answer: _Answer, path: str) -> NoReturn:
        location = answer.headers.get("location", "")
        if location.startswith("https:") and self._server.url.startswith("http:"):
            raise self.refused("redirects to https: begin `url` with https")
        raise Retry(f"{self.server_id}: {path} redirects to {self._seen(location)}")

    def _refuse_login(self) -> NoReturn:
        refusal = self.refused(
            "accepts neither user nor password (401): check `user` (admin, or admin@tenant), the "
            'password, and that `login` is "basic", or "session" for an older PBX'
        )
        self._refused = (self._monotonic() + REFUSAL_PAUSE_S, str(refusal))
        raise refusal

    def _json(self, answer: _Answer, path: str) -> Json:
        try:
            return read_json(answer.body)
        except ValueError:
            raise self._unexpected(path, answer) from None

    def refused(self, what: str) -> Refused:
        """A refusal that names the server."""
        return Refused(f"{self.server_id} {what}")

    def _unexpected(self, path: str, answer: _Answer) -> Retry:
        said = self._seen(answer.body.decode("utf-8", "replace"))
        return Retry(f"{self.server_id}: answered {path} with {answer.status} and no JSON: {said}")

    def strange(self, path: str, got: Json) -> Retry:
        """The verdict on JSON of another shape than asked for."""
        return Retry(f"{self.server_id}: answered {path} with {self._seen(str(got))}")

    def _digest(self) -> str:
        return md5(self._password.encode(), usedforsecurity=False).hexdigest()

    def _seen(self, text: str) -> str:
        """A piece of what the server said, short, and without our secrets should it echo them."""
        pair = f"{self._server.user}:{self._password}".encode()
        basic = b64encode(pair).decode()
        for secret in (basic, self._password, self._digest(), self._session):
            text = text.replace(secret, "***") if secret else text
        return shown(text.strip(), 200)


async def _whole(response: httpx.Response) -> bytes:
    """The body; of an endless one, its beginning."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            break
    return bytes(body)


def read_json(body: bytes) -> Json:
    """JSON with its decimals kept as written. Raises ValueError on anything else."""
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (RecursionError, ArithmeticError):
        # ArithmeticError: an exponent beyond what Decimal holds.
        raise ValueError("nested too deep, or a number too large") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
