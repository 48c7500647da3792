"""The elements that products name, and the records of those that we switched off.

For drift: `switch_off_again` has the worker switch off what somebody switched on.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.extension_ranges import ends_of
from suspender.rules.elements import (
    REST,
    Element,
    ElementClaim,
    OwnedExtensions,
    OwnerState,
    ServiceKey,
    SwitchedOffRecord,
    elements_of,
)
from suspender.rules.plan import ElementContext, RecordWrite
from suspender.rules.service_state import ServiceState

LISTED = "listed"
"""Rows of this way name no element. They list the extensions that belong to a product, whichever
way it is switched, so that these are not part of the rest of their tenant.
"""

IN_RANGE = """((r.server_id, r.tenant) = (o.server_id, o.tenant)
    and length(r.first) = length(o.element) and o.element collate "C" between r.first and r.last)"""
"""Whether the range `r` has the extension `o`. It costs little where no product has a range."""

# A claim counts as off once the service may be suspended: while the brake is on, the elements of a
# service that was not off before stay on.
_CLAIM_OFF = """(c.wanted = 'suspended' and (
    c.confirmed = 'suspended' or c.holds <> '{funds}'
    or not exists (select from suspender.brake where on_since is not null)
))"""
# `offset 0` keeps the planner from turning look-ups by whole keys into joins of whole tables. It
# does so while a table has grown faster than its statistics: 29 s instead of 20 ms.
_CLAIMS = f"""
select e.way, e.tenant, e.name, n.way = '{LISTED}' as listed, n.element = '{REST}' as rest,
    false as ranged, c.account_id, c.service_id, {_CLAIM_OFF} as off
from unnest($2::text[], $3::text[], $4::text[]) as e (way, tenant, name)
cross join lateral (
    values (e.way, e.name), (e.way, '{REST}'),
        (case when e.way in ('extensions', 'outbound') then '{LISTED}' end, e.name)
) as k (way, name)
cross join lateral (
    select * from suspender.named_element
    where (server_id, way, tenant, element) = ($1, k.way, e.tenant, k.name) offset 0
) as n
cross join lateral (
    select * from suspender.service
    where (account_id, service_id) = (n.account_id, n.service_id) offset 0
) as c
union all
select o.way, o.tenant, o.element, r.way <> o.way, false, true,
    c.account_id, c.service_id, {_CLAIM_OFF} as off
from (
    select $1 as server_id, e.* from unnest($2::text[], $3::text[], $4::text[])
    as e (way, tenant, element) where e.way in ('extensions', 'outbound')
) as o
join suspender.named_range r on {IN_RANGE}
cross join lateral (
    select * from suspender.service
    where (account_id, service_id) = (r.account_id, r.service_id) offset 0
) as c
"""  # noqa: S608 - constants
_OWNERS = """
select s.account_id, s.service_id, s.wanted = 'suspended' as off,
    s.wanted_seq = s.confirmed_seq as confirmed,
    not s.departed and s.server_id <> $1 as elsewhere,
    array(
        select distinct n.way from suspender.named_element n
        where n.account_id = s.account_id and n.service_id = s.service_id and n.server_id = $1
            and n.way <> 'listed'
    ) as ways
from suspender.service s
join unnest($2::text[], $3::text[]) as k (account_id, service_id) using (account_id, service_id)
"""
RECORD_COLUMNS = (
    "o.way, o.tenant, o.element, o.account_id, o.service_id, o.was_on, o.value, o.released"
)
_RECORDS = f"""
select {RECORD_COLUMNS} from unnest($2::text[], $3::text[]) as k (account_id, service_id)
cross join lateral (
    select * from suspender.switched_off
    where (account_id, service_id) = (k.account_id, k.service_id) and server_id = $1 offset 0
) as o
union
select {RECORD_COLUMNS} from unnest($4::text[], $5::text[], $6::text[]) as e (way, tenant, name)
cross join lateral (
    select * from suspender.switched_off
    where (server_id, way, tenant, element) = ($1, e.way, e.tenant, e.name) offset 0
) as o
union
select {RECORD_COLUMNS} from unnest($4::text[], $5::text[], $6::text[]) as e (way, tenant, name)
cross join lateral (
    select * from suspender.switched_off
    where e.name = '{REST}' and (server_id, way, tenant) = ($1, e.way, e.tenant) offset 0
) as o
"""  # noqa: S608 - constants
_LEFT = f"""not exists (
    select from suspender.named_element n
    where (n.account_id, n.service_id) = (o.account_id, o.service_id)
        and (n.server_id, n.way, n.tenant) = (o.server_id, o.way, o.tenant)
        and n.element in (o.element, '*')
) and not exists (
    select from suspender.named_range r
    where (r.account_id, r.service_id) = (o.account_id, o.service_id) and r.way = o.way
        and {IN_RANGE}
)"""  # noqa: S608 - constants
_RECORD = """
insert into suspender.switched_off as o
    (server_id, way, tenant, element, account_id, service_id, was_on, value, adopted, recorded_at)
select $1, n.*, $2 from unnest(
    $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::text[],
    $10::boolean[]
) as n (way, tenant, element, account_id, service_id, was_on, value, adopted)
order by way, tenant, element
on conflict (server_id, way, tenant, element) do nothing
"""
_CHANGE_RECORD = """
update suspender.switched_off set
    account_id = $5, service_id = $6, released = false,
    value = case when $7 and not was_on then $8 else value end, was_on = was_on or $7
where (server_id, way, tenant, element) = ($1, $2, $3, $4)
"""


async def write_named(connection: Connection, services: Collection[ServiceState]) -> None:
    """Replace the named elements of these services by those that their products name now."""
    if not services:
        return
    await connection.executemany(
        "delete from suspender.named_element where account_id = $1 and service_id = $2",
        [service.key for service in services],
    )
    await connection.executemany(
        "delete from suspender.named_range where account_id = $1 and service_id = $2",
        [service.key for service in services],
    )
    await connection.executemany(
        "insert into suspender.named_range"
        " (account_id, service_id, server_id, way, tenant, first, last)"
        " values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        [row for service in services for row in _ranges_of(service)],
    )
    rows = [
        (*service.key, service.server_id, *element)
        for service in services
        for element in _named_by(service)
    ]
    if rows:
        await connection.execute(
            "insert into suspender.named_element"
            " (account_id, service_id, server_id, way, tenant, element)"
            " select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],"
            " $6::text[])",
            *columns(rows),
        )


def _named_by(service: ServiceState) -> set[tuple[str, str, str]]:
    product = service.product
    if product is None or service.departed:
        return set()
    listed = product.extensions if product.kind != "lesnet" else ()
    tenant = product.tenant.lower()
    return {*elements_of(product), *((LISTED, tenant, extension) for extension in listed)}


def _ranges_of(service: ServiceState) -> Iterator[tuple[str, ...]]:
    product = service.product
    if product is None or service.departed:
        return
    for text in product.extension_ranges:
        if ends := ends_of(text):
            yield *service.key, service.server_id, product.way, product.tenant.lower(), *ends


async def mark_released(connection: Connection, keys: Collection[ServiceKey]) -> None:
    """Release the elements that left these products, although their holds last."""
    if not keys:
        return
    await connection.execute(
        "update suspender.switched_off o set released = true, next_attempt_at = now()"  # noqa: S608
        " from unnest($1::text[], $2::text[]) as k (account_id, service_id)"
        f" where o.account_id = k.account_id and o.service_id = k.service_id and {_LEFT}",
        *key_columns(keys),
    )


async def left_behind(connection: Connection, key: ServiceKey) -> list[Element]:
    """The elements that are off for a service and that it does not name any more."""
    rows = await connection.fetch(
        "select way, tenant, element from suspender.switched_off o"  # noqa: S608 - a constant
        f" where o.account_id = $1 and o.service_id = $2 and o.was_on and {_LEFT} order by 1, 2, 3",
        *key,
    )
    return [element_of(row) for row in rows]


async def switch_off_again(
    connection: Connection, server_id: str, elements: Collection[Element], now: datetime
) -> list[Element]:
    """Have the worker switch these elements off again. Returns those that it will switch off.

    The caller counts how often an element may be repaired. The rows become `loose`: no service is
    due for them, and no event of a service follows. Elements that are not on record, not confirmed
    off, or released are left as they are.
    """
    rows = await connection.fetch(
        "update suspender.switched_off o set confirmed_at = null, next_attempt_at = $5"
        " from unnest($2::text[], $3::text[], $4::text[]) as n (way, tenant, element)"
        " where (o.server_id, o.way, o.tenant, o.element) = ($1, n.way, n.tenant, n.element)"
        " and o.confirmed_at is not null and not o.released"
        " returning o.way, o.tenant, o.element",
        server_id,
        *element_columns(elements),
        now,
    )
    return [element_of(row) for row in rows]


async def owned_extensions(
    connection: Connection, server_id: str, tenants: Collection[str]
) -> dict[str, OwnedExtensions]:
    """What the products of each tenant have: extensions listed by themselves, and ranges."""
    listed: dict[str, set[str]] = {tenant: set() for tenant in tenants}
    ranges: dict[str, set[str]] = {tenant: set() for tenant in tenants}
    for row in await connection.fetch(
        "select distinct tenant, element from suspender.named_element"
        " where server_id = $1 and tenant = any($2) and element <> '*'"
        " and way in ('listed', 'extensions', 'outbound')",
        server_id,
        list(tenants),
    ):
        listed[row["tenant"]].add(row["element"])
    for row in await connection.fetch(
        "select distinct tenant, first, last from suspender.named_range"
        " where server_id = $1 and tenant = any($2)",
        server_id,
        list(tenants),
    ):
        ranges[row["tenant"]].add(f"{row['first']}-{row['last']}")
    return {
        tenant: OwnedExtensions(frozenset(listed[tenant]), frozenset(ranges[tenant]))
        for tenant in tenants
    }


async def records_of(
    connection: Connection,
    server_id: str,
    keys: Collection[ServiceKey],
    named: Collection[Element],
) -> dict[Element, SwitchedOffRecord]:
    """The records of these services and of these elements (`REST`: of all extensions)."""
    rows = await connection.fetch(_RECORDS, server_id, *key_columns(keys), *element_columns(named))
    return {record.element: record for record in map(record_of, rows)}


async def element_context(
    connection: Connection,
    server_id: str,
    elements: Collection[Element],
    records: Mapping[Element, SwitchedOffRecord],
) -> ElementContext:
    """The claims, records and owners of `elements`; `records` has to contain all their records."""
    owners = {record.owner for record in records.values()}
    found = {
        (row["account_id"], row["service_id"]): OwnerState(
            row["off"], row["confirmed"], frozenset(row["ways"]), row["elsewhere"]
        )
        for row in await connection.fetch(_OWNERS, server_id, *key_columns(owners))
    }
    rows = await connection.fetch(_CLAIMS, server_id, *element_columns(elements))
    return ElementContext(dict(records), _claims(rows), found)


def _claims(rows: Iterable[Any]) -> dict[Element, list[ElementClaim]]:
    """The services that claim each element: those that name it, else a range, else the rest.

    An extension that a product lists is no part of another's range, nor of the rest of its tenant;
    one in a range is no part of the rest. If that product's service is to be on, its claim keeps
    the extension on, whichever way the product is switched.
    """
    named: dict[Element, list[ElementClaim]] = {}
    listed: dict[Element, list[ElementClaim]] = {}
    ranged: dict[Element, list[ElementClaim]] = {}
    listed_by_range: dict[Element, list[ElementClaim]] = {}
    rest: dict[Element, list[ElementClaim]] = {}
    for row in rows:
        element = Element(row["way"], row["tenant"], row["name"])
        claim = ElementClaim((row["account_id"], row["service_id"]), row["off"])
        if row["ranged"]:
            chosen = listed_by_range if row["listed"] else ranged
        else:
            chosen = rest if row["rest"] else listed if row["listed"] else named
        chosen.setdefault(element, []).append(claim)
    in_range = ranged.keys() | listed_by_range.keys()
    claims = {e: found for e, found in rest.items() if e not in listed and e not in in_range}
    of_ranges = _to_be_on(listed_by_range) | ranged
    claims |= {element: found for element, found in of_ranges.items() if element not in listed}
    return claims | _to_be_on(listed) | named


def _to_be_on(claims: Mapping[Element, list[ElementClaim]]) -> dict[Element, list[ElementClaim]]:
    """The claims of services that are to be on; elements without any are left out."""
    return {e: on for e, found in claims.items() if (on := [c for c in found if not c.off])}


class SwitchedOffStore:
    """Writes the records of elements that we switch off."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, server_id: str, rows: Collection[RecordWrite], now: datetime) -> None:
        """Write the records before the first toggle. Existing ones are not replaced by new ones."""
        new = [row for row in rows if row.is_new]
        changed = [row for row in rows if not row.is_new]
        async with self._pool.acquire() as connection, connection.transaction():
            if new:
                values = [(*r.element, *r.owner, r.was_on, r.value, r.adopted) for r in new]
                await connection.execute(_RECORD, server_id, now, *columns(values))
            if changed:
                rows_of = [(server_id, *r.element, *r.owner, r.was_on, r.value) for r in changed]
                await connection.executemany(_CHANGE_RECORD, sorted(rows_of))


class OffAt(NamedTuple):
    """The number of elements on a server that we switched off."""

    server_id: str
    elements: int


async def elements_off(pool: Pool) -> list[OffAt]:
    """The number of elements that are off, for each server that has some."""
    rows = await pool.fetch(
        "select server_id, count(*) from suspender.switched_off where was_on group by server_id"
    )
    return [OffAt(*row) for row in rows]


def record_of(row: Any) -> SwitchedOffRecord:
    """A row of suspender.switched_off."""
    owner = (row["account_id"], row["service_id"])
    return SwitchedOffRecord(element_of(row), owner, row["was_on"], row["value"], row["released"])


def element_of(row: Any) -> Element:
    """The element that a row is about."""
    return Element(row["way"], row["tenant"], row["element"])


def columns(rows: Collection[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns, for `unnest`. There has to be at least one row."""
    return [list(column) for column in zip(*rows, strict=True)]


def key_columns(keys: Iterable[ServiceKey]) -> tuple[list[str], list[str]]:
    """Keys of services as columns, in order."""
    ordered = sorted(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered]


def element_columns(elements: Iterable[Element]) -> tuple[list[str], list[str], list[str]]:
    """Elements as columns, in order."""
    ordered = sorted(elements)
    return [e.way for e in ordered], [e.tenant for e in ordered], [e.name for e in ordered]
