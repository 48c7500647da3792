"""The API as the commands use it: its address and token, requests, and error messages."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import click
import httpx

from ringfence import stack_file

EXIT_REFUSED = 2
EXIT_UNREACHABLE = 3
_TIMEOUT_S = 300.0
_PAGE = 500


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
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_TIMEOUT_S, connect=5.0),
        )

    def send(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        """Send a request; its response. Ends the command with 2 if refused, 3 if not reached."""
        answer = self._request(method, path, **sent)
        if not answer.is_success:
            _explain(answer)
        found: dict[str, Any] = answer.json()
        return found

    def attempt(self, method: str, path: str, **sent: Any) -> dict[str, Any] | ApiRefusal:
        """Send a request that may be refused: 404, 409 and 422 are returned as an ApiRefusal."""
        answer = self._request(method, path, **sent)
        if answer.status_code not in (404, 409, 422):
            if not answer.is_success:
                _explain(answer)
            found: dict[str, Any] = answer.json()
            return found
        return ApiRefusal(_message(_error_of(answer)))

    def _request(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **sent)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            fail(
                f"no answer from {self._url} ({type(error).__name__}). Start the accounts service "
                "(`make run` starts everything), or name another in RINGFENCE_API.",
                EXIT_UNREACHABLE,
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
            return None
        if not answer.is_success:
            _explain(answer)
        found: dict[str, Any] = answer.json()
        return found

    def listing(self, path: str, limit: int | None = None, **params: Any) -> ListResult:
        """Up to `limit` rows of a list that is sent in pages; all rows without a limit."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        count: int | None = None
        while limit is None or len(rows) < limit:
            wanted = _PAGE if limit is None else min(limit - len(rows), _PAGE)
            page = self.get(path, cursor=cursor, limit=wanted, **params)
            rows += page["items"]
            # Rows may be added or removed between pages: never print "312 of 311".
            count = None if "count" not in page else max(page["count"], len(rows))
            cursor = page.get("next")
            if cursor is None:
                break
        return ListResult(rows, count, cursor is not None)

    def pages(self, path: str, limit: int, **params: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of `listing`."""
        yield from self.listing(path, limit, **params).rows


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are given: those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def path_of(*parts: str) -> str:
    """A path from its parts. Each part is quoted, so typed text cannot add a part."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def api_client() -> ApiClient:
    """A client from RINGFENCE_API and RINGFENCE_TOKEN, else from the stack that runs here."""
    stack = stack_file.read()
    url = os.environ.get("RINGFENCE_API") or _stack_url(stack)
    if not url:
        fail(
            "where is the API? Set RINGFENCE_API, such as http://127.0.0.1:8080, or run this "
            "where `make run` or `ringfence up` was started.",
            EXIT_UNREACHABLE,
        )
    token = os.environ.get("RINGFENCE_TOKEN") or _stack_token(stack)
    if not token:
        fail("set RINGFENCE_TOKEN to a token of the API (RINGFENCE_ACCOUNTS_TOKENS has them).")
    api = ApiClient(url, token)
    click.get_current_context().call_on_close(api.close)
    return api


def _stack_url(stack: Mapping[str, Any]) -> str:
    port = stack.get("ports", {}).get("accounts")
    return stack.get("api") or (f"http://127.0.0.1:{port}" if port else "")


def _stack_token(stack: Mapping[str, Any]) -> str:
    """The stack's token, or the first one of its tokens file (`name:token,…`)."""
    file = stack.get("tokens_file")
    if stack.get("token") or not file:
        return str(stack.get("token") or "")
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    first = text.replace(",", "\n").strip().partition("\n")[0]
    return first.partition(":")[2].strip()


def _explain(answer: httpx.Response) -> NoReturn:
    """End the command with why the response is an error, and what to do."""
    error = _error_of(answer)
    for row in error.get("rows", []):
        value = row["value"]
        where = f"line {row['line']}: {row['field']}"
        click.echo(f"  {where}: got {value!r}, expected {row['expected']}", err=True)
    message = _message(error)
    if answer.status_code == 401:
        message = "the API does not know this token: set RINGFENCE_TOKEN."
    status = EXIT_UNREACHABLE if answer.status_code >= 500 else EXIT_REFUSED
    fail(message, status)


def _error_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        error: dict[str, Any] = answer.json()["error"]
        str(error["message"])
    except (ValueError, KeyError, TypeError):
        fail(f"an answer that is not ringfence's ({answer.status_code}): is RINGFENCE_API right?")
    return error


def _message(error: Mapping[str, Any]) -> str:
    """The error message in terms of commands, without the address of a resource."""
    message = str(error["message"])
    if error.get("field") == "client" and "there is no" in message:
        return (
            f"there is no client {error.get('value')!r}: `ringfence client list --search TEXT`"
            " looks for one, `ringfence client set ACCOUNT …` creates one"
        )
    return message


def fail(message: str, status: int = EXIT_REFUSED) -> NoReturn:
    """End the command with a message for people on standard error."""
    click.echo(f"ringfence: {message}", err=True)
    raise SystemExit(status)
