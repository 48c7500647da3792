"""The list of clients, each with its balance, level and state: SQL.

One query reads a page. It computes the states, so that it can filter and count by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg import Record

from accounts.clients.overview.row import ClientRow
from accounts.refusals import unknown_client
from accounts.store_rows import as_account
from ringfence.postgres.pool import Pool

STATES = ("on", "off", "switching", "failed", "no-service", "would-be-off")
_SEPARATORS = str.maketrans("", "", " -().+/")

_PRODUCTS = """
left join lateral (
    select
        json_agg(json_build_object(
            'service_id', p.service_id, 'prepaid', (p.service ->> 'prepaid')::boolean,
            'server_id', p.service ->> 'server_id', 'would', s.would, 'wanted', s.wanted,
            'confirmed', s.confirmed, 'open', coalesce(s.open, false), 'since', s.since,
            'attempts', s.attempts, 'last_error', s.last_error, 'failure', f.failure,
            'proven', coalesce(s.proven, true), 'ended_calls', f.ended_calls,
            'kind', p.service ->> 'kind', 'suspend_by', p.service ->> 'suspend_by',
            'outbound_only', coalesce((p.service ->> 'outbound_only')::boolean, false)
        ) order by p.service_id) as products,
        count(*) as count,
        bool_or(f.failure is not null and coalesce(s.open, true)) as failed,
        bool_or(s.open and not (s.holds = '{funds}' and s.wanted = 'suspended'
            and exists (select from report.brake where on_since is not null))) as switching,
        bool_or(s.confirmed = 'suspended') as off,
        bool_or(s.would = 'suspended') as would_off
    from accounts.product p
    left join report.service_state s on s.service_id = p.service_id and s.account_id = p.account_id
    left join accounts.service_state f on f.service_id = p.service_id
    where p.account_id = a.account_id
) p on true
"""
_STATE = """
case
    when not (a.profile ->> 'has_voip_service')::boolean or p.count = 0 then 'no-service'
    when p.failed then 'failed'
    when p.switching then 'switching'
    when p.off then 'off'
    else 'on'
end
"""
_WOULD = f"""
case
    when a.mode <> 'shadow' or {_STATE} = 'no-service' then null
    when p.would_off then 'off'
    else 'on'
end
"""
_POSTED = """
(coalesce(b.version, 0) > 0
    or exists (select from accounts.payment y where y.account_id = a.account_id))
"""
_FROM = f"""
from accounts.account a
left join report.balance b on b.account_id = a.account_id
left join report.level l on l.account_id = a.account_id
left join report.hold h on h.account_id = a.account_id
{_PRODUCTS}
"""
_COLUMNS = f"""
select a.*, b.balance_micro, l.level, coalesce(l.held, false) as held, h.held_since,
    coalesce(h.undone_hold > 0 and h.undone_hold = l.hold, false) as undone,
    p.products, {_STATE} as state, {_WOULD} as would,
    (select o.amount_micro from accounts.payment o
        where o.account_id = a.account_id and o.idempotency_key = 'opening') as opening_micro,
    exists (select from report.brake where on_since is not null) as braked,
    (select json_agg(json_build_object('service_id', d.service_id, 'server_id', d.server_id,
            'confirmed', d.confirmed, 'since', d.since, 'proven', d.proven,
            'last_error', d.last_error) order by d.service_id)
        from report.service_state d where d.account_id = a.account_id and d.departed) as departed
{_FROM}
"""  # noqa: S608 - constants of this module
_MATCHES = f"""
where ($1::text is null or a.account_id ilike $1
        or concat_ws(' ', a.client ->> 'first_name', a.client ->> 'last_name') ilike $1
        or a.client ->> 'company_name' ilike $1 or a.client ->> 'email' ilike $1
        or exists (
            select from accounts.product q
            where q.account_id = a.account_id
                and (q.service_id ilike $1 or q.service ->> 'tenant' ilike $1
                    or q.service ->> 'dids' ilike $1 or q.service ->> 'extensions' ilike $1
                    or q.service ->> 'dids' like $2 or q.service ->> 'extensions' like $2)
        ))
    and ($3::text is null or l.level = $3)
    and ($4::text is null or a.mode = $4)
    and ($5::boolean is null or $5 = {_POSTED})
    and ($6::text is null or {_STATE} = $6)
    and ($7::text is null or {_WOULD} = $7)
"""

_IS_OFF = f"coalesce({_WOULD}, {_STATE}) = 'off'"
_NEXT = f"order by {_POSTED} desc, {_IS_OFF}, a.account_id"
"""The order of a wave: those whom nothing happens to come first."""


@dataclass(frozen=True)
class Filters:
    """The filters of a list of clients; None: not filtered by this."""

    search: str | None = None
    state: str | None = None
    level: str | None = None
    mode: str | None = None
    posted: bool | None = None

    def arguments(self) -> tuple[Any, ...]:
        """The arguments $1 to $7 of the query."""
        would = "off" if self.state == "would-be-off" else None
        return (
            *_patterns(self.search),
            self.level,
            self.mode,
            self.posted,
            None if would else self.state,
            would,
        )


def _patterns(search: str | None) -> tuple[str | None, str | None]:
    """The text as a LIKE pattern, and its digits as one if it is a number with separators."""
    text = (search or "").strip()
    if not text:
        return None, None
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    digits = text.translate(_SEPARATORS)
    number = f"%{digits}%" if digits.isascii() and digits.isdigit() else None
    return f"%{escaped}%", number


class Overview:
    """Reads clients with their state from the schema `report`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def client(self, account_id: str) -> ClientRow:
        """One client. Raises Unknown."""
        row = await self._pool.fetchrow(f"{_COLUMNS} where a.account_id = $1", account_id)
        if row is None:
            raise unknown_client(account_id)
        return _as_row(row)

    async def clients(self, filters: Filters, after: str | None, limit: int) -> list[ClientRow]:
        """Clients that match, in the order of their ids, after the id `after`."""
        rows = await self._pool.fetch(
            f"{_COLUMNS} {_MATCHES} and a.account_id > $8 order by a.account_id limit $9",
            *filters.arguments(),
            after or "",
            limit,
        )
        return [_as_row(row) for row in rows]

    async def count(self, filters: Filters) -> int:
        """How many clients match."""
        found: int = await self._pool.fetchval(
            f"select count(*) {_FROM} {_MATCHES}",
            *filters.arguments(),
        )
        return found

    async def modes(self) -> dict[str, int]:
        """How many clients are in each mode, and how many have no posting."""
        row = await self._pool.fetchrow(
            "select count(*) filter (where a.mode = 'live') as live,"  # noqa: S608
            " count(*) filter (where a.mode = 'shadow') as shadow,"
            f" count(*) filter (where not {_POSTED}) as without_posting"
            " from accounts.account a left join report.balance b on b.account_id = a.account_id"
        )
        return dict(row) if row else {}

    async def next_of_mode(self, filters: Filters, limit: int) -> list[ClientRow]:
        """Clients that match: those who are on first, those without any posting last."""
        rows = await self._pool.fetch(
            f"{_COLUMNS} where a.account_id in (select a.account_id {_FROM} {_MATCHES}"
            f" {_NEXT} limit $8) {_NEXT}",
            *filters.arguments(),
            limit,
        )
        return [_as_row(row) for row in rows]

    async def named(self, account_ids: Sequence[str]) -> list[ClientRow]:
        """Those of these clients that exist, in the order in which they are named."""
        rows = await self._pool.fetch(
            f"{_COLUMNS} where a.account_id = any($1::text[])"
            " order by array_position($1::text[], a.account_id)",
            account_ids,
        )
        return [_as_row(row) for row in rows]

    async def unposted(self, account_ids: Sequence[str]) -> set[str]:
        """Those of these clients without any posting."""
        rows = await self._pool.fetch(
            "select a.account_id from accounts.account a"  # noqa: S608
            " left join report.balance b on b.account_id = a.account_id"
            f" where a.account_id = any($1::text[]) and not {_POSTED}",
            account_ids,
        )
        return {row["account_id"] for row in rows}

    async def counts_of_mode(self, filters: Filters) -> dict[str, int]:
        """Of the clients that match: all, those who are or would be off, and the refused ones."""
        shadow = filters.mode == "shadow"
        row = await self._pool.fetchrow(
            "select count(*) as total,"
            f" count(*) filter (where {_IS_OFF}) as off,"
            f" count(*) filter (where {'not ' + _POSTED if shadow else 'false'}) as refused"
            f" {_FROM} {_MATCHES}",
            *filters.arguments(),
        )
        return dict(row) if row else {}


def _as_row(row: Record) -> ClientRow:
    return ClientRow(
        account=as_account(row),
        balance_micro=row["balance_micro"],
        opening_micro=row["opening_micro"],
        level=row["level"],
        held=row["held"],
        undone=row["undone"],
        braked=row["braked"],
        held_since=row["held_since"],
        state=row["state"],
        would=row["would"],
        products=tuple(row["products"] or ()),
        departed=tuple(row["departed"] or ()),
    )
