"""What the live view shows of the clients, read from the schema `report`: SQL."""

from dataclasses import dataclass

import asyncpg

from accounts.situation.store_kinds import KIND, KINDS, SERVICE_FLAGS

_CLIENTS = f"""
with service as (
    select account_id,
        bool_or(wanted = 'suspended') as wanted_off,
        {SERVICE_FLAGS}
    from report.service_state group by account_id
), product as (
    select account_id, bool_or((service ->> 'prepaid')::boolean) as prepaid
    from report.product group by account_id
), client as (
    select b.account_id, b.balance_micro, b.currency, coalesce(l.level, '') as level,
        l.threshold_micro, coalesce(l.credit_limit_micro, 0) as credit_limit_micro,
        coalesce(l.held, false) as held, coalesce(s.wanted_off, false) as wanted_off,
        coalesce(s.last_error, '') as last_error,
        {KIND} as kind
    from report.balance b
    left join report.level l using (account_id)
    left join service s using (account_id)
    left join product p using (account_id)
)
"""  # noqa: S608 - constants of this package
_LISTED = f"""{_CLIENTS}
select * from client
order by array_position($1::text[], kind), balance_micro - threshold_micro nulls last, account_id
limit $2
"""  # noqa: S608 - constants of this module
_COUNTED = f"{_CLIENTS} select kind, count(*) from client group by kind"  # noqa: S608


@dataclass(frozen=True)
class WatchedClient:
    """A client with its balance (micro-units), and what a person should know of it.

    `kind` says it in short: `failed` (switching failed), `off`, `switching`, `would be off` (in
    shadow), `exhausted` (without funds, but on), `metered` (the same, and right: no product is
    prepaid), `low` or `ok`. `threshold_micro` is None if no alert is wanted.
    """

    account_id: str
    balance_micro: int
    currency: str
    level: str
    threshold_micro: int | None
    credit_limit_micro: int
    held: bool
    wanted_off: bool
    last_error: str
    kind: str


async def read_clients(connection: asyncpg.Connection, limit: int) -> list[WatchedClient]:
    """At most `limit` clients: who needs help first, then by credit above the threshold."""
    rows = await connection.fetch(_LISTED, list(KINDS), limit)
    return [WatchedClient(**row) for row in rows]


async def count_clients(connection: asyncpg.Connection) -> dict[str, int]:
    """The number of clients of each kind that occurs."""
    return {row["kind"]: row["count"] for row in await connection.fetch(_COUNTED)}


async def count_unrated(connection: asyncpg.Connection) -> int:
    """The number of calls that wait without a price."""
    count: int = await connection.fetchval("select count(*) from report.unrated")
    return count


async def count_open_alarms(connection: asyncpg.Connection) -> int:
    """The number of alarms that were raised and did not end."""
    count: int = await connection.fetchval(
        "select count(*) from report.alarm where ended_at is null"
    )
    return count
