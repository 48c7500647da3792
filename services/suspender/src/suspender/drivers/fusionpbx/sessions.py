"""The logins that the FusionPBX driver keeps: one for the whole server, and some to move about in.

FusionPBX answers one request of a login at a time, and extensions are switched only within the
domain that the login is in. So there are several: one for lists of the whole server, one that
works on gateways alone (their answers are shown on its next page), and up to `concurrency` that are
lent out to whoever works in a tenant's domain.
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
"""After so many tenants without an answer, the rest of them are not asked in this turn."""
_Until = Callable[[Mapping[str, ListedRow]], bool]


class Sessions:
    """All logins at one server; together they have at most `concurrency` requests under way."""

    def __init__(self, server_id: str, server: FusionPbxServer) -> None:
        self.server_id = server_id
        self.server = server
        self._slots = asyncio.Semaphore(server.concurrency)
        self._domains: dict[str, str] = {}
        self._domains_lock = asyncio.Lock()
        self._kept: dict[tuple[str, str], FusionPbxSession] = {}
        self._movers: list[FusionPbxSession] = []
        self._free: list[FusionPbxSession] = []
        self._returned = asyncio.Condition()
        self._places: dict[FusionPbxSession, str] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        for session in [*self._kept.values(), *self._movers]:
            await session.aclose()

    def of_server(self, tenant: str, use: str = "lists") -> FusionPbxSession:
        """The login for what belongs to the whole server, one for each `use`.

        Without a key for all tenants it is that of the server's host, or of this tenant.
        """
        host = self.server.host
        if not self.server.all_tenants:
            host = host or tenant
        return self._keep(host or "", use)

    def own(self, tenant: str) -> FusionPbxSession:
        """The login that speaks for a tenant: the server's, or the one with the tenant's key."""
        return self.of_server(tenant) if self.server.all_tenants else self._keep(tenant, "lists")

    def _keep(self, host: str, use: str) -> FusionPbxSession:
        key = (host, use)
        if key not in self._kept:
            self._kept[key] = self._open(host)
        return self._kept[key]

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
        """A login that is in the tenant's domain, nobody else's meanwhile.

        Raises Refused when the domain cannot be entered.
        """
        if not self.server.all_tenants:
            yield self.own(tenant)
            return
        async with self._lent(tenant) as session:
            async with self._domains_lock:  # one list of domains serves all that wait for it
                await session.domain_uuid(tenant)
            await session.enter(tenant)
            self._places[session] = tenant
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
        at_home = [session for session in self._free if self._places.get(session) == tenant]
        if at_home or self._free:
            session = (at_home or self._free)[0]
            self._free.remove(session)
            return session
        session = self._open(self.server.host or "")
        self._movers.append(session)
        return session

    async def everybodys(self, kind: Kind, until: _Until) -> tuple[dict[str, ListedRow], bool]:
        """The rows of all tenants' list, several pages at once; and whether the list ended.

        Reading stops once `until` is true of the rows so far.
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
    """All results; when one fails, the others are waited for before its error is raised."""
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
    """The results by tenant; one that fails is its own failure. See `UNANSWERED_IN_A_ROW`."""
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
