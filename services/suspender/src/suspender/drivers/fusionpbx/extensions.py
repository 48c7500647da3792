"""Switches extensions, of one tenant or of very many.

A login can toggle extensions only within the domain that it has entered; a toggle elsewhere has no
effect and no error. For many tenants, one list of all extensions serves as reading and another as
read-back; between them, each tenant costs two requests, spread over several logins.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.errors import Refused
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
from suspender.drivers.fusionpbx.sessions import Sessions, each_tenant
from suspender.rules.elements import Element
from suspender.wording import listed

BATCH = 50
"""Extensions in one POST: each takes FusionPBX 50 ms, as it deletes its cache entry."""
FEW_TENANTS = 3
"""Up to this number of tenants, extensions are listed tenant by tenant."""
ExtensionKey = tuple[str, str]
"""Tenant, in lower case, and number."""
ExtensionRows = dict[ExtensionKey, ListedRow]
Failures = dict[str, Failure]
"""By tenant."""


class ExtensionLists:
    """Finds extensions by tenant and number, and caches the tenant of each uuid."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._domain_of: dict[str, str] = {}

    async def find(self, wanted: Collection[ExtensionKey]) -> tuple[ExtensionRows, Failures]:
        """The rows that the PBX has, and a failure for each tenant that cannot be read.

        Raises Retry when the server does not answer.
        """
        tenants = {tenant for tenant, _ in wanted}
        if self._sessions.server.all_tenants and len(tenants) > FEW_TENANTS:
            return await self._find_everywhere(set(wanted)), {}

        async def of_one(tenant: str) -> ExtensionRows:
            return await self.of_tenant(tenant, {number for t, number in wanted if t == tenant})

        found, failures = await each_tenant(sorted(tenants), of_one)
        lasting = [error for error in failures.values() if isinstance(error, Retry)]
        if lasting and not found:
            raise lasting[0]
        return {key: row for rows in found.values() for key, row in rows.items()}, failures

    async def _find_everywhere(self, wanted: set[ExtensionKey]) -> ExtensionRows:
        rows, _ = await self._sessions.rows_of_all_tenants(
            "extensions", lambda rows: wanted <= set(_by_key(rows.values()))
        )
        if rows and all(row.domain == row.name for row in rows.values()):
            session = self._sessions.of_server("")
            raise session.refused("shows its own extensions only: give its user extension_all")
        self._domain_of |= {uuid: row.domain.lower() for uuid, row in rows.items()}
        return _by_key(rows.values())

    async def of_tenant(self, tenant: str, numbers: Collection[str] | None = None) -> ExtensionRows:
        """The rows of one tenant: those of these numbers that it has, or all."""
        async with self._sessions.within(tenant) as session:
            listing = await session.list_rows(
                "extensions",
                until=lambda rows: (
                    numbers is not None and {row.name for row in rows.values()} >= set(numbers)
                ),
            )
            rows = listing.rows
            if numbers is not None:
                rows = {uuid: row for uuid, row in rows.items() if row.name in numbers}
            if self._sessions.server.all_tenants:
                await self._check_domain(session, rows, tenant)
        return {(tenant, row.name): row for row in rows.values()}

    async def _check_domain(
        self, session: FusionPbxSession, rows: Mapping[str, ListedRow], tenant: str
    ) -> None:
        """Check that the rows are the tenant's own: two tenants may have the same numbers.

        The list of all tenants shows the domain of an extension; narrowed to one number it is
        short.
        """
        for uuid, row in rows.items():
            if uuid not in self._domain_of:
                found = await session.list_rows(
                    "extensions",
                    all_tenants=True,
                    search=row.name,
                    until=lambda rows, uuid=uuid: uuid in rows,  # type: ignore[misc]
                )
                self._domain_of |= {u: r.domain.lower() for u, r in found.rows.items()}
        if any(self._domain_of.get(uuid) != tenant for uuid in rows):
            session.forget_domain(tenant)
            raise Retry(f"{session.name}: the session is not in the domain {shown(tenant)}")


def _by_key(rows: Iterable[ListedRow]) -> ExtensionRows:
    return {(row.domain.lower(), row.name): row for row in rows}


def extension_key(element: Element) -> ExtensionKey:
    """The key of an extension element."""
    return element.tenant.lower(), element.name


class Extensions:
    """The extensions of one server."""

    def __init__(self, sessions: Sessions, lists: ExtensionLists, clock: Clock) -> None:
        self._sessions = sessions
        self._lists = lists
        self._clock = clock
        self._uuids: dict[ExtensionKey, str] = {}

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The stored flags."""
        rows, failures = await self._find([extension_key(t.element) for t in targets])
        return {t.element: self._reading(t.element, rows, failures) for t in targets}

    async def _find(self, keys: Collection[ExtensionKey]) -> tuple[ExtensionRows, Failures]:
        rows, failures = await self._lists.find(keys)
        self._uuids |= {key: row.uuid for key, row in rows.items()}
        return rows, failures

    def _reading(
        self, element: Element, rows: ExtensionRows, failures: Failures
    ) -> ElementReading | Failure:
        key = extension_key(element)
        if key[0] in failures:
            return failures[key[0]]
        row = rows.get(key)
        if row is None:
            return ElementReading("missing")
        if row.enabled is None:
            return unreadable(self._sessions.server_id, f"extension {element.name}")
        return ElementReading("on" if row.enabled else "off", name=row.name)

    async def switch(self, changes: Sequence[ElementChange]) -> dict[Element, SwitchDone | Failure]:
        """Toggle those that differ, tenant by tenant; one flush and one read-back for all."""
        present = [c for c in changes if c.reading.state in ("on", "off")]
        outcomes: dict[Element, SwitchDone | Failure] = {
            c.target.element: self._not_there(c) for c in changes if c not in present
        }
        if not present:
            return outcomes
        if any(extension_key(c.target.element) not in self._uuids for c in present):
            await self._find([extension_key(c.target.element) for c in present])
        failed = await self._toggle_all(present)
        proof = await self.take_effect(present[0].target.product.tenant)
        rows, unread = await self._find([extension_key(c.target.element) for c in present])
        for change in present:
            outcomes[change.target.element] = self._judge(change, rows, unread, failed, proof)
        return outcomes

    def _not_there(self, change: ElementChange) -> Failure:
        what = f"extension {change.target.element.name}"
        return not_there(self._sessions.server_id, what, change.target)

    async def _toggle_all(self, changes: Sequence[ElementChange]) -> Failures:
        """Toggle all that differ. Returns the failures by tenant; reading back shows the effect."""
        by_tenant: dict[str, list[str]] = {}
        for change in changes:
            key = extension_key(change.target.element)
            if (change.reading.state == "off") is not change.off and key in self._uuids:
                by_tenant.setdefault(key[0], []).append(self._uuids[key])
        _, failures = await each_tenant(
            list(by_tenant), lambda tenant: self._toggle(tenant, by_tenant[tenant])
        )
        return failures

    async def _toggle(self, tenant: str, uuids: Sequence[str]) -> None:
        async with self._sessions.within(tenant) as session:
            for batch in batches(uuids, BATCH):
                await session.toggle("extensions", batch)

    async def take_effect(self, tenant: str) -> str:
        """Flush the cache of the switch. Returns its answer as a proof.

        A toggle deletes the extension's cache entry, but does not report whether that succeeded.
        An admin's key can neither flush nor ask: then the text says so instead.
        """
        try:
            status = await self._sessions.own(tenant.lower()).cache_flush()
        except Refused:
            return "switch not asked (that is for superadmins)"
        return f"cache-flush answered {listed(status.answers)}"

    def _judge(
        self,
        change: ElementChange,
        rows: ExtensionRows,
        unread: Failures,
        failed: Failures,
        proof: str,
    ) -> SwitchDone | Failure:
        element = change.target.element
        reading = self._reading(element, rows, unread)
        if not isinstance(reading, ElementReading):
            return reading
        if reading.state == "missing":
            return self._not_there(change)
        what = f"extension {element.name}"
        if (reading.state == "off") is change.off:
            return done(self._clock, what, change.off, proof)
        if failure := failed.get(element.tenant.lower()):
            return failure
        return not_done(self._sessions.server_id, what, change.off)
