"""Fetches the CDR files of Les.net over HTTP, only if they changed and only complete ones."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx

from cdr_ingest.lesnet.validators import Validators
from ringfence_contracts.errors import BadInput, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import PbxClient, check_available, errors_as_retry, read_body
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.servers import LesnetLink, LesnetServer
from ringfence_pbx.throttle import retry_after_s

MAX_DOWNLOAD_S = 900.0
_MAX_VALIDATOR = 1000


@dataclass(frozen=True)
class Fetched:
    """A downloaded file; complete, as far as HTTP can tell."""

    body: bytes
    validators: Validators


class LesnetFiles:
    """The CDR files of one account at Les.net. Raises BadInput for a link that cannot be used.

    Redirects are not followed, TLS is verified, and no message contains a URL's query.
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
        # A compressed body could not be compared with its Content-Length, and has no size limit.
        self._client = PbxClient(headers={"User-Agent": "ringfence/1"}, timeout_s=server.timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fetch(
        self, link: LesnetLink, known: Validators, on_piece: Callable[[], None]
    ) -> Fetched | None:
        """The file, or None if its version is still `known`; `on_piece` is called for each piece.

        Raises Retry when the server or the network fails or the body is incomplete (Throttled when
        the server names a pause); Refused when the server rejects the request, sends a web page or
        a redirect, or the file is larger than `max_bytes`.
        """
        name, auth = self._name(link), self._auth.get(link.known_as)
        # A body shorter than its Content-Length is an httpx.HTTPError, too.
        with errors_as_retry(name, "in time", partial(_quoted, link)):
            async with (
                self._slots,
                asyncio.timeout(MAX_DOWNLOAD_S),
                self._client.stream(
                    "GET", link.url, headers=known.headers(), auth=auth
                ) as response,
            ):
                if response.status_code == 304:
                    return None
                self._check_status(name, response)
                body = await read_body(
                    response.aiter_raw(), self._server.max_bytes, on_piece=on_piece
                )
                if len(body) > self._server.max_bytes:
                    raise self._too_large(name)
                return Fetched(body, _validators(response))

    def _name(self, link: LesnetLink) -> str:
        return f"{self.server_id} {link.known_as}"

    def _check_status(self, name: str, response: httpx.Response) -> None:
        status = response.status_code
        check_available(name, status, retry_after_s(response.headers))
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

    def _too_large(self, name: str) -> Refused:
        return Refused(f"{name}: larger than {self._server.max_bytes} bytes: see max_bytes")


def _quoted(link: LesnetLink, text: str) -> str:
    """The text of an error without the link's URL, whose query may be a secret."""
    return shown(text.replace(link.url, link.known_as), 200)


def _check(server_id: str, link: LesnetLink, profile: Profile) -> None:
    """Raise BadInput if the link lacks a value that the profile takes from it."""
    where = f"{server_id}: link {link.known_as}"
    if profile.tenant == "link" and not link.peer:
        raise BadInput(where, "no peer", "a peer, for the profile takes it from the link")
    by_link = profile.direction.rule == "did" and profile.columns.did is None
    if by_link and not link.dids:
        raise BadInput(where, "no dids", "DIDs, for the profile tells directions by them")


def _validators(response: httpx.Response) -> Validators:
    """Empty unless the body is known to be complete: a partial file must be fetched again."""
    headers = response.headers
    framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "")
    if not framed:
        return Validators()
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    return Validators(etag[:_MAX_VALIDATOR], modified[:_MAX_VALIDATOR])


def _length(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 16 else 0
