"""Switches whole domains: the flag, and the cached directory entries of their extensions."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from ringfence.clock import Clock
from ringfence_pbx.fusionpbx.session import FusionPbxSession, ListedRow
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.fusionpbx.evidence import (
    batches,
    done,
    not_done,
    not_there,
    unreadable,
)
from suspender.rules.elements import Element
from suspender.wording import listed

_BATCH = 200


class Domains:
    """The domains of one server. Needs a superadmin's key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._uuids: dict[str, str] = {}

    async def read(
        self, session: FusionPbxSession, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The stored flags, from one list."""
        rows = await self._rows(session, {target.element.name.lower() for target in targets})
        read: dict[Element, ElementReading | Failure] = {}
        for element in (target.element for target in targets):
            row = rows.get(element.name.lower())
            if row is None:
                read[element] = ElementReading("missing")
            elif row.enabled is None:
                read[element] = unreadable(session.name, f"domain {row.name}")
            else:
                read[element] = ElementReading("on" if row.enabled else "off", name=row.name)
        return read

    async def _rows(
        self, session: FusionPbxSession, names: Collection[str]
    ) -> dict[str, ListedRow]:
        listing = await session.list_rows(
            "domains", until=lambda rows: {r.name.lower() for r in rows.values()} >= set(names)
        )
        rows = {row.name.lower(): row for row in listing.rows.values()}
        self._uuids |= {name: row.uuid for name, row in rows.items()}
        return rows

    async def switch(
        self, session: FusionPbxSession, changes: Sequence[ElementChange]
    ) -> dict[Element, SwitchDone | Failure]:
        """One toggle of all that differ, one flush, one list to read back."""
        present = [c for c in changes if c.reading.state in ("on", "off")]
        outcomes: dict[Element, SwitchDone | Failure] = {
            c.target.element: not_there(session.name, "domain to switch", c.target)
            for c in changes
            if c not in present
        }
        if not present:
            return outcomes
        names = {c.target.element.name.lower() for c in present}
        async with self._lock:
            if names - self._uuids.keys():
                await self._rows(session, names)
            differing = [
                self._uuids[c.target.element.name.lower()]
                for c in present
                if (c.reading.state == "off") is not c.off
                and c.target.element.name.lower() in self._uuids
            ]
            for batch in batches(differing, _BATCH):
                await session.toggle("domains", batch)
            status = await session.cache_flush()
            rows = await self._rows(session, names)
        proof = f"cache-flush answered {listed(status.answers)}"
        return outcomes | {c.target.element: self._judge(session, c, rows, proof) for c in present}

    def _judge(
        self,
        session: FusionPbxSession,
        change: ElementChange,
        rows: Mapping[str, ListedRow],
        proof: str,
    ) -> SwitchDone | Failure:
        element = change.target.element
        row = rows.get(element.name.lower())
        if row is None:
            return not_there(session.name, "domain to switch", change.target)
        if row.enabled is None:
            return unreadable(session.name, f"domain {row.name}")
        if row.enabled is change.off:
            return not_done(session.name, f"domain {row.name}", change.off)
        return done(self._clock, f"domain {row.name}", change.off, proof)
