"""The logins of the FusionPBX driver: some for the whole server, and a pool that enters domains.

FusionPBX answers one request of a login at a time, and a login can switch extensions only within
the domain that it has entered. So there are several: one for lists of the whole server, one for
gateways only (its next page shows their answers), and a pool of up to `concurrency` logins for work
in tenants' domains.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from ringfence_contracts.errors import Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.lists import MAX_PAGES
from ringfence_pbx.fusionpbx.session import FusionPbxSession, Kind, ListedRow
from ringfence_pbx.servers import FusionPbxServer
from suspender.drivers.driver import Failure, OperatorMustAct

T = TypeVar("T")
UNANSWERED_IN_A_ROW = 3
"""After this many tenants in a row without an answer, the remaining tenants are not tried."""
_Until = Callable[[Mapping[str, ListedRow]], bool]


class Sessions:
    """All logins at one server; together they send at most `concurrency` requests at a time."""

    def __init__(self, server_id: str, server: FusionPbxServer) -> None:
        self.server_id = server_id
        self.server = server
        self._slots = asyncio.Semaphore(server.concurrency)
        self._domains: dict[str, str] = {}
        self._domains_lock = asyncio.Lock()
        self._sessions: dict[tuple[str, str], FusionPbxSession] = {}
        self._movers: list[FusionPbxSession] = []
        self._free: list[FusionPbxSession] = []
        self._returned = asyncio.Condition()
        self._domain_of: dict[FusionPbxSession, str] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        for session in [*self._sessions.values(), *self._movers]:
            await session.aclose()

    def of_server(self, tenant: str, use: str = "lists") -> FusionPbxSession:
        """The login for the whole server, one for each `use`.

        Without a key for all tenants it is the login of the server's host, or of this tenant.
        """
        host = self.server.host
        if not self.server.all_tenants:
            host = host or tenant
        return self._session(host or "", use)

    def own(self, tenant: str) -> FusionPbxSession:
        """The login for a tenant: the server's, or the one with the tenant's own key."""
        return self.of_server(tenant) if self.server.all_tenants else self._session(tenant, "lists")

    def _session(self, host: str, use: str) -> FusionPbxSession:
        key = (host, use)
        if key not in self._sessions:
            self._sessions[key] = self._open(host)
        return self._sessions[key]

    def _open(self, host: str) -> FusionPbxSession:
        return FusionPbxSession(
            self.server_id,
            self.server,
            host=host or None,
            slots=self._slots,
            domains=self._domains,
        )

    @asynccontextmanager
    async def within(self, tenant: str) -> AsyncIterator[FusionPbxSession]:
        """A login that has entered the tenant's domain, for exclusive use.

        Raises Refused when the domain cannot be entered.
        """
        if not self.server.all_tenants:
            yield self.own(tenant)
            return
        async with self._lent(tenant) as session:
            async with self._domains_lock:  # one list of domains serves all waiting callers
                await session.domain_uuid(tenant)
            await session.enter(tenant)
            self._domain_of[session] = tenant
            yield session

    @asynccontextmanager
    async def _lent(self, tenant: str) -> AsyncIterator[FusionPbxSession]:
        async with self._returned:
            await self._returned.wait_for(
                lambda: bool(self._free) or len(self._movers) < self.server.concurrency
            )
            session = self._take(tenant)
        try:
            yield session
        finally:
            async with self._returned:
                self._free.append(session)
                self._returned.notify()

    def _take(self, tenant: str) -> FusionPbxSession:
        in_domain = [session for session in self._free if self._domain_of.get(session) == tenant]
        if in_domain or self._free:
            session = (in_domain or self._free)[0]
            self._free.remove(session)
            return session
        session = self._open(self.server.host or "")
        self._movers.append(session)
        return session

    async def rows_of_all_tenants(
        self, kind: Kind, until: _Until
    ) -> tuple[dict[str, ListedRow], bool]:
        """The rows of all tenants, several pages at a time, and whether the list ended.

        Reading stops once `until` is true for the rows so far.
        """
        rows: dict[str, ListedRow] = {}
        begin, width = 0, 1
        while begin < MAX_PAGES:
            pages = await gathered(
                *(self._page(kind, number) for number in range(begin, begin + width))
            )
            for page in pages:
                new = page.keys() - rows.keys()
                rows |= page
                if not new:
                    return rows, True
            if until(rows):
                return rows, False
            begin, width = begin + width, self.server.concurrency
        raise Retry(f"{self.server_id}: the list of {kind} has no end")

    async def _page(self, kind: Kind, number: int) -> dict[str, ListedRow]:
        async with self._lent("") as session:
            return await session.list_page(kind, number, all_tenants=True)


async def gathered(*work: Awaitable[T]) -> list[T]:
    """All results. If one fails, its error is raised after all others have ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    found: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


async def each_tenant(
    tenants: Collection[str], work: Callable[[str], Awaitable[T]]
) -> tuple[dict[str, T], dict[str, Failure]]:
    """The results and the failures by tenant. See `UNANSWERED_IN_A_ROW`."""
    results: dict[str, T] = {}
    failures: dict[str, Failure] = {}
    unanswered: list[Retry] = []

    async def one(tenant: str) -> None:
        if len(unanswered) >= UNANSWERED_IN_A_ROW:
            failures[tenant] = unanswered[-1]
            return
        try:
            results[tenant] = await work(tenant)
        except (Refused, OperatorMustAct) as error:
            failures[tenant] = OperatorMustAct(str(error))
        except Retry as error:
            failures[tenant] = error
            unanswered.append(error)
            return
        unanswered.clear()

    await gathered(*(one(tenant) for tenant in tenants))
    return results, failures
