"""Les.net: fetching CDR files over HTTP, only when they changed, and only whole."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from cdr_ingest.lesnet.validators import Validators
from ringfence_contracts.errors import BadInput, Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import PbxClient
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.servers import LesnetLink, LesnetServer
from ringfence_pbx.throttle import Throttled, retry_after_s

MAX_DOWNLOAD_S = 900.0
_MAX_VALIDATOR = 1000


@dataclass(frozen=True)
class Fetched:
    """A file as it came: whole, as far as HTTP can tell."""

    body: bytes
    validators: Validators


class LesnetFiles:
    """The CDR files of one account at Les.net. Raises BadInput for a link that can not be used.

    Redirects are not followed, TLS is verified, and no message holds a URL's query.
    """

    def __init__(self, server_id: str, server: LesnetServer, profile: Profile) -> None:
        for link in server.links:
            _check(server_id, link, profile)
        self.server_id = server_id
        self._server = server
        self._auth = {
            link.known_as: httpx.BasicAuth(link.user, link.password.read().get_secret_value())
            for link in server.links
            if link.password is not None
        }
        self._slots = asyncio.Semaphore(server.concurrency)
        # Compressed, a body could not be held against its Content-Length, nor bounded on the way.
        self._client = PbxClient(headers={"User-Agent": "ringfence/1"}, timeout_s=server.timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fetch(
        self, link: LesnetLink, known: Validators, on_piece: Callable[[], None]
    ) -> Fetched | None:
        """The file, or None if it is still the known one; `on_piece` is called as it comes.

        Errors: Retry (Throttled where the server says for how long) when the server or the way to
        it is unwell, or the body broke off; Refused when it says no, sends a web page, redirects,
        or the file is larger than `max_bytes`.
        """
        name, auth = self._name(link), self._auth.get(link.known_as)
        try:
            async with (
                self._slots,
                asyncio.timeout(MAX_DOWNLOAD_S),
                self._client.stream(
                    "GET", link.url, headers=known.headers(), auth=auth
                ) as response,
            ):
                if response.status_code == 304:
                    return None
                self._sound(name, response)
                return Fetched(await self._whole(name, response, on_piece), _validators(response))
        except (httpx.TimeoutException, TimeoutError):
            raise Retry(f"{name}: no answer in time") from None
        except httpx.HTTPError as error:
            # Cut off against its Content-Length, a body ends here too.
            said = str(error).replace(link.url, link.known_as)
            raise Retry(f"{name}: {type(error).__name__} {shown(said, 200)}") from None

    def _name(self, link: LesnetLink) -> str:
        return f"{self.server_id} {link.known_as}"

    def _sound(self, name: str, response: httpx.Response) -> None:
        status = response.status_code
        if status in (429, 503) and (after_s := retry_after_s(response.headers)) is not None:
            raise Throttled(f"{name}: status {status}, again in {after_s:g} s", after_s)
        if status >= 500 or status in (408, 425, 429):
            raise Retry(f"{name}: status {status}")
        if 300 <= status < 400:
            host = urlsplit(response.headers.get("location", "")).hostname or "another path"
            raise Refused(f"{name}: redirects to {shown(host)}: correct the link's url")
        if status in (401, 403):
            raise Refused(f"{name}: status {status}: the file is protected; see user and password")
        if status != 200:
            raise Refused(f"{name}: status {status}: correct the link's url")
        if "html" in response.headers.get("content-type", ""):
            raise Refused(f"{name}: sends a web page, not a CDR file: does it want a login?")
        if _length(response) > self._server.max_bytes:
            raise self._too_large(name)

    async def _whole(
        self, name: str, response: httpx.Response, on_piece: Callable[[], None]
    ) -> bytes:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self._server.max_bytes:
                raise self._too_large(name)
            on_piece()
        return bytes(body)

    def _too_large(self, name: str) -> Refused:
        return Refused(f"{name}: larger than {self._server.max_bytes} bytes: see max_bytes")


def _check(server_id: str, link: LesnetLink, profile: Profile) -> None:
    """What the profile leaves to the link has to stand there."""
    where = f"{server_id}: link {link.known_as}"
    if profile.tenant == "link" and not link.peer:
        raise BadInput(where, "no peer", "a peer, for the profile takes it from the link")
    by_link = profile.direction.rule == "did" and profile.columns.did is None
    if by_link and not link.dids:
        raise BadInput(where, "no dids", "DIDs, for the profile tells directions by them")


def _validators(response: httpx.Response) -> Validators:
    """Kept only for a body that is sure to be whole: one cut off must not count as known."""
    headers = response.headers
    framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "")
    if not framed:
        return Validators()
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    return Validators(etag[:_MAX_VALIDATOR], modified[:_MAX_VALIDATOR])


def _length(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 16 else 0
