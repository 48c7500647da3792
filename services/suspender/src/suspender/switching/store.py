"""The work that is due on the PBXs, and its results."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import Service
from suspender.rules.account import AccountState
from suspender.rules.elements import REST, OwnedExtensions, ServiceKey, is_open
from suspender.rules.suspension import SwitchState
from suspender.rules.turns import Rest, Survey, names_of, turn_of
from suspender.rules.work import BatchResult, ConfirmedService, DueService, LooseElement
from suspender.store import (
    ACCOUNT_COLUMNS,
    SERVICE_COLUMNS,
    account_of,
    service_of,
)
from suspender.store_elements import (
    IN_RANGE,
    RECORD_COLUMNS,
    element_context,
    owned_extensions,
    record_of,
    records_of,
)
from suspender.switching.store_finish import clear_element_failures, write_finished

_NOT_PAUSED = """
not exists (select from suspender.server_pause p where p.server_id = {0}.server_id)
"""
# While the brake is on, no service is suspended for funds alone.
_DUE = f"""
s.wanted_seq > s.confirmed_seq and s.next_attempt_at <= now() and s.would <> 'leave' and (
    s.wanted = 'active' or s.holds <> '{{funds}}'
    or not exists (select from suspender.brake where on_since is not null)
) and {_NOT_PAUSED.format("s")}
"""
# Elements that may have to be switched although no service is due; the plan decides. An owner that
# is due to be switched on switches its own elements.
_LOOSE = f"""
select o.server_id, {RECORD_COLUMNS}, o.attempts, o.failure_told, s.product,
    o.confirmed_at is null as unconfirmed, s.wanted_seq > s.confirmed_seq or exists (
        select from suspender.named_element n
        join suspender.service c on c.account_id = n.account_id and c.service_id = n.service_id
        where (n.server_id, n.way, n.tenant) = (o.server_id, o.way, o.tenant)
            and n.element in (o.element, '*') and c.wanted_seq > c.confirmed_seq
    ) or exists (
        select from suspender.named_range r
        join suspender.service c on c.account_id = r.account_id and c.service_id = r.service_id
        where {IN_RANGE} and r.way = o.way and c.wanted_seq > c.confirmed_seq
    ) as due
from suspender.switched_off o
join suspender.service s on s.account_id = o.account_id and s.service_id = o.service_id
where o.next_attempt_at <= now() and {_NOT_PAUSED.format("o")}
and not (
    s.wanted_seq > s.confirmed_seq and s.wanted = 'active' and s.would <> 'leave'
    and s.server_id = o.server_id
)
and (
    s.wanted = 'active' or s.departed or s.server_id <> o.server_id
    or o.released or o.confirmed_at is null or o.attempts > 0
    or not exists (
        select from suspender.named_element n
        where (n.account_id, n.service_id) = (o.account_id, o.service_id)
            and (n.server_id, n.way, n.tenant) = (o.server_id, o.way, o.tenant)
            and n.element in (o.element, '*')
    ) and not exists (
        select from suspender.named_range r
        where (r.account_id, r.service_id) = (o.account_id, o.service_id)
            and {IN_RANGE} and r.way = o.way
    )
    or exists (
        select from suspender.named_element n
        join suspender.service c on c.account_id = n.account_id and c.service_id = n.service_id
        where (n.server_id, n.tenant) = (o.server_id, o.tenant) and n.element in (o.element, '*')
            and n.way in (o.way, 'listed') and c.wanted = 'active'
    )
    or exists (
        select from suspender.named_range r
        join suspender.service c on c.account_id = r.account_id and c.service_id = r.service_id
        where {IN_RANGE} and c.wanted = 'active' and not exists (
            select from suspender.named_element n
            where (n.server_id, n.way, n.tenant, n.element)
                = (o.server_id, 'listed', o.tenant, o.element)
        )
    )
)
"""  # noqa: S608 - constants


class WorkStore:
    """The rows that the worker acts on."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def servers_with_work(self) -> list[str]:
        """The servers on which a service is due now."""
        rows = await self.pool.fetch(
            f"select distinct server_id from suspender.service s where {_DUE}"  # noqa: S608
        )
        return [row["server_id"] for row in rows]

    @asynccontextmanager
    async def lock_server(self, server_id: str) -> AsyncIterator[bool]:
        """Hold a server's advisory lock: toggled by two replicas, an element would flip twice.

        Yields whether the lock was free. It ends with the connection, also after a kill.
        """
        key = f"suspender:{server_id}"
        async with self.pool.acquire() as connection:
            held = await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", key)
            try:
                yield bool(held)
            finally:
                if held:
                    await connection.execute("select pg_advisory_unlock(hashtext($1))", key)

    async def due(self, server_id: str, wanted: SwitchState, limit: int) -> list[DueService]:
        """The services that are due on a server, at most `limit`.

        Suspensions are ordered by the most negative credit (unknown last), then by age; restores
        by age.
        """
        names = ", ".join(f"s.{name}" for name in SERVICE_COLUMNS.split(", "))
        rows = await self.pool.fetch(
            f"select {names}, s.wanted_at, s.attempts, s.failure_told_seq"  # noqa: S608
            " from suspender.service s join suspender.account a using (account_id)"
            f" where s.server_id = $1 and s.wanted = $2 and {_DUE}"
            " order by case when s.wanted = 'suspended' then a.balance_micro end nulls last,"
            " s.wanted_at, s.account_id, s.service_id limit $3",
            server_id,
            wanted,
            limit,
        )
        found = await self.pool.fetch(
            f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
            " where account_id = any($1)",
            list({row["account_id"] for row in rows}),
        )
        accounts = {row["account_id"]: account_of(row) for row in found}
        return [
            _due(row, accounts[row["account_id"]]) for row in rows if row["account_id"] in accounts
        ]

    async def without_hold(self, due: Sequence[DueService]) -> set[ServiceKey]:
        """Those that are to be off for funds alone, though balance-watch holds no such account.

        The account was restored a moment ago, or the crossing did not come from balance-watch.
        """
        for_funds = [item.service for item in due if item.service.is_off_for_funds_alone]
        if not for_funds:
            return set()
        rows = await self.pool.fetch(
            "select account_id from report.level where account_id = any($1) and not held",
            list({service.account_id for service in for_funds}),
        )
        not_held = {row["account_id"] for row in rows}
        return {service.key for service in for_funds if service.account_id in not_held}

    async def loose(self) -> list[LooseElement]:
        """Elements on all servers that may have to be switched although no service is due."""
        return [_loose(row) for row in await self.pool.fetch(_LOOSE)]

    async def clear_failures(self, rows: Sequence[LooseElement], now: datetime) -> None:
        """Reset the failures of elements that are in their desired state by now."""
        if rows:
            async with self.pool.acquire() as acquired, acquired.transaction():
                await clear_element_failures(cast(Any, acquired), rows, now)

    async def survey(
        self, server_id: str, due: Sequence[DueService], loose: Sequence[LooseElement], rest: Rest
    ) -> Survey:
        """The turns of `due` services, with the claims and records of all their elements.

        It is one snapshot of the database; the loose elements are included.
        """
        async with (
            self.pool.acquire() as acquired,
            acquired.transaction(isolation="repeatable_read", readonly=True),
        ):
            connection = cast(Any, acquired)
            services = [item.service for item in due]
            named = {element for service in services for element in names_of(service)}
            named |= {row.record.element for row in loose}
            open_names = {element for element in named if is_open(element)}
            tenants = {element.tenant for element in open_names}
            owned = await owned_extensions(connection, server_id, tenants)
            named |= {element._replace(name=REST) for element in open_names}
            keys = [service.key for service in services]
            records = await records_of(connection, server_id, keys, named)
            turns = [turn_of(service, records, rest, owned) for service in services]
            elements = {element for turn in turns for element in turn.elements}
            elements |= {row.record.element for row in loose if row.record.element in records}
            own = {element: records[element] for element in elements & records.keys()}
            context = await element_context(connection, server_id, elements, own)
        return Survey(turns, context)

    async def owned(self, server_id: str, tenant: str) -> OwnedExtensions:
        """What the products of a tenant have: extensions and ranges."""
        async with self.pool.acquire() as acquired:
            found = await owned_extensions(cast(Any, acquired), server_id, [tenant])
        return found[tenant]

    async def finish(self, finished: BatchResult, now: datetime) -> None:
        """Write and publish the results of a batch, in one transaction."""
        async with self.pool.acquire() as acquired, acquired.transaction():
            await write_finished(cast(Any, acquired), finished, now)

    async def confirm(self, due: DueService, evidence: str, now: datetime) -> None:
        """Confirm one service; see `finish`."""
        confirmed = [ConfirmedService(due, evidence)]
        await self.finish(BatchResult(due.service.server_id, confirmed=confirmed), now)


def _due(row: Any, account: AccountState) -> DueService:
    values = dict(row)
    more = [values.pop(name) for name in ("wanted_at", "attempts", "failure_told_seq")]
    return DueService(account, service_of(values), *more)


def _loose(row: Any) -> LooseElement:
    return LooseElement(
        row["server_id"],
        record_of(row),
        Service.model_validate(row["product"]),
        row["attempts"],
        row["failure_told"],
        row["unconfirmed"],
        row["due"],
    )
