"""HTTP to a PBX: whatever it answers can be used safely, or is an httpx.HTTPError.

httpx expects answers of a sound server. A `Set-Cookie` with a byte over 127 makes the next request
impossible to write (UnicodeEncodeError), a `Location` that is no address may raise while the
redirect that nobody follows is prepared, and a compressed body has no bound. An error of such a
kind would end the process, and with it the work for all other servers. So answers are looked over
here, below all code of ours, and what is left is caught in one place.
"""

import ssl
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09}
_PLAIN = ("", "identity")
_Pairs = list[tuple[bytes, bytes]]


@cache
def tls() -> ssl.SSLContext:
    """Certificates are verified; SSL_CERT_FILE may name a private authority. One per process."""
    return httpx.create_ssl_context()


class PbxClient(httpx.AsyncClient):
    """An AsyncClient whose requests fail by httpx.HTTPError alone, whatever the server answers.

    It asks for uncompressed bodies, follows no redirect, verifies TLS, and takes nothing from the
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
            transport=_SoundAnswers(transport or plain_transport(connections)),
        )

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """As AsyncClient; an error that is no httpx.HTTPError becomes a RemoteProtocolError."""
        try:
            return await super().send(request, **how)
        except httpx.HTTPError:
            raise
        except Exception as error:
            said = f"an answer that cannot be understood ({type(error).__name__})"
            raise httpx.RemoteProtocolError(said, request=request) from None


def plain_transport(connections: int) -> httpx.AsyncHTTPTransport:
    """A transport of at most so many connections, verifying TLS."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncHTTPTransport(verify=tls(), limits=limits)


class _SoundAnswers(httpx.AsyncBaseTransport):
    """Passes on answers whose headers are plain ASCII, whose body is plain, whose Location is one.

    A cookie that could not be sent back is dropped, in other headers a byte that is no printable
    ASCII becomes a question mark.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer. Raises RemoteProtocolError for one that is refused."""
        response = await self._inner.handle_async_request(request)
        sound = httpx.Response(
            response.status_code,
            headers=_sound(response.headers.raw),
            stream=response.stream,
            extensions=response.extensions,
        )
        if why := _unusable(request, sound):
            await response.aclose()
            raise httpx.RemoteProtocolError(why, request=request)
        return sound

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _sound(raw: _Pairs) -> _Pairs:
    return [
        (name, value if plain else bytes(b if b in _PRINTABLE else 0x3F for b in value))
        for name, value in raw
        if (plain := _PRINTABLE.issuperset(value)) or name.lower() != b"set-cookie"
    ]


def _unusable(request: httpx.Request, answer: httpx.Response) -> str:
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _PLAIN:
        return f"Content-Encoding {coding[:40]!r}, though an uncompressed body was asked for"
    if 300 <= answer.status_code < 400 and not _is_address(request, answer):
        return "a redirect to what is no address"
    return ""


def _is_address(request: httpx.Request, answer: httpx.Response) -> bool:
    location = answer.headers.get("location", "")
    try:
        request.url.join(location)
        urlsplit(location)
    except (httpx.InvalidURL, ValueError, TypeError):
        return False
    return True
