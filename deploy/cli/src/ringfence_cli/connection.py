"""The API as the commands use it: its address and token, requests, and error messages."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import click
import httpx

from ringfence import stack_file
from ringfence.console.output import wrapped
from ringfence_cli.error_texts import error_text, row_text

EXIT_REFUSED = 2
EXIT_UNREACHABLE = 3
_TIMEOUT_S = 300.0
_CONNECT_S = 5.0
_PAGE = 500
_BY_A_PROXY = (502, 503, 504)
_REASONS = {
    "refused": "nothing listens there",
    "Name or service not known": "the name of the host is not known",
    "name resolution": "the name of the host cannot be looked up",
    "No address": "the name of the host is not known",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: write http://",
    "unreachable": "there is no way to the host",
}
"""A part of the system's reason why a connection was not made, and the words for it."""


class ListResult(NamedTuple):
    """Rows of a list, their total (None: not known), and whether there are more."""

    rows: Sequence[Mapping[str, Any]]
    total: int | None
    more: bool


class ApiRefusal(NamedTuple):
    """The reason why the API refused a request."""

    message: str


class ApiClient:
    """A client of the REST API. An error ends the command with what is wrong and what to do."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        if not token.isascii() or not token.isprintable() or " " in token:
            fail("RINGFENCE_TOKEN: expected a token without blanks, of ASCII characters alone")
        try:
            self._http = httpx.Client(
                base_url=f"{url.rstrip('/')}/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
            )
        except (httpx.InvalidURL, ValueError):
            fail(_no_address(url), EXIT_UNREACHABLE)

    def send(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        """Send a request; its response. Ends the command with 2 if refused, 3 if not reached."""
        return self._accepted(self._request(method, path, **sent))

    def remove(self, path: str) -> None:
        """Delete a thing; it is no error if it is gone already. Ends the command as `send`."""
        answer = self._request("DELETE", path)
        if not answer.is_success and answer.status_code != httpx.codes.NOT_FOUND:
            self._explain(answer)

    def send_new(self, method: str, path: str, **sent: Any) -> tuple[dict[str, Any], bool]:
        """As `send`; and whether something new was made by it (201), not found to exist (200)."""
        answer = self._request(method, path, **sent)
        return self._accepted(answer), answer.status_code == httpx.codes.CREATED

    def attempt(self, method: str, path: str, **sent: Any) -> dict[str, Any] | ApiRefusal:
        """Send a request that may be refused: 404, 409 and 422 are returned as an ApiRefusal."""
        answer = self._request(method, path, **sent)
        if answer.status_code in (404, 409, 422):
            return ApiRefusal(error_text(self._error_of(answer), answer.status_code))
        return self._accepted(answer)

    def _request(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **sent)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            fail(_no_answer(self._url, method, error), EXIT_UNREACHABLE)

    def _accepted(self, answer: httpx.Response) -> dict[str, Any]:
        """The response as JSON. Ends the command for an error, and for another server's answer."""
        if not answer.is_success:
            self._explain(answer)
        try:
            found: object = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._not_ours(answer)
        return found

    def _explain(self, answer: httpx.Response) -> NoReturn:
        """End the command with why the response is an error, and what to do."""
        found = self._error_of(answer)
        for row in found["error"].get("rows", []):
            click.echo(f"  {row_text(row)}", err=True)
        message = error_text(found, answer.status_code)
        if answer.status_code == 401:
            message = (
                "the API does not know this token, or it has ended: set RINGFENCE_TOKEN to one"
                " that `ringfence token create` showed, or to one of those that"
                " RINGFENCE_ACCOUNTS_TOKENS of the accounts service names."
            )
        elif found["error"].get("field") == "request" and answer.status_code in (404, 405):
            message = (
                f"the API at {self._url} cannot do this: is it of another version than this"
                " command (`ringfence --version`)?"
            )
        fail(message, EXIT_UNREACHABLE if answer.status_code >= 500 else EXIT_REFUSED)

    def _error_of(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found: dict[str, Any] = answer.json()
            str(found["error"]["message"]), str(found["error"]["field"])
        except (ValueError, KeyError, TypeError):
            self._not_ours(answer)
        return found

    def _not_ours(self, answer: httpx.Response) -> NoReturn:
        """End the command: the response is not one of the accounts service."""
        status = answer.status_code
        if status in _BY_A_PROXY:
            fail(
                f"{self._url} answered {status}: a proxy there does not reach the accounts"
                " service. Start it, or name its own address in RINGFENCE_API.",
                EXIT_UNREACHABLE,
            )
        fail(
            f"{self._url} gave an answer that is not ringfence's ({status}): is RINGFENCE_API"
            " right? It is the address of the accounts service, such as http://127.0.0.1:8080.",
            EXIT_UNREACHABLE if status >= 500 else EXIT_REFUSED,
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The response to GET; parameters that are None are left out."""
        return self.send("GET", path, params=given(**params))

    def find(self, path: str) -> dict[str, Any] | None:
        """The response to GET; None for 404."""
        answer = self._request("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            self._error_of(answer)  # Another server's 404 says nothing about a client.
            return None
        return self._accepted(answer)

    def pieces(self, path: str, **params: Any) -> Iterator[bytes]:
        """The response to GET as it comes, for one that is too large to be kept. Ends as `send`."""
        try:
            with self._http.stream("GET", path, params=given(**params)) as answer:
                if not answer.is_success:
                    answer.read()
                    self._explain(answer)
                yield from answer.iter_bytes()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            fail(_no_answer(self._url, "GET", error), EXIT_UNREACHABLE)

    def listing(self, path: str, limit: int | None = None, **params: Any) -> ListResult:
        """Up to `limit` rows of a list that is sent in pages; all rows without a limit."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        count: int | None = None
        while limit is None or len(rows) < limit:
            wanted = _PAGE if limit is None else min(limit - len(rows), _PAGE)
            page = self._page(path, cursor=cursor, limit=wanted, **params)
            rows += page["items"]
            if page.get("count") is not None:
                count = page["count"]
            cursor = page.get("next")
            if cursor is None:
                break
        # Rows may be added or removed between pages: never print "312 of 311".
        total = None if count is None else max(count, len(rows))
        return ListResult(rows, total, cursor is not None)

    def _page(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._request("GET", path, params=given(**params))
        found = self._accepted(answer)
        if not isinstance(found.get("items"), list):
            self._not_ours(answer)
        return found

    def pages(self, path: str, limit: int, **params: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of `listing`."""
        yield from self.listing(path, limit, **params).rows


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are given: those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def path_of(*parts: str) -> str:
    """A path from its parts. Each part is quoted, so typed text cannot add a part.

    Ends the command for a part that no id can be, and that would make the path another one.
    """
    for part in parts:
        if part in ("", ".", "..") or "/" in part:
            fail(
                f"got {part!r}, expected an id: letters, digits, dots, dashes and underscores,"
                " at most 100 of them"
            )
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def api_client() -> ApiClient:
    """A client from RINGFENCE_API and RINGFENCE_TOKEN, else from the stack that runs here.

    A token of the environment is never sent to an address from a file.
    """
    url, token = os.environ.get("RINGFENCE_API"), os.environ.get("RINGFENCE_TOKEN")
    stack = {} if url and token else stack_file.read()
    if not url and token and (found := _stack_url(stack)):
        fail(
            "RINGFENCE_TOKEN is set and RINGFENCE_API is not: the token is not sent to an address"
            f" that is in a file. Set RINGFENCE_API too, such as to {found}, or unset"
            " RINGFENCE_TOKEN to use the token of the stack."
        )
    url = url or _stack_url(stack)
    if not url:
        fail(
            "where is the API? Set RINGFENCE_API, such as http://127.0.0.1:8080, or run this "
            "where `make run` or `ringfence up` was started.",
            EXIT_UNREACHABLE,
        )
    token = token or _stack_token(stack)
    if not token:
        fail("set RINGFENCE_TOKEN to a token of the API (RINGFENCE_ACCOUNTS_TOKENS has them).")
    api = ApiClient(url, token)
    click.get_current_context().call_on_close(api.close)
    return api


def _stack_url(stack: Mapping[str, Any]) -> str:
    port = stack.get("ports", {}).get("accounts")
    return stack.get("api") or (f"http://127.0.0.1:{port}" if port else "")


def _stack_token(stack: Mapping[str, Any]) -> str:
    """The stack's token, or the first one of its tokens file (`name:token,…`).

    Ends the command for a tokens file outside of the stack's folder: no stack file can have a
    command send a piece of any other file.
    """
    file, found = stack.get("tokens_file"), stack_file.find()
    if stack.get("token") or not file or found is None:
        return str(stack.get("token") or "")
    if not Path(file).resolve().is_relative_to(found.parent.resolve()):
        fail(
            f"{file} is not read, because it is outside of the stack's folder {found.parent}: set"
            " RINGFENCE_API and RINGFENCE_TOKEN."
        )
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    first = text.replace(",", "\n").strip().partition("\n")[0]
    return first.partition(":")[2].strip()


def _no_address(url: str) -> str:
    return f"RINGFENCE_API: got {url!r}, expected an address such as http://127.0.0.1:8080"


def _no_answer(url: str, method: str, error: Exception) -> str:
    """Why a server gave no answer, in words; and for a change, that it may have been made."""
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return _no_address(url)
    why = "the connection broke"
    begun = True
    if isinstance(error, httpx.ConnectTimeout):
        begun, why = False, "the host does not answer"
    elif isinstance(error, httpx.ConnectError):
        begun = False
        why = next(
            (words for part, words in _REASONS.items() if part in str(error)), "no connection"
        )
    elif isinstance(error, httpx.TimeoutException):
        why = f"nothing came within {_TIMEOUT_S:.0f} s"
    if begun and method != "GET":
        why += "; the change may have been made: look before you repeat it"
    return (
        f"no answer from {url}: {why}. Start the accounts service (`make run` starts"
        " everything), or name another in RINGFENCE_API."
    )


def fail(message: str, status: int = EXIT_REFUSED) -> NoReturn:
    """End the command with a message for people on standard error."""
    click.echo(wrapped(f"ringfence: {message}", sys.stderr), err=True)
    raise SystemExit(status)
