"""Asks the API with an operator's token, and says in words what went wrong."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import httpx

from ringfence_contracts.errors import RingfenceError

TIMEOUT_S = 30.0
SLOW_S = 300.0
"""For what the API computes over all rows of a file."""

_KEPT_OPEN_S = 2.0
"""Shorter than the API keeps a connection that is idle (5 s): we must be the one that closes it."""

_UNKNOWN = 404
_NOT_LOGGED_IN = 401
_TOO_MANY = 429
ApiAnswer = dict[str, Any]


class NotLoggedIn(RingfenceError):
    """The token is not valid, or not any more."""


class ApiRefused(RingfenceError):
    """The API refused a request. `problems` are its sentences, for the operator.

    `error` is the first one as the API answered it; that of a tariff file has its bad rows.
    """

    def __init__(
        self, status: int, problems: list[str], error: Mapping[str, Any] | None = None
    ) -> None:
        self.status = status
        self.problems = problems
        self.error = error or {}
        super().__init__("; ".join(problems))

    @property
    def is_unknown(self) -> bool:
        """Whether the thing that was asked for does not exist."""
        return self.status == _UNKNOWN


class ApiAway(RingfenceError):
    """The API did not answer; whether a change was made is not known."""


class Api:
    """The API of accounts. A token is given with each call: it is the operator's own."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def answers(self) -> None:
        """Return if the API answers at all. Raises ApiAway."""
        try:
            await self._http.get("/v1/openapi.json", headers={})
        except httpx.HTTPError as error:
            raise ApiAway(type(error).__name__) from error

    async def get(self, token: str, path: str, **query: Any) -> ApiAnswer:
        """The answer to GET. Raises NotLoggedIn, ApiRefused, ApiAway."""
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        return await self._ask("GET", token, path, params=asked)

    async def send(
        self,
        method: str,
        token: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiAnswer:
        """The answer to a request that changes something. Raises as `get`."""
        return await self._ask(method, token, path, json=body, headers=headers)

    async def upload(self, token: str, path: str, file: AsyncIterable[bytes]) -> ApiAnswer:
        """The answer to a file that is sent as it is. Raises as `get`."""
        headers = {"Content-Type": "application/octet-stream"}
        return await self._ask("POST", token, path, content=file, headers=headers, timeout=SLOW_S)

    async def compute(
        self, method: str, token: str, path: str, body: Mapping[str, Any] | None = None
    ) -> ApiAnswer:
        """As `send`, for an answer that takes its time: one over all rows of a large file."""
        return await self._ask(method, token, path, json=body, timeout=SLOW_S)

    @asynccontextmanager
    async def file(self, token: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a file, as they come. Raises as `get`, before the first piece."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._http.stream(
                "GET", f"/v1{path}", headers=headers, timeout=SLOW_S
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    _refuse(answer)
                yield answer.aiter_bytes()
        except httpx.HTTPError as error:
            raise ApiAway(f"the API did not answer ({type(error).__name__})") from error

    async def _ask(self, method: str, token: str, path: str, **given: Any) -> ApiAnswer:
        headers = {**(given.pop("headers", None) or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = await self._request(method, f"/v1{path}", headers=headers, **given)
        except httpx.HTTPError as error:
            raise ApiAway(f"the API did not answer ({type(error).__name__})") from error
        if not answer.is_success:
            _refuse(answer)
        return _object(answer) if answer.content else {}

    async def _request(self, method: str, url: str, **given: Any) -> httpx.Response:
        """Send a request; a question once more if the API closed the connection that it used."""
        try:
            return await self._http.request(method, url, **given)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if method != "GET":  # a change may have been made
                raise
            return await self._http.request(method, url, **given)


@asynccontextmanager
async def open_api(base_url: str) -> AsyncIterator[Api]:
    """The API at an address; connections are kept and shared by all pages."""
    limits = httpx.Limits(
        max_connections=100, max_keepalive_connections=20, keepalive_expiry=_KEPT_OPEN_S
    )
    async with httpx.AsyncClient(
        base_url=base_url, timeout=TIMEOUT_S, limits=limits, trust_env=False
    ) as http:
        yield Api(http)


def _refuse(answer: httpx.Response) -> NoReturn:
    """Raise NotLoggedIn or ApiRefused, as the answer says."""
    if answer.status_code == _NOT_LOGGED_IN:
        raise NotLoggedIn("; ".join(_problems(answer)))
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    found = error if isinstance(error, dict) else None
    raise ApiRefused(answer.status_code, _problems(answer), found)


def _object(answer: httpx.Response) -> ApiAnswer:
    try:
        found = answer.json()
    except ValueError as error:
        raise ApiAway("the API's answer could not be read") from error
    return found if isinstance(found, dict) else {}


def _problems(answer: httpx.Response) -> list[str]:
    """The sentences of an error. The field is named by the API's sentence."""
    try:
        errors = answer.json()["errors"]
        found = [str(error["message"]) for error in errors]
    except (ValueError, KeyError, TypeError):
        found = []
    if answer.status_code == _TOO_MANY and not found:
        found = ["too many attempts: wait a minute, and try again"]
    return found or [f"the API answered {answer.status_code}"]
