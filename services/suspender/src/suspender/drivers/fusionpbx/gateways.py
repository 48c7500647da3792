"""Finds gateways in FusionPBX's list without reading all of it.

FusionPBX asks the switch for each enabled gateway of a page: 10 s for 123 of them. A search narrows
the list, but by name and not by uuid. So the name is read first, from the gateway's edit form, for
which FusionPBX does not ask the switch. If there is no usable name, or if many gateways are needed,
the list is read sorted with the disabled gateways first: their flags are the ones in doubt, and
they cost no question to the switch.
"""

import time
from collections.abc import Callable, Collection, Mapping

from ringfence_pbx.fusionpbx.session import FusionPbxSession, ListedRow

FEW = 5
"""Up to this number of gateways, each is searched by itself."""
_MISSING_FOR_S = 300.0
"""A gateway that was not in the whole list is not searched in it again for this time."""


class GatewayFinder:
    """Caches names by uuid. A name that changed costs one search without result."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._names: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._monotonic = monotonic

    def name(self, uuid: str) -> str:
        """The name if it is known, else the uuid."""
        return self._names.get(uuid) or uuid

    async def find(self, session: FusionPbxSession, uuids: Collection[str]) -> dict[str, ListedRow]:
        """The rows of those of these uuids that FusionPBX has."""
        wanted = {uuid.lower() for uuid in uuids}
        rows: dict[str, ListedRow] = {}
        now = self._monotonic()
        wanted = {uuid for uuid in wanted if now >= self._missing.get(uuid, now)}
        if not wanted:
            return {}
        if len(wanted) <= FEW:
            rows, wanted = await self._search(session, wanted)
        if wanted:
            rows |= await self._whole(session, wanted)
        self._names |= {uuid: row.name for uuid, row in rows.items()}
        return {uuid: row for uuid, row in rows.items() if uuid in {u.lower() for u in uuids}}

    async def flags_of_running(
        self, session: FusionPbxSession, uuids: Collection[str]
    ) -> dict[str, bool | None]:
        """The stored flags of gateways that the switch runs, so that FusionPBX has them.

        Of many, only the disabled ones are read: the list is sorted by the flag, and gateways that
        do not come before the first enabled one are enabled.
        """
        if len(uuids) <= FEW:
            return {uuid: row.enabled for uuid, row in (await self.find(session, uuids)).items()}
        listing = await session.list_rows(
            "gateways",
            all_tenants=True,
            order_by="enabled",
            until=lambda rows: _holds(rows, uuids) or _is_past_disabled(rows),
        )
        rows = listing.rows
        return {uuid: rows[uuid].enabled if uuid in rows else True for uuid in uuids}

    async def _whole(
        self, session: FusionPbxSession, wanted: Collection[str]
    ) -> dict[str, ListedRow]:
        whole = await session.list_rows(
            "gateways",
            all_tenants=True,
            order_by="enabled",
            until=lambda rows: _holds(rows, wanted),
        )
        self._names |= {uuid: row.name for uuid, row in whole.rows.items()}
        again_at = self._monotonic() + _MISSING_FOR_S
        self._missing |= {uuid: again_at for uuid in wanted if uuid not in whole.rows}
        return whole.rows

    async def _search(
        self, session: FusionPbxSession, wanted: Collection[str]
    ) -> tuple[dict[str, ListedRow], set[str]]:
        """The rows found by name, and the uuids that have to be searched in the whole list."""
        by_name: dict[str, set[str]] = {}
        left: set[str] = set()
        for uuid in wanted:
            if name := await self._name(session, uuid):
                by_name.setdefault(name, set()).add(uuid)
            else:
                left.add(uuid)
        rows: dict[str, ListedRow] = {}
        for name, uuids in by_name.items():
            listing = await session.list_rows(
                "gateways",
                all_tenants=True,
                search=name,
                until=lambda rows, uuids=uuids: _holds(rows, uuids),  # type: ignore[misc]
            )
            rows |= listing.rows
            lost = uuids - listing.rows.keys()
            left |= lost
            for uuid in lost:
                self._names.pop(uuid, None)
        return rows, left

    async def _name(self, session: FusionPbxSession, uuid: str) -> str:
        """The name of a gateway; empty if it is not known or cannot be searched for."""
        name = self._names.get(uuid) or await session.gateway_name(uuid) or ""
        if name:
            self._names[uuid] = name
        # A backslash is an escape in the SQL pattern that FusionPBX makes of the text.
        return "" if "\\" in name else name


def _holds(rows: Mapping[str, ListedRow], wanted: Collection[str]) -> bool:
    return rows.keys() >= set(wanted)


def _is_past_disabled(rows: Mapping[str, ListedRow]) -> bool:
    flags = [row.enabled for row in rows.values()]
    return bool(flags) and flags[-1] is True and flags == sorted(flags, key=bool)
