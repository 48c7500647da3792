"""How the commands reach the front door, and what they say when it refuses or does not answer."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import click
import httpx

EXIT_REFUSED = 2
EXIT_UNREACHABLE = 3
_STACK = Path(".ringfence") / "stack.json"
_TIMEOUT_S = 300.0
_PAGE = 500


class FrontDoor:
    """The REST API. Every refusal ends the command: what was wrong, and what to do next."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_TIMEOUT_S, connect=5.0),
        )

    def ask(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        """Send a request; its answer. Ends the command with 2 if refused, 3 if not reached."""
        answer = self._send(method, path, **sent)
        if not answer.is_success:
            _explain(answer)
        found: dict[str, Any] = answer.json()
        return found

    def _send(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **sent)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            fail(
                f"no answer from {self._url} ({type(error).__name__}). Start the accounts service "
                "(`make run` starts everything), or name another in RINGFENCE_API.",
                EXIT_UNREACHABLE,
            )

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Ask a question."""
        return self.ask("GET", path, params={k: v for k, v in params.items() if v is not None})

    def find(self, path: str) -> dict[str, Any] | None:
        """Something that may not exist yet: None then."""
        if self._send("GET", path).status_code == httpx.codes.NOT_FOUND:
            return None
        return self.ask("GET", path)

    def pages(self, path: str, limit: int, **params: Any) -> Iterator[dict[str, Any]]:
        """Up to `limit` rows of a question that is answered in pages."""
        cursor: str | None = None
        left = limit
        while left > 0:
            page = self.get(path, cursor=cursor, limit=min(left, _PAGE), **params)
            yield from page["items"]
            left -= len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return


def path_of(*parts: str) -> str:
    """A path from its parts; what people type stays within its own part."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def front_door() -> FrontDoor:
    """From RINGFENCE_API and RINGFENCE_TOKEN, or else from the stack that runs here."""
    stack = _running_stack()
    url = os.environ.get("RINGFENCE_API") or _stack_url(stack)
    if not url:
        fail(
            "where is the API? Set RINGFENCE_API, such as http://127.0.0.1:8080, or run this "
            "where `make run` was started.",
            EXIT_UNREACHABLE,
        )
    token = os.environ.get("RINGFENCE_TOKEN") or _stack_token(stack)
    if not token:
        fail("set RINGFENCE_TOKEN to a token of the API (RINGFENCE_ACCOUNTS_TOKENS has them).")
    door = FrontDoor(url, token)
    click.get_current_context().call_on_close(door.close)
    return door


def _running_stack() -> Mapping[str, Any]:
    """`.ringfence/stack.json` of this folder or of one above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / _STACK
        if file.is_file():
            try:
                found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                fail(f"{file} can not be read: {error}")
            return found
    return {}


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
        fail(f"{file} can not be read: {error.strerror}")
    first = text.replace(",", "\n").strip().partition("\n")[0]
    return first.partition(":")[2].strip()


def _explain(answer: httpx.Response) -> NoReturn:
    """Say why an answer is no success."""
    try:
        error = answer.json()["error"]
        message = str(error["message"])
    except (ValueError, KeyError, TypeError):
        fail(f"an answer that is not ringfence's ({answer.status_code}): is RINGFENCE_API right?")
    for row in error.get("rows", []):
        value = row["value"]
        place = f"line {row['line']}: {row['field']}"
        click.echo(f"  {place}: got {value!r}, expected {row['expected']}", err=True)
    if answer.status_code == 401:
        message = "the API does not know this token: set RINGFENCE_TOKEN."
    status = EXIT_UNREACHABLE if answer.status_code >= 500 else EXIT_REFUSED
    fail(message, status)


def fail(message: str, status: int = EXIT_REFUSED) -> NoReturn:
    """End the command with a message for people on standard error."""
    click.echo(f"ringfence: {message}", err=True)
    raise SystemExit(status)
