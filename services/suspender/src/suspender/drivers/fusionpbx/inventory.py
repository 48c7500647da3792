"""Reads all that a FusionPBX has (tenants, extensions, DIDs, gateways), and reports what is hidden.

Pages are read one after the other. The list of gateways is slow: FusionPBX asks the switch for each
enabled gateway of a page, so the reader pauses after each of its pages.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace

from ringfence_contracts.errors import Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.destinations import Did, did_of, first_extension
from ringfence_pbx.fusionpbx.download import DESTINATION_COLUMNS, DESTINATIONS, download
from ringfence_pbx.fusionpbx.lists import MAX_PAGES
from ringfence_pbx.fusionpbx.routes import all_test_toll_allow, outbound_routes
from ringfence_pbx.fusionpbx.session import FusionPbxSession, Kind, ListedRow
from suspender.drivers.driver import Inventory, ServerItem
from suspender.drivers.fusionpbx.sessions import Sessions

_RIGHTS: dict[Kind, str] = {
    "domains": "domain_view and domain_all",
    "extensions": "extension_view and extension_all",
    "destinations": "destination_view and destination_all",
    "gateways": "gateway_view and gateway_all",
}
_MAX_REST_S = 5.0
MAX_TENANTS = 200
"""The destinations of DIDs are read for this many tenants, with two requests for each."""
_LABELS = ("effective cid name", "effective caller id name", "caller id name")


class InventoryReader:
    """All that one server has."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def read(self) -> Inventory:
        """The inventory. Raises Retry if the server does not answer, Refused without valid key."""
        if self._sessions.server.all_tenants:
            return await self._of_server()
        return await self._of_tenants(self._sessions.server.tenants)

    async def _of_server(self) -> Inventory:
        session = self._sessions.of_server("", "inventory")
        gaps: list[str] = []
        domains = await _rows(session, "domains", gaps, known=None)
        names = {row.name.lower() for row in domains}
        items = [_tenant(row) for row in domains]
        items += [_extension(r) for r in await _rows(session, "extensions", gaps, known=names)]
        dids = _dids(await _rows(session, "destinations", gaps, known=names))
        items += await self._with_extensions(dids, gaps)
        items += [_gateway(row) for row in await _rows(session, "gateways", gaps, known=names)]
        tested = await _tests_toll_allow(session, gaps)
        return Inventory(tuple(items), tuple(gaps), tested)

    async def _of_tenants(self, tenants: Collection[str]) -> Inventory:
        """Each tenant by its own key, which shows only what the tenant owns."""
        items: list[ServerItem] = [ServerItem("tenant", name.lower(), name) for name in tenants]
        gaps: list[str] = []
        for tenant in tenants:
            session, domain = self._sessions.own(tenant.lower()), tenant.lower()
            found: list[str] = []
            rows = await _rows(session, "extensions", found, known=None, is_all=False)
            items += [_extension(row, domain) for row in rows]
            dids = await _rows(session, "destinations", found, known=None, is_all=False)
            items += await self._with_extensions(_dids(dids, domain), found)
            gaps += [f"{tenant}: {gap}" for gap in found]
        gaps.append("gateways not read: only a superadmin's key of all tenants shows them")
        return Inventory(tuple(items), tuple(gaps))

    async def _with_extensions(
        self, dids: Sequence[ServerItem], gaps: list[str]
    ) -> list[ServerItem]:
        """The DIDs, each with the extension that it rings, tenant by tenant."""
        tenants = sorted({did.tenant for did in dids if did.tenant and not did.leads_to})
        if len(tenants) > MAX_TENANTS:
            gaps.append(f"where DIDs lead is read for the first {MAX_TENANTS} tenants only")
        ends: dict[str, str] = {}
        for tenant in tenants[:MAX_TENANTS]:
            try:
                found = await self._extensions_rung(tenant)
            except Refused as error:
                gaps.append(f"{tenant}: where DIDs lead not read ({error})")
                continue
            if found is None:
                gaps.append("where DIDs lead not read: the key's user needs destination_export")
                break
            ends |= found
        return [replace(did, leads_to=ends[did.uuid]) if did.uuid in ends else did for did in dids]

    async def _extensions_rung(self, tenant: str) -> dict[str, str] | None:
        async with self._sessions.within(tenant) as session:
            rows = await download(session, DESTINATIONS, DESTINATION_COLUMNS, DESTINATION_COLUMNS)
        if rows is None:
            return None
        actions = {row["destination_uuid"].lower(): row["destination_actions"] for row in rows}
        return {uuid: first_extension(stored) for uuid, stored in actions.items()}


async def _tests_toll_allow(session: FusionPbxSession, gaps: list[str]) -> bool | None:
    try:
        return all_test_toll_allow(await outbound_routes(session, all_tenants=True))
    except Refused as error:
        gaps.append(
            "outbound routes not read: the key's user needs outbound_route_view and dialplan_edit"
            f" ({error})"
        )
        return None


async def _rows(
    session: FusionPbxSession,
    kind: Kind,
    gaps: list[str],
    *,
    known: Collection[str] | None,
    is_all: bool = True,
) -> list[ListedRow]:
    """All rows of a list, page by page; what is hidden is added to `gaps`."""
    rows: dict[str, ListedRow] = {}
    try:
        async for page in _pages(session, kind, is_all=is_all and kind != "domains"):
            rows |= page
    except Refused as error:
        gaps.append(f"{kind} not read: the key's user needs {_RIGHTS[kind]} ({error})")
        return []
    if known is not None and _shows_own_domain_only(rows.values(), known):
        gaps.append(
            f"{kind} of other tenants not read: the key's user needs {_RIGHTS[kind]} (its own "
            "domain's alone are shown)"
        )
        return []
    return list(rows.values())


async def _pages(
    session: FusionPbxSession, kind: Kind, *, is_all: bool
) -> AsyncIterator[dict[str, ListedRow]]:
    seen: set[str] = set()
    for number in range(MAX_PAGES):
        begun = time.monotonic()
        page = await session.list_page(kind, number, all_tenants=is_all)
        if page.keys() <= seen:
            return
        seen |= page.keys()
        yield page
        if kind == "gateways":
            await asyncio.sleep(min(time.monotonic() - begun, _MAX_REST_S))
    raise Retry(f"{session.name}: the list of {kind} has no end")


def _shows_own_domain_only(rows: Iterable[ListedRow], known: Collection[str]) -> bool:
    """Whether the rows have no known domain, as when FusionPBX ignores `show=all`."""
    domains = {row.domain.lower() for row in rows}
    return bool(domains) and not domains & {*known, "global"}


def _tenant(row: ListedRow) -> ServerItem:
    return ServerItem("tenant", row.name.lower(), row.name, uuid=row.uuid, enabled=row.enabled)


def _extension(row: ListedRow, tenant: str = "") -> ServerItem:
    cells = row.cells
    label = next((cells[name] for name in _LABELS if cells.get(name)), "")
    domain = tenant or row.domain.lower()
    return ServerItem("extension", domain, row.name, row.uuid, label, row.enabled)


def _gateway(row: ListedRow) -> ServerItem:
    tenant = "" if row.domain.lower() == "global" else row.domain.lower()
    return ServerItem("gateway", tenant, row.name, row.uuid, enabled=row.enabled)


def _dids(rows: Iterable[ListedRow], tenant: str = "") -> list[ServerItem]:
    found = (did_of(row) for row in rows)
    return [_did(did, tenant) for did in found if did is not None]


def _did(did: Did, tenant: str) -> ServerItem:
    domain = tenant or ("" if did.domain.lower() == "global" else did.domain.lower())
    return ServerItem(
        "did", domain, did.number, did.uuid, did.description, did.enabled, leads_to=did.leads_to
    )
