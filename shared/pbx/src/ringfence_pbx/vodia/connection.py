"""Requests to one Vodia PBX within its login, and the mapping of its answers to errors.

Newer versions take HTTP Basic on every request; older ones need a session, which begins with the
MD5 of the password. The server entry's `login` says which.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from typing import NoReturn

import httpx

from ringfence_contracts.errors import Retry
from ringfence_pbx.decimal_json import Json, read_json
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import (
    PbxClient,
    check_available,
    errors_as_retry,
    quoted,
    read_body,
)
from ringfence_pbx.login_pause import LoginPause
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.throttle import retry_after_s

SESSION = "/rest/system/session"
MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class VodiaConnection:
    """Requests with the server's user and password, at most `concurrency` of them at once.

    Raises Retry when the server or the network fails (Throttled when the server names a pause), and
    Refused when the server rejects a request. The constructor raises BadInput without a password.
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
        self._pause = LoginPause(monotonic)
        self._login_lock = asyncio.Lock()
        self._session = ""
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
        """The JSON at a path. With `missing_ok`, None for a path that the server does not have."""
        answer = await self._request("GET", path, params, None)
        if missing_ok and answer.status == 404:
            return None
        self._check_status(answer, path)
        return self._json(answer, path)

    async def write(
        self, path: str, body: dict[str, str], params: dict[str, str] | None = None
    ) -> None:
        """Send a change by the verb that the entry names. The body of the answer means nothing."""
        answer = await self._request(self._server.verbs.upper(), path, params, body)
        self._check_status(answer, path)

    async def _request(
        self, method: str, path: str, params: dict[str, str] | None, body: dict[str, str] | None
    ) -> _Answer:
        self._pause.check()
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
            self._check_status(answer, SESSION)
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
        limit = f"within {self._server.timeout_s:g} s"
        with errors_as_retry(self.server_id, limit, self._quoted):
            async with self._slots, asyncio.timeout(self._server.timeout_s):
                self._client.cookies.clear()
                async with self._client.stream(
                    method, path, params=params, json=body, headers=headers
                ) as response:
                    content = await read_body(response.aiter_bytes(), MAX_BODY_BYTES)
                    return _Answer(response.status_code, response.headers, content)

    def _check_status(self, answer: _Answer, path: str) -> None:
        """Raise the error that the status means, unless it is a success."""
        status = answer.status
        check_available(self.server_id, status, retry_after_s(answer.headers), path=path)
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
        raise Retry(f"{self.server_id}: {path} redirects to {self._quoted(location)}")

    def _refuse_login(self) -> NoReturn:
        refusal = self.refused(
            "accepts neither user nor password (401): check `user` (admin, or admin@tenant), the "
            'password, and that `login` is "basic", or "session" for an older PBX'
        )
        self._pause.start(refusal)
        raise refusal

    def _json(self, answer: _Answer, path: str) -> Json:
        try:
            return read_json(answer.body)
        except ValueError:
            raise self._unexpected(path, answer) from None

    def refused(self, what: str) -> Refused:
        """A Refused that names the server."""
        return Refused(f"{self.server_id} {what}")

    def _unexpected(self, path: str, answer: _Answer) -> Retry:
        body = self._quoted(answer.body.decode("utf-8", "replace"))
        return Retry(f"{self.server_id}: answered {path} with {answer.status} and no JSON: {body}")

    def unexpected_json(self, path: str, got: Json) -> Retry:
        """A Retry for JSON of an unexpected shape."""
        return Retry(f"{self.server_id}: answered {path} with {self._quoted(str(got))}")

    def _digest(self) -> str:
        return md5(self._password.encode(), usedforsecurity=False).hexdigest()

    def _quoted(self, text: str) -> str:
        """The beginning of a text of the server, without our secrets if the server echoes them."""
        pair = f"{self._server.user}:{self._password}".encode()
        basic = b64encode(pair).decode()
        return quoted(text, basic, self._password, self._digest(), self._session)
