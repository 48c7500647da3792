"""Finding a product's gateways in FusionPBX's list without reading the whole of it.

For each gateway on a page FusionPBX asks the switch: 10 s for 123 of them. A search narrows the
list, but looks at names, not at uuids. So the name is learned first, by the form that edits the
gateway, which asks the switch nothing; and where that leads nowhere, the whole list is read.
"""

from collections.abc import Collection, Mapping

from ringfence.pbx.fusionpbx import FusionPbxSession, ListedRow, Listing

MAX_SEARCHES = 5
"""A product with gateways of more names than this reads the whole list: hardly slower."""


class GatewayFinder:
    """Remembers names by uuid. A name that changed costs one search in vain."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    async def find(self, session: FusionPbxSession, uuids: Collection[str]) -> Listing:
        """A list that holds the gateways of these uuids, as far as FusionPBX has them."""
        wanted = {uuid.lower() for uuid in uuids}
        if 0 < len(wanted) <= MAX_SEARCHES and (found := await self._search(session, wanted)):
            return found
        whole = await session.list_rows(
            "gateways", all_tenants=True, until=lambda rows: bool(wanted) and _holds(rows, wanted)
        )
        self._names |= {row.uuid: row.name for row in whole.rows.values()}
        return whole

    async def _search(self, session: FusionPbxSession, wanted: Collection[str]) -> Listing | None:
        by_name: dict[str, set[str]] = {}
        for uuid in wanted:
            if not (name := await self._name(session, uuid)):
                return None
            by_name.setdefault(name, set()).add(uuid)
        rows: dict[str, ListedRow] = {}
        token = None
        for name, uuids in by_name.items():
            listing = await session.list_rows(
                "gateways",
                all_tenants=True,
                search=name,
                until=lambda rows, uuids=uuids: _holds(rows, uuids),  # type: ignore[misc]
            )
            rows |= listing.rows
            token = listing.token
            if not _holds(rows, uuids):
                for uuid in uuids:
                    self._names.pop(uuid, None)
                return None
        return Listing(rows, token)

    async def _name(self, session: FusionPbxSession, uuid: str) -> str:
        """Empty when it is not known, or is nothing that can be searched for."""
        name = self._names.get(uuid) or await session.gateway_name(uuid)
        if name:
            self._names[uuid] = name
        # A backslash is an escape in the SQL pattern that FusionPBX makes of the text.
        return "" if "\\" in name else name


def _holds(rows: Mapping[str, ListedRow], wanted: Collection[str]) -> bool:
    return rows.keys() >= set(wanted)
