"""Switching extensions: those of one tenant, or of very many at once.

A login toggles extensions only within the domain that it is in; a toggle elsewhere does nothing and
says nothing. For many tenants one list of all of them serves as reading, and one as read-back;
between the two each tenant costs two requests, spread over several logins.
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
"""Extensions in one post: each takes FusionPBX 50 ms, as it deletes a cache entry of its own."""
FEW_TENANTS = 3
"""The extensions of so many tenants are listed tenant by tenant."""
ExtensionKey = tuple[str, str]
"""Tenant, in lower case, and number."""
ExtensionRows = dict[ExtensionKey, ListedRow]
Failures = dict[str, Failure]
"""By tenant."""


class ExtensionLists:
    """Finds extensions by tenant and number, and remembers to which tenant each uuid belongs."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._homes: dict[str, str] = {}

    async def find(self, wanted: Collection[ExtensionKey]) -> tuple[ExtensionRows, Failures]:
        """The rows as far as the PBX has them; a tenant that cannot be read is its own failure.

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
        rows, _ = await self._sessions.everybodys(
            "extensions", lambda rows: wanted <= set(_by_key(rows.values()))
        )
        if rows and all(row.domain == row.name for row in rows.values()):
            session = self._sessions.of_server("")
            raise session.refused("shows its own extensions only: give its user extension_all")
        self._homes |= {uuid: row.domain.lower() for uuid, row in rows.items()}
        return _by_key(rows.values())

    async def of_tenant(self, tenant: str, numbers: Collection[str] | None = None) -> ExtensionRows:
        """The rows of one tenant: these numbers, as far as it has them, or all."""
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
                await self._check_home(session, rows, tenant)
        return {(tenant, row.name): row for row in rows.values()}

    async def _check_home(
        self, session: FusionPbxSession, rows: Mapping[str, ListedRow], tenant: str
    ) -> None:
        """Two tenants may have the same extension numbers: make sure that these are the tenant's.

        The list of all tenants says which domain an extension belongs to; narrowed to a number, it
        is short.
        """
        for uuid, row in rows.items():
            if uuid not in self._homes:
                found = await session.list_rows(
                    "extensions",
                    all_tenants=True,
                    search=row.name,
                    until=lambda rows, uuid=uuid: uuid in rows,  # type: ignore[misc]
                )
                self._homes |= {u: r.domain.lower() for u, r in found.rows.items()}
        if any(self._homes.get(uuid) != tenant for uuid in rows):
            session.forget_domain(tenant)
            raise Retry(f"{session.name}: the session is not in the domain {shown(tenant)}")


def _by_key(rows: Iterable[ListedRow]) -> ExtensionRows:
    return {(row.domain.lower(), row.name): row for row in rows}


def extension_key(element: Element) -> ExtensionKey:
    """Where an extension is found."""
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
        """Toggle what differs, tenant by tenant; one flush and one read-back for all."""
        present = [c for c in changes if c.reading.state in ("on", "off")]
        outcomes: dict[Element, SwitchDone | Failure] = {
            c.target.element: self._not_there(c) for c in changes if c not in present
        }
        if not present:
            return outcomes
        if any(extension_key(c.target.element) not in self._uuids for c in present):
            await self._find([extension_key(c.target.element) for c in present])
        failed = await self._toggle_all(present)
        said = await self.take_effect(present[0].target.product.tenant)
        rows, unread = await self._find([extension_key(c.target.element) for c in present])
        for change in present:
            outcomes[change.target.element] = self._seen(change, rows, unread, failed, said)
        return outcomes

    def _not_there(self, change: ElementChange) -> Failure:
        what = f"extension {change.target.element.name}"
        return not_there(self._sessions.server_id, what, change.target)

    async def _toggle_all(self, changes: Sequence[ElementChange]) -> Failures:
        """The tenants whose post failed, and why: what it did is seen by reading back."""
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
        """Drop what the switch has cached, and say what it answered.

        A toggle drops the extension's own cache entry, but does not say whether it could. An
        admin's key can neither flush nor ask: then that is said in place of a proof.
        """
        try:
            status = await self._sessions.own(tenant.lower()).cache_flush()
        except Refused:
            return "switch not asked (that is for superadmins)"
        return f"cache-flush answered {listed(status.answers)}"

    def _seen(
        self,
        change: ElementChange,
        rows: ExtensionRows,
        unread: Failures,
        failed: Failures,
        said: str,
    ) -> SwitchDone | Failure:
        element = change.target.element
        reading = self._reading(element, rows, unread)
        if not isinstance(reading, ElementReading):
            return reading
        if reading.state == "missing":
            return self._not_there(change)
        what = f"extension {element.name}"
        if (reading.state == "off") is change.off:
            return done(self._clock, what, change.off, said)
        if failure := failed.get(element.tenant.lower()):
            return failure
        return not_done(self._sessions.server_id, what, change.off)
