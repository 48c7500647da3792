"""The rows of drift: elements to check, elements found on, repairs, and alarms."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.account import Service
from suspender.events import element_subject
from suspender.rules.elements import Element, ServiceKey
from suspender.store import ALARMS
from suspender.store_elements import (
    IN_RANGE,
    RECORD_COLUMNS,
    element_columns,
    element_context,
    element_of,
    key_columns,
    record_of,
    switch_off_again,
)
from suspender.upkeep.drift.alarm import (
    DRIFT_ALARM,
    MANY,
    DriftCandidate,
    drift_alarm,
    many_alarm,
)
from suspender.upkeep.drift.repairs import HOUR, repair
from suspender.wording import storable

# Elements that a due service names or has on record are left out: the worker switches them.
_CANDIDATES = f"""
select {RECORD_COLUMNS}, o.confirmed_at, s.product
from suspender.switched_off o
join suspender.service s on s.account_id = o.account_id and s.service_id = o.service_id
where o.server_id = $1 and o.was_on and not o.released and o.confirmed_at is not null
    and s.live and s.product is not null and s.wanted_seq = s.confirmed_seq
    and not exists (
        select from suspender.named_element n
        join suspender.service c on c.account_id = n.account_id and c.service_id = n.service_id
        where (n.server_id, n.tenant) = (o.server_id, o.tenant) and n.way in (o.way, 'listed')
            and n.element in (o.element, '*') and c.wanted_seq > c.confirmed_seq
    )
    and not exists (
        select from suspender.named_range r
        join suspender.service c on c.account_id = r.account_id and c.service_id = r.service_id
        where {IN_RANGE} and c.wanted_seq > c.confirmed_seq
    )
    and not exists (
        select from suspender.server_pause p where p.server_id = o.server_id
            and (p.paused_until is null or p.paused_until > $2)
    )
"""  # noqa: S608 - constants
_OF_SERVICES = f""" and exists (
    select from unnest($3::text[], $4::text[]) as k (account_id, service_id)
    where (k.account_id, k.service_id) = (o.account_id, o.service_id) or exists (
        select from suspender.named_element n
        where (n.account_id, n.service_id) = (k.account_id, k.service_id)
            and (n.server_id, n.way, n.tenant) = (o.server_id, o.way, o.tenant)
            and n.element in (o.element, '*')
    ) or exists (
        select from suspender.named_range r
        where (r.account_id, r.service_id) = (k.account_id, k.service_id)
            and {IN_RANGE} and r.way = o.way
    )
)"""  # noqa: S608 - constants
_OF_ELEMENTS = """ and exists (
    select from unnest($3::text[], $4::text[], $5::text[]) as e (way, tenant, name)
    where (e.way, e.tenant, e.name) = (o.way, o.tenant, o.element)
)"""
_LOCK = """
select from suspender.switched_off o
join unnest($2::text[], $3::text[], $4::text[]) as e (way, tenant, name)
    on (o.server_id, o.way, o.tenant, o.element) = ($1, e.way, e.tenant, e.name)
order by o.way, o.tenant, o.element for update of o
"""
_FOUND = """
insert into suspender.drift as d (server_id, way, tenant, element, account_id, service_id,
    drifting, found_at, seen_at, repairs, given_up, call)
values ($1, $2, $3, $4, $5, $6, true, $7, $7, $8, $9, $10)
on conflict (server_id, way, tenant, element) do update set
    account_id = excluded.account_id, service_id = excluded.service_id, drifting = true,
    found_at = case when d.drifting then d.found_at else excluded.found_at end,
    seen_at = excluded.seen_at, repairs = excluded.repairs, given_up = excluded.given_up,
    call = case when d.drifting and excluded.call = '' then d.call else excluded.call end
"""
# Elements that are no longer to be off, or no longer on record.
_RESOLVED = """
select d.way, d.tenant, d.element from suspender.drift d
where d.server_id = $1 and d.drifting and not exists (
    select from suspender.switched_off o
    join suspender.service s on s.account_id = o.account_id and s.service_id = o.service_id
    where (o.server_id, o.way, o.tenant, o.element) = (d.server_id, d.way, d.tenant, d.element)
        and o.was_on and not o.released and s.wanted = 'suspended'
)
"""


class DriftFinding(NamedTuple):
    """An element that was on. `repaired`: the worker will switch it off again."""

    element: Element
    repaired: bool


class DriftStore:
    """The rows of drift scans."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, server_ids: Collection[str], now: datetime) -> None:
        """Have these servers scanned, and no others."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into suspender.drift_look (server_id, next_at)"
                " select server_id, $2 from unnest($1::text[]) as s (server_id)"
                " on conflict do nothing",
                list(server_ids),
                now,
            )
            await connection.execute(
                "delete from suspender.drift_look where server_id <> all($1)", list(server_ids)
            )

    async def claim(
        self, server_ids: Collection[str], now: datetime, lease_until: datetime
    ) -> list[str]:
        """Those of the servers that are due to be scanned, leased until then."""
        rows = await self._pool.fetch(
            "update suspender.drift_look l set next_at = $3 where server_id in ("
            "   select server_id from suspender.drift_look"
            "   where server_id = any($1) and next_at <= $2 for update skip locked"
            " ) and not exists ("
            "   select from suspender.server_pause p where p.server_id = l.server_id"
            "     and (p.paused_until is null or p.paused_until > $2)"
            " ) returning server_id",
            list(server_ids),
            now,
            lease_until,
        )
        return [row["server_id"] for row in rows]

    async def renew(self, server_id: str, lease_until: datetime) -> None:
        """Extend the lease of a server that is still scanned."""
        await self._pool.execute(
            "update suspender.drift_look set next_at = $2 where server_id = $1",
            server_id,
            lease_until,
        )

    async def record_scan(
        self, server_id: str, error: str, now: datetime, next_at: datetime
    ) -> None:
        """Record the end of a scan; `error` is empty if the server answered."""
        await self._pool.execute(
            "update suspender.drift_look set next_at = $4, error = $2,"
            " looked_at = case when $2 = '' then $3 else looked_at end where server_id = $1",
            server_id,
            storable(error, 1000),
            now,
            next_at,
        )

    async def candidates(
        self, server_id: str, now: datetime, services: Collection[ServiceKey] | None = None
    ) -> list[DriftCandidate]:
        """What we switched off on a server and is still to be off, for all or some services."""
        async with self._pool.acquire() as acquired:
            connection = cast(Any, acquired)
            if services is None:
                return await _candidates(connection, server_id, now, _CANDIDATES, ())
            query = _CANDIDATES + _OF_SERVICES
            return await _candidates(connection, server_id, now, query, key_columns(services))

    async def record_on(
        self,
        server_id: str,
        on: Sequence[DriftCandidate],
        calls: dict[ServiceKey, str],
        now: datetime,
    ) -> list[DriftFinding]:
        """Record elements that are on, have them switched off again if allowed, raise alarms.

        Elements that were confirmed again since the scan, or that are to be on by now, are skipped,
        so that two simultaneous scans count once.
        """
        if not on:
            return []
        seen = {candidate.element: candidate.confirmed_at for candidate in on}
        wanted = element_columns(seen)
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            await connection.execute(_LOCK, server_id, *wanted)
            query = _CANDIDATES + _OF_ELEMENTS
            current = await _candidates(connection, server_id, now, query, wanted)
            fresh = [each for each in current if each.confirmed_at == seen[each.element]]
            is_many = len(fresh) > MANY
            if is_many:
                text = many_alarm(server_id, len(fresh))
                await ALARMS.raise_alarm(connection, DRIFT_ALARM, server_id, text, now)
            return [
                await _note_one(
                    connection,
                    server_id,
                    candidate,
                    calls.get(candidate.owner, ""),
                    now,
                    alarms=not is_many,
                )
                for candidate in fresh
            ]

    async def drifting_among(self, server_id: str, elements: Collection[Element]) -> set[Element]:
        """Those of the elements that were on when they were last scanned."""
        rows = await self._pool.fetch(
            "select way, tenant, element from suspender.drift where server_id = $1 and drifting",
            server_id,
        )
        return {element_of(row) for row in rows} & set(elements)

    async def record_off(
        self, server_id: str, off: Collection[Element], began_at: datetime, now: datetime
    ) -> None:
        """Record elements that a scan begun at `began_at` found off, and end their alarms."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            rows = await connection.fetch(
                "select d.way, d.tenant, d.element from suspender.drift d"
                " join unnest($2::text[], $3::text[], $4::text[]) as e (way, tenant, name)"
                " on (d.server_id, d.way, d.tenant, d.element) = ($1, e.way, e.tenant, e.name)"
                " where d.drifting and d.seen_at < $5 order by 1, 2, 3 for update of d",
                server_id,
                *element_columns(off),
                began_at,
            )
            await _end(connection, server_id, [element_of(row) for row in rows], now)

    async def end_resolved(self, server_id: str, now: datetime) -> None:
        """End the drift of elements that are no longer to be off; delete ended, old rows."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            rows = await connection.fetch(_RESOLVED, server_id)
            await _end(connection, server_id, [element_of(row) for row in rows], now)
            await connection.execute(
                "delete from suspender.drift where not drifting and seen_at < $1", now - HOUR
            )

    async def drifting(self) -> dict[str, int]:
        """The number of drifting elements by server."""
        rows = await self._pool.fetch(
            "select server_id, count(*) from suspender.drift where drifting group by server_id"
        )
        return {row[0]: row[1] for row in rows}


async def _candidates(
    connection: Connection, server_id: str, now: datetime, query: str, arguments: Sequence[object]
) -> list[DriftCandidate]:
    """Those rows of a query whose elements are to be off by the present claims and records."""
    rows = await connection.fetch(query, server_id, now, *arguments)
    records = {record.element: record for record in map(record_of, rows)}
    context = await element_context(connection, server_id, records, records)
    return [
        DriftCandidate(
            element_of(row),
            (row["account_id"], row["service_id"]),
            Service.model_validate(row["product"]),
            row["confirmed_at"],
        )
        for row in rows
        if context.is_to_be_off(element_of(row))
    ]


async def _note_one(
    connection: Connection,
    server_id: str,
    candidate: DriftCandidate,
    call: str,
    now: datetime,
    *,
    alarms: bool,
) -> DriftFinding:
    element = candidate.element
    before = await connection.fetchrow(
        "select repairs, drifting, given_up from suspender.drift"
        " where (server_id, way, tenant, element) = ($1, $2, $3, $4)",
        server_id,
        *element,
    )
    repairs, repaired = repair(before["repairs"] if before else (), now)
    if repaired:
        await switch_off_again(connection, server_id, [element], now)
    await connection.execute(
        _FOUND, server_id, *element, *candidate.owner, now, repairs, not repaired, call
    )
    if alarms:
        subject = element_subject(server_id, element)
        if before and before["drifting"] and not before["given_up"] and not repaired:
            # The open alarm says that the element is repaired: it is replaced by a new text.
            await ALARMS.end_alarm(connection, DRIFT_ALARM, subject, now)
        name = await _name_of(connection, server_id, element)
        text = drift_alarm(server_id, candidate, repairs, repaired=repaired, call=call, name=name)
        await ALARMS.raise_alarm(connection, DRIFT_ALARM, subject, text, now)
    return DriftFinding(element, repaired)


async def _name_of(connection: Connection, server_id: str, element: Element) -> str:
    """The name of a gateway by the last inventory; empty for other elements."""
    if element.way != "gateway":
        return ""
    name: str | None = await connection.fetchval(
        "select name from suspender.inventory"
        " where server_id = $1 and kind = 'gateway' and uuid_key = $2 limit 1",
        server_id,
        element.name,
    )
    return name or ""


async def _end(
    connection: Connection, server_id: str, elements: Sequence[Element], now: datetime
) -> None:
    if not elements:
        return
    await connection.execute(
        "update suspender.drift d set drifting = false, given_up = false, seen_at = $5"
        " from unnest($2::text[], $3::text[], $4::text[]) as e (way, tenant, name)"
        " where (d.server_id, d.way, d.tenant, d.element) = ($1, e.way, e.tenant, e.name)",
        server_id,
        *element_columns(elements),
        now,
    )
    subjects = [element_subject(server_id, element) for element in elements]
    rows = await connection.fetch(
        "select subject from suspender.alarm where key = $1 and ended_at is null"
        " and (subject = any($2) or subject = $3 and not exists ("
        "   select from suspender.drift d where d.server_id = $3 and d.drifting))"
        " order by subject",
        DRIFT_ALARM,
        subjects,
        server_id,
    )
    for row in rows:
        await ALARMS.end_alarm(connection, DRIFT_ALARM, row["subject"], now)
