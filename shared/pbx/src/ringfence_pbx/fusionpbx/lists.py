"""A session at a FusionPBX that reads lists, posts to them, and changes the domain."""

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
"""A list with more pages than this counts as endless, and reading it fails."""

NO_ROW = "ringfence-finds-no-row"
"""A search without a result: the page has a token, but sends no request to the switch."""

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
    """One login of a server's api key; it logs in when first used, and when the session is gone.

    `host` is sent as the Host header: the domain in which FusionPBX looks the key up. With another
    `tenant`, a superadmin's session changes to that domain, so that its extensions can be switched;
    `enter` changes to another one. `slots` and `beside` limit the concurrent requests (see
    `FusionPbxConnection`). Sessions of one server may share them, and `domains`, the uuids of
    domains by name.

    Raises Retry when the server or the network fails, Refused when the server rejects a request.
    """

    def __init__(
        self,
        server_id: str,
        server: FusionPbxServer,
        *,
        host: str | None = None,
        tenant: str | None = None,
        slots: asyncio.Semaphore | None = None,
        beside: asyncio.Semaphore | None = None,
        domains: dict[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = (host or "").lower()
        self._tenant = (tenant or "").lower() or self._home
        self._inside = ""
        self._domains = {} if domains is None else domains
        self._tokens: dict[str, _HeldToken] = {}
        # FusionPBX shows a message once, on the next page that the session requests.
        self._page_lock = asyncio.Lock()
        self._connection = FusionPbxConnection(
            server_id,
            server,
            host=host,
            slots=slots,
            beside=beside,
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
        """A Refused that names the server."""
        return self._connection.refused(what)

    def unexpected(self, what: str, answer: PageResponse) -> Retry:
        """A Retry for an answer that is neither the expected page nor a known refusal."""
        return self._connection.unexpected(what, answer)

    async def page(
        self, method: str, path: str, params: Fields | None = None, form: FormData | None = None
    ) -> PageResponse:
        """Request any page within the session; the caller interprets it."""
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
        """The rows of a list by uuid. Only a superadmin may list all tenants.

        `search` limits it to rows with this text in a column, which matters for gateways: their
        page sends the switch a request for each row. `order_by` names a column. Pages are read
        until the list ends or `until` is true for the rows so far.
        """
        async with self._page_lock:
            return await self._list(
                self._connection.request, kind, _list_params(all_tenants, search, order_by), until
            )

    async def list_page(
        self, kind: Kind, number: int, *, all_tenants: bool = False
    ) -> dict[str, ListedRow]:
        """One page of a list; the first page is 0."""
        async with self._page_lock:
            given = _list_params(all_tenants, "", "")
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
        if page.token is None:  # the token is after the last row
            raise Retry(f"{self.name}: the list of {kind} broke off, or has no form token")
        self._note_token(PATHS[kind], answer, page.token)
        return {row.uuid: row for row in page.rows}

    def _no_list(self, kind: Kind, answer: PageResponse) -> RingfenceError:
        if answer.denied or answer.redirects:
            return self.refused(f"gives the key's user no right to see {kind}")
        return self.unexpected(f"the list of {kind}", answer)

    async def toggle(self, kind: Kind, uuids: Collection[str]) -> None:
        """Flip the stored flag of each row.

        The answer is the same redirect whether FusionPBX did so or not. So read the list before,
        toggle only the rows that differ, and read the list again.
        """
        async with self._page_lock:
            await self._act(kind, "toggle", uuids)

    async def _act(self, kind: Kind, action: str, uuids: Collection[str]) -> None:
        """Post an action on rows, with a token that this login received for the page."""
        path = PATHS[kind]
        for _ in range(2):
            await self._connection.log_in()
            if self.held_token(path) is None:
                await self._page(
                    self._connection.request, kind, {"search": NO_ROW, "show": "all"}, 0
                )
            login = self._connection.generation
            form = _action_form(kind, action, uuids, self.held_token(path))
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
        """A token for a form at `path` that is still valid; None without one."""
        held = self._tokens.get(path)
        return held.token if held and held.login == self._connection.generation else None

    def used_token(self, path: str) -> None:
        """Mark the token of `path` as posted. It stays valid until a page has a new token."""
        if path in self._tokens:
            self._tokens[path].is_used = True

    def _note_token(self, path: str, answer: PageResponse, token: Token | None = None) -> None:
        """Store the page's token. As in FusionPBX, a new token ends the tokens that were used."""
        token = token or (find_token(answer.text) if "hidden" in answer.text else None)
        if token is None:
            return
        self._tokens = {at: held for at, held in self._tokens.items() if not held.is_used}
        self._tokens[path] = _HeldToken(token, self._connection.generation)

    async def enter(self, tenant: str) -> None:
        """Change the session to a domain, as a superadmin does by choosing it."""
        self._tenant = tenant.lower()
        async with self._page_lock:
            await self._connection.log_in()
            if self._inside != self._tenant:
                await self._change_domain()

    def forget_domain(self, tenant: str) -> None:
        """Discard the stored uuid of a domain, so that it is looked up and entered again."""
        self._domains.pop(tenant.lower(), None)
        self._inside = ""

    async def _logged_in(self) -> None:
        """After each login: the session is in the key's domain and has no tokens."""
        self._inside = self._home
        self._tokens = {}
        if self._tenant != self._inside:
            await self._change_domain()

    async def _change_domain(self) -> None:
        """Change the domain without `request`, because this may run within the login."""
        tenant = self._tenant
        uuid = await self._domain_uuid(tenant, self._connection.send)
        change = {"domain_uuid": uuid, "domain_change": "true"}
        answer = await self._connection.send("GET", PATHS["domains"], change)
        if not answer.redirects or "domains.php" in answer.location or answer.lost:
            self._domains.pop(tenant, None)
            raise self.refused(f"does not let the key's user enter {shown(tenant)}")
        self._inside = tenant

    async def domain_uuid(self, tenant: str) -> str:
        """The uuid of a domain, from the list of domains or from an earlier look-up."""
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


def _list_params(all_tenants: bool, search: str, order_by: str) -> Fields:
    given = {"show": "all"} if all_tenants else {}
    given |= {"search": search} if search else {}
    return given | ({"order_by": order_by, "order": "asc"} if order_by else {})


def _action_form(
    kind: Kind, action: str, uuids: Collection[str], token: Token | None
) -> Sequence[tuple[str, str]]:
    """The form of an action. The token is first: PHP drops the end of a post that is too long."""
    form = [("action", action)]
    if token:
        form.append((token.name, token.value))
    for number, uuid in enumerate(uuids):
        form.append((f"{kind}[{number}][checked]", "true"))
        form.append((f"{kind}[{number}][uuid]", uuid))
    return form
