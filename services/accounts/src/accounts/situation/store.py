"""Reads what an operator looks at first from the views of all services: SQL."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from accounts.situation.burn import DAY, WEEK, Burn, credit_of
from accounts.situation.store_kinds import KIND, KINDS, SERVICE_FLAGS
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool
from ringfence_contracts.money import format_micro

_CLIENTS = f"""
with service as (
    select account_id,
        {SERVICE_FLAGS}
    from report.service_state where not departed group by account_id
), product as (
    select account_id, bool_or((service ->> 'prepaid')::boolean) as prepaid
    from accounts.product group by account_id
), client as (
    select a.account_id, a.currency, coalesce(b.balance_micro, 0) as balance_micro,
        coalesce(nullif(a.client ->> 'company_name', ''),
            concat_ws(' ', a.client ->> 'first_name', a.client ->> 'last_name')) as name,
        l.threshold_micro, a.credit_limit_micro, a.outstanding_micro,
        coalesce(s.last_error, '') as last_error,
        {KIND} as kind
    from accounts.account a
    left join report.balance b using (account_id)
    left join report.level l using (account_id)
    left join service s using (account_id)
    left join product p using (account_id)
)
"""  # noqa: S608 - constants of this package
# Those who are listed, and of each kind at least one, with how many clients are of its kind.
_FIRST = f"""{_CLIENTS}
select * from (
    select *, count(*) over (partition by kind) as of_kind,
        row_number() over (partition by kind order by account_id) as in_kind,
        row_number() over (order by array_position($1::text[], kind),
            balance_micro + credit_limit_micro - coalesce(threshold_micro, 0), account_id) as place
    from client
) as placed where place <= $2 or in_kind = 1 order by place
"""  # noqa: S608 - constants of this package
_UNRATED = """
select reason, count(*) as calls, coalesce(sum(billsec), 0)::bigint as talk_s,
    min(started_at) as oldest_at
from report.unrated group by reason order by count(*) desc, reason
"""
_MONEY = """
select b.currency,
    coalesce(-sum(l.amount_micro) filter (where l.kind in ('charge', 'reversal')), 0)::bigint
        as charged_micro,
    coalesce(sum(l.amount_micro) filter (where l.kind = 'top-up'), 0)::bigint as paid_in_micro
from report.ledger l join report.balance b using (account_id)
where l.posted_at >= $1
group by b.currency order by b.currency
"""
_COUNTS = """
select
    (select count(*) from report.alarm where ended_at is null) as alarms,
    (select count(*) from report.alarm where ended_at is null and severity = 'critical')
        as critical,
    (select count(*) from report.dead_letter where state = 'dead') as dead,
    (select count(*) from report.notice where state in ('failed', 'in doubt')) as mails,
    exists (select from report.brake where on_since is not null) as brake
"""
# Entries are in the order of their versions: the search backwards ends at the first one that is
# older than the period, so it reads the period's entries alone.
_BURN = """
with bound as (
    select k.account_id,
        coalesce((select version from report.ledger l where l.account_id = k.account_id
            and l.posted_at < $2 order by version desc limit 1), 0) as after_day,
        coalesce((select version from report.ledger l where l.account_id = k.account_id
            and l.posted_at < $3 order by version desc limit 1), 0) as after_week
    from unnest($1::text[]) as k (account_id)
)
select b.account_id,
    coalesce(-sum(l.amount_micro) filter (where l.version > b.after_day), 0)::bigint as day_micro,
    coalesce(-sum(l.amount_micro), 0)::bigint as week_micro,
    case when b.after_week > 0 then $3 else min(l.posted_at) end as since
from bound b
left join report.ledger l on l.account_id = b.account_id and l.version > b.after_week
    and l.kind in ('charge', 'reversal')
group by b.account_id, b.after_day, b.after_week
"""
_CACHED_S = 10.0


class SituationStore:
    """Reads the situation; the sums over today's entries are at most 10 s old."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._money: dict[datetime, tuple[float, list[dict[str, Any]]]] = {}
        self._summing = asyncio.Lock()

    async def situation(self, midnight: datetime, limit: int) -> dict[str, Any]:
        """All of it; `midnight` is when today began, and `limit` how many clients are listed."""
        placed = await self._pool.fetch(_FIRST, list(KINDS), limit)
        counts = await self._pool.fetchrow(_COUNTS)
        assert counts is not None, "a row of counts"
        found = {row["kind"]: row["of_kind"] for row in placed}
        first = [row for row in placed if row["place"] <= limit]
        burns = await self.burns([row["account_id"] for row in first])
        now = self._clock.now()
        return {
            "at": now,
            "kinds": {kind: found.get(kind, 0) for kind in KINDS},
            "unrated": await self._unrated(),
            "money": await self._money_since(midnight),
            **dict(counts),
            "clients": [_needy(dict(row), burns[row["account_id"]], now) for row in first],
        }

    async def burn(self, account_id: str) -> dict[str, Any] | None:
        """How fast a client uses its credit; None for a client that does not exist."""
        query = f"{_CLIENTS} select * from client where account_id = $1"  # noqa: S608
        row = await self._pool.fetchrow(query, account_id)
        if row is None:
            return None
        return burn_shown(
            dict(row), (await self.burns([account_id]))[account_id], self._clock.now()
        )

    async def burns(self, account_ids: Sequence[str]) -> dict[str, Burn]:
        """How fast each of these clients uses its credit."""
        now = self._clock.now()
        rows = await self._pool.fetch(_BURN, account_ids, now - DAY, now - WEEK)
        return {
            row["account_id"]: Burn(
                day_micro=row["day_micro"],
                week_micro=row["week_micro"],
                known_days=(now - row["since"]) / DAY if row["since"] else 1.0,
            )
            for row in rows
        }

    async def _unrated(self) -> dict[str, Any]:
        rows = await self._pool.fetch(_UNRATED)
        return {
            "calls": sum(row["calls"] for row in rows),
            "talk_s": sum(row["talk_s"] for row in rows),
            "oldest_at": min((row["oldest_at"] for row in rows), default=None),
            "reasons": {row["reason"]: row["calls"] for row in rows},
        }

    async def _money_since(self, midnight: datetime) -> list[dict[str, Any]]:
        """One sum at a time, however many pages ask for it."""
        async with self._summing:
            now = asyncio.get_running_loop().time()
            summed_at, found = self._money.get(midnight, (-_CACHED_S, []))
            if now - summed_at >= _CACHED_S:
                rows = await self._pool.fetch(_MONEY, midnight)
                found = [_with_decimals(dict(row), "charged", "paid_in") for row in rows]
                self._money = {midnight: (now, found)}
            return found


def _needy(row: Mapping[str, Any], burn: Burn, now: datetime) -> dict[str, Any]:
    shown = {
        name: row[name]
        for name in ("account_id", "name", "kind", "currency", "balance_micro", "threshold_micro",
                     "credit_limit_micro", "last_error")
    }  # fmt: skip
    return {**_with_decimals(shown, "balance"), "burn": burn_shown(row, burn, now)}


def burn_shown(row: Mapping[str, Any], burn: Burn, now: datetime) -> dict[str, Any]:
    """The burn of a client's row."""
    credit = credit_of(row)
    facts = {
        "account_id": row["account_id"],
        "currency": row["currency"],
        "day_micro": burn.day_micro,
        "week_micro": burn.week_micro,
        "pace_micro": burn.pace_micro,
        "credit_micro": credit,
        "out_at": burn.out_at(credit, now),
    }
    return _with_decimals(facts, "day", "week", "pace", "credit")


def _with_decimals(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**facts, **{name: format_micro(facts[f"{name}_micro"]) for name in names}}
