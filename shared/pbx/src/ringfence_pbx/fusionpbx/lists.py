"""A login at a FusionPBX that reads its lists, posts to them, and moves between domains."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ringfence_contracts.errors import Retry, RingfenceError, shown
from ringfence_pbx.fusionpbx.connection import Fields, FormData, FusionPbxConnection, PageResponse
from ringfence_pbx.fusionpbx.pages import PATHS, Kind, ListedRow, Token, find_token, read_list
from ringfence_pbx.servers import FusionPbxServer

MAX_PAGES = 2000
"""A list of more pages than this is taken for one that never ends."""

NO_ROW = "ringfence-finds-no-row"
"""A search that finds nothing: the page still has a token, and asks the switch nothing."""

_Asking = Callable[[str, str, Fields], Awaitable[PageResponse]]
_Until = Callable[[Mapping[str, ListedRow]], bool]


@dataclass(frozen=True)
class ListedRows:
    """The rows of a list by uuid, and whether all of its pages were read."""

    rows: dict[str, ListedRow]
    is_whole: bool = True


@dataclass
class _HeldToken:
    token: Token
    login: int
    is_used: bool = False


class ListSession:
    """One login of a server's api key; it logs in when first used, and again when that was lost.

    `host` is sent as the Host header: it names the domain in which FusionPBX looks the key up.
    With another `tenant`, a superadmin's session enters that domain, so that its extensions can be
    switched; `enter` changes it. `slots` bounds the requests under way, and may be shared by
    sessions of one server, as may `domains`, the uuids of domains by name.

    Errors: Retry when the server or the way to it fails, Refused when it says no.
    """

    def __init__(
        self,
        server_id: str,
        server: FusionPbxServer,
        *,
        host: str | None = None,
        tenant: str | None = None,
        slots: asyncio.Semaphore | None = None,
        domains: dict[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = (host or "").lower()
        self._tenant = (tenant or "").lower() or self._home
        self._inside = ""
        self._domains = {} if domains is None else domains
        self._tokens: dict[str, _HeldToken] = {}
        # A message is shown once, on the session's next page, whichever that is.
        self._page_lock = asyncio.Lock()
        self._connection = FusionPbxConnection(
            server_id,
            server,
            host=host,
            slots=slots,
            enter=self._logged_in,
            monotonic=monotonic,
        )

    @property
    def name(self) -> str:
        """The server's id and the host name, as errors name it."""
        return self._connection.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    def refused(self, what: str) -> RingfenceError:
        """A refusal that names the server."""
        return self._connection.refused(what)

    def unexpected(self, what: str, answer: PageResponse) -> Retry:
        """The verdict on an answer that is neither what was asked for nor a known refusal."""
        return self._connection.unexpected(what, answer)

    async def page(
        self, method: str, path: str, params: Fields | None = None, form: FormData | None = None
    ) -> PageResponse:
        """Any page within the session; what it means is for the caller to say."""
        async with self._page_lock:
            answer = await self._connection.request(method, path, params, form)
            self._note_token(path, answer)
        return answer

    async def list_rows(
        self,
        kind: Kind,
        *,
        all_tenants: bool = False,
        search: str = "",
        order_by: str = "",
        until: _Until | None = None,
    ) -> ListedRows:
        """The rows of a list by uuid (of all tenants: a superadmin only).

        `search` narrows it to rows that hold this text, in their name or another of their columns:
        a list of gateways asks the switch once for each row. `order_by` names a column. A list
        comes in pages; reading stops once `until` is true of the rows so far.
        """
        async with self._page_lock:
            return await self._list(
                self._connection.request, kind, _narrowed(all_tenants, search, order_by), until
            )

    async def list_page(
        self, kind: Kind, number: int, *, all_tenants: bool = False
    ) -> dict[str, ListedRow]:
        """One page of a list, from 0."""
        async with self._page_lock:
            given = _narrowed(all_tenants, "", "")
            return await self._page(self._connection.request, kind, given, number)

    async def _list(
        self, ask: _Asking, kind: Kind, given: Fields, until: _Until | None = None
    ) -> ListedRows:
        rows: dict[str, ListedRow] = {}
        for number in range(MAX_PAGES):
            page = await self._page(ask, kind, given, number)
            new = page.keys() - rows.keys()
            rows |= page
            if not new:
                return ListedRows(rows)
            if until and until(rows):
                return ListedRows(rows, is_whole=False)
        raise Retry(f"{self.name}: the list of {kind} has no end")

    async def _page(
        self, ask: _Asking, kind: Kind, given: Fields, number: int
    ) -> dict[str, ListedRow]:
        answer = await ask("GET", PATHS[kind], {"page": str(number), **given})
        page = read_list(answer.text, kind, show_all=given.get("show") == "all")
        if page is None:
            raise self._no_list(kind, answer)
        if page.token is None:  # it comes after the last row
            raise Retry(f"{self.name}: the list of {kind} broke off, or has no form token")
        self._note_token(PATHS[kind], answer, page.token)
        return {row.uuid: row for row in page.rows}

    def _no_list(self, kind: Kind, answer: PageResponse) -> RingfenceError:
        if answer.denied or answer.redirects:
            return self.refused(f"gives the key's user no right to see {kind}")
        return self.unexpected(f"the list of {kind}", answer)

    async def toggle(self, kind: Kind, uuids: Collection[str]) -> None:
        """Flip the stored flag of each row. The answer is a redirect whether it did so or not.

        So read the list before, toggle only what differs, and read it again.
        """
        async with self._page_lock:
            await self._act(kind, "toggle", uuids)

    async def _act(self, kind: Kind, action: str, uuids: Collection[str]) -> None:
        """Post an action on rows, with a token that this login was given for that page."""
        path = PATHS[kind]
        for _ in range(2):
            await self._connection.log_in()
            if self.held_token(path) is None:
                await self._page(
                    self._connection.request, kind, {"search": NO_ROW, "show": "all"}, 0
                )
            login = self._connection.generation
            form = _ticked(kind, action, uuids, self.held_token(path))
            answer = await self._connection.send("POST", path, form=form)
            self.used_token(path)
            if not answer.lost:
                break
            self._connection.session_lost(login)
        else:
            raise self._connection.session_ended()
        if answer.denied:
            raise self.refused(f"gives the key's user no right to switch {kind}")

    def held_token(self, path: str) -> Token | None:
        """The token for a form at `path` that can still be posted, if there is one."""
        held = self._tokens.get(path)
        return held.token if held and held.login == self._connection.generation else None

    def used_token(self, path: str) -> None:
        """The token of `path` was posted: it lives on until a page with another one is shown."""
        if path in self._tokens:
            self._tokens[path].is_used = True

    def _note_token(self, path: str, answer: PageResponse, token: Token | None = None) -> None:
        """As FusionPBX does: a page with a new token ends those that were used."""
        token = token or (find_token(answer.text) if "hidden" in answer.text else None)
        if token is None:
            return
        self._tokens = {at: held for at, held in self._tokens.items() if not held.is_used}
        self._tokens[path] = _HeldToken(token, self._connection.generation)

    async def enter(self, tenant: str) -> None:
        """Make a domain the session's own, as a superadmin does by choosing it."""
        self._tenant = tenant.lower()
        async with self._page_lock:
            await self._connection.log_in()
            if self._inside != self._tenant:
                await self._change_domain()

    def forget_domain(self, tenant: str) -> None:
        """What was known of a domain turned out to be wrong: look it up and enter it again."""
        self._domains.pop(tenant.lower(), None)
        self._inside = ""

    async def _logged_in(self) -> None:
        """After each login: the session is in the key's domain, and its tokens are new."""
        self._inside = self._home
        self._tokens = {}
        if self._tenant != self._inside:
            await self._change_domain()

    async def _change_domain(self) -> None:
        """Requests as they are: this may run within the login."""
        tenant = self._tenant
        uuid = await self._domain_uuid(tenant, self._connection.send)
        change = {"domain_uuid": uuid, "domain_change": "true"}
        answer = await self._connection.send("GET", PATHS["domains"], change)
        if not answer.redirects or "domains.php" in answer.location or answer.lost:
            self._domains.pop(tenant, None)
            raise self.refused(f"does not let the key's user enter {shown(tenant)}")
        self._inside = tenant

    async def domain_uuid(self, tenant: str) -> str:
        """The uuid of a domain, from the list of domains or as it was seen there before."""
        async with self._page_lock:
            return await self._domain_uuid(tenant.lower(), self._connection.request)

    async def _domain_uuid(self, tenant: str, ask: _Asking) -> str:
        if tenant not in self._domains:
            listing = await self._list(ask, "domains", {})
            rows = listing.rows.values()
            self._domains.update({row.name.lower(): row.uuid for row in rows if row.name})
        if tenant not in self._domains:
            raise self.refused(f"has no domain {shown(tenant)}, or hides it from this key")
        return self._domains[tenant]


def _narrowed(all_tenants: bool, search: str, order_by: str) -> Fields:
    given = {"show": "all"} if all_tenants else {}
    given |= {"search": search} if search else {}
    return given | ({"order_by": order_by, "order": "asc"} if order_by else {})


def _ticked(
    kind: Kind, action: str, uuids: Collection[str], token: Token | None
) -> Sequence[tuple[str, str]]:
    """The form; the token comes first: PHP drops the end of a post with too many fields."""
    form = [("action", action)]
    if token:
        form.append((token.name, token.value))
    for number, uuid in enumerate(uuids):
        form.append((f"{kind}[{number}][checked]", "true"))
        form.append((f"{kind}[{number}][uuid]", uuid))
    return form
