"""HTTP to a PBX: every answer is safe to use, or the request fails with httpx.HTTPError.

httpx expects well-formed answers. A `Set-Cookie` with a byte over 127 makes the next request
impossible to write (UnicodeEncodeError), a `Location` that is no URL may raise although redirects
are not followed, and a compressed body has no size limit. Such an error would end the process, and
with it the work for all other servers. So the transport checks and cleans every answer, and
`PbxClient.send` maps any other error to an httpx.HTTPError.

The functions below it are what the clients of all vendors share: reading a bounded body, mapping
errors and statuses to Retry, and quoting an answer without secrets.
"""

import ssl
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.throttle import Throttled

_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09}
_PLAIN = ("", "identity")
_Pairs = list[tuple[bytes, bytes]]


@cache
def tls() -> ssl.SSLContext:
    """The process's TLS context. It verifies certificates; SSL_CERT_FILE may name a private CA."""
    return httpx.create_ssl_context()


class PbxClient(httpx.AsyncClient):
    """An AsyncClient whose requests raise only httpx.HTTPError, whatever the server answers.

    It asks for uncompressed bodies, follows no redirects, verifies TLS, and ignores the
    environment: a proxy variable would mount a transport beside `transport`.
    """

    def __init__(
        self,
        *,
        headers: dict[str, str],
        timeout_s: float,
        base_url: str = "",
        auth: httpx.Auth | None = None,
        connections: int = 100,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(
            base_url=base_url,
            auth=auth,
            headers={"Accept-Encoding": "identity", **headers},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            transport=_CleanAnswers(transport or plain_transport(connections)),
        )

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """As AsyncClient.send; any other error than httpx.HTTPError becomes RemoteProtocolError."""
        try:
            return await super().send(request, **how)
        except httpx.HTTPError:
            raise
        except Exception as error:
            reason = f"an answer that cannot be understood ({type(error).__name__})"
            raise httpx.RemoteProtocolError(reason, request=request) from None


def plain_transport(connections: int) -> httpx.AsyncHTTPTransport:
    """A transport with at most `connections` connections that verifies TLS."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncHTTPTransport(verify=tls(), limits=limits)


class _CleanAnswers(httpx.AsyncBaseTransport):
    """Cleans the headers of answers, and refuses compressed bodies and invalid redirects.

    A cookie that could not be sent back is dropped. In other headers, a byte that is not printable
    ASCII becomes a question mark.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer. Raises RemoteProtocolError for one that is refused."""
        response = await self._inner.handle_async_request(request)
        clean = httpx.Response(
            response.status_code,
            headers=_clean_headers(response.headers.raw),
            stream=response.stream,
            extensions=response.extensions,
        )
        if why := _unusable(request, clean):
            await response.aclose()
            raise httpx.RemoteProtocolError(why, request=request)
        return clean

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _clean_headers(raw: _Pairs) -> _Pairs:
    return [
        (name, value if plain else bytes(b if b in _PRINTABLE else 0x3F for b in value))
        for name, value in raw
        if (plain := _PRINTABLE.issuperset(value)) or name.lower() != b"set-cookie"
    ]


def _unusable(request: httpx.Request, answer: httpx.Response) -> str:
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _PLAIN:
        return f"Content-Encoding {coding[:40]!r}, though an uncompressed body was asked for"
    if 300 <= answer.status_code < 400 and not _is_url(request, answer):
        return "a redirect to what is no address"
    return ""


def _is_url(request: httpx.Request, answer: httpx.Response) -> bool:
    location = answer.headers.get("location", "")
    try:
        request.url.join(location)
        urlsplit(location)
    except (httpx.InvalidURL, ValueError, TypeError):
        return False
    return True


async def read_body(
    pieces: AsyncIterable[bytes],
    max_bytes: int,
    *,
    begun: bytes = b"",
    on_piece: Callable[[], None] | None = None,
) -> bytes:
    """A body that started with `begun`; `on_piece` is called after each further piece.

    Reading stops after more than `max_bytes`, so a longer result is the beginning of a longer body.
    """
    body = bytearray(begun)
    async for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            break
        if on_piece:
            on_piece()
    return bytes(body)


@contextmanager
def errors_as_retry(name: str, limit: str, quote: Callable[[str], str]) -> Iterator[None]:
    """Raise a timeout or an httpx.HTTPError as Retry.

    `name` names the server, `limit` the time limit in words ("within 30 s"), and `quote` removes
    secrets from the text of an error.
    """
    try:
        yield
    except (httpx.TimeoutException, TimeoutError):
        raise Retry(f"{name}: no answer {limit}") from None
    except httpx.HTTPError as error:
        raise Retry(
            f"{name}: {type(error).__name__} {quote(str(error) or 'disconnected')}"
        ) from None


def check_available(name: str, status: int, retry_after_s: float | None, *, path: str = "") -> None:
    """Raise Retry for a status that means "try later": 408, 425, 429 and every 5xx.

    Raises Throttled, a Retry, for a 429 or 503 with a `Retry-After`. The message has the server's
    `name` and, if given, the `path` of the request.
    """
    asked = f" on {path}" if path else ""
    if status in (429, 503) and retry_after_s is not None:
        reason = f"{name}: status {status}{asked}, again in {retry_after_s:g} s"
        raise Throttled(reason, retry_after_s)
    if status >= 500 or status in (408, 425, 429):
        raise Retry(f"{name}: status {status}{asked}")


def quoted(text: str, *secrets: str) -> str:
    """The first 200 characters of a server's text, with each of our secrets replaced by `***`."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return shown(text.strip(), 200)
