"""Calls of suspended services, from the ledger."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ringfence.postgres.pool import Pool
from suspender.store import ALARMS
from suspender.upkeep.drift.alarm import CALL_ALARM, OutboundCall, call_alarm

GRACE = timedelta(seconds=60)
"""A call that is answered this long after a confirmed suspension did not begin before it."""
_NEWS = timedelta(hours=1)
_AT_MOST = 1000
"""Ledger entries of an account that are read at a time; the drift loop covers older ones."""

_OFF = (
    "s.wanted = 'suspended' and s.confirmed = 'suspended' and s.wanted_seq = s.confirmed_seq"
    " and s.live"
)
_MOVED = f"""
with held as (
    select a.account_id, b.version from report.balance b
    join (select distinct account_id from suspender.service s where {_OFF}) as a using (account_id)
)
select h.account_id, coalesce(d.version, 0) as seen, h.version
from held h left join suspender.drift_balance d using (account_id)
where h.version > coalesce(d.version, 0)
"""  # noqa: S608 - constants
# The ledger's own key finds the new entries; report.call would be read as a whole.
_CALLS = f"""
select distinct on (s.account_id, s.service_id) s.account_id, s.service_id, s.server_id,
    coalesce(c.number, '') as number, c.answered_at, c.cost_micro, c.currency
from unnest($1::text[], $2::bigint[]) as m (account_id, seen)
cross join lateral (
    select l.explanation ->> 'service_id' as service_id, l.explanation ->> 'number' as number,
        coalesce(l.explanation ->> 'answered_at', l.explanation ->> 'started_at')::timestamptz
            as answered_at, -l.amount_micro as cost_micro, b.currency
    from report.ledger l join report.balance b using (account_id)
    where l.account_id = m.account_id and l.kind = 'charge'
        and l.version > greatest(m.seen, b.version - {_AT_MOST}) and l.posted_at > $3
        and l.explanation ->> 'direction' = 'outbound'
) as c
join suspender.service s on s.account_id = m.account_id and s.service_id = c.service_id
where {_OFF} and c.answered_at > s.confirmed_at + $4
order by s.account_id, s.service_id, c.answered_at desc
"""  # noqa: S608 - constants
# A call is explained if an element is being repaired, or was repaired after it was answered.
_UNEXPLAINED = f"""
select from suspender.service s
where s.account_id = $1 and s.service_id = $2 and {_OFF} and exists (
    select from suspender.switched_off o
    where o.account_id = s.account_id and o.service_id = s.service_id
) and not exists (
    select from suspender.switched_off o
    where o.account_id = s.account_id and o.service_id = s.service_id
        and (o.confirmed_at is null or o.confirmed_at >= $3 or o.released)
) and not exists (
    select from suspender.drift d
    where d.account_id = s.account_id and d.service_id = s.service_id and d.drifting
)
"""  # noqa: S608 - constants
_RESOLVED = f"""
select a.subject from suspender.alarm a
where a.key = '{CALL_ALARM}' and a.ended_at is null and not exists (
    select from suspender.service s
    where a.subject = s.account_id || '/' || s.service_id and {_OFF}
        and s.confirmed_at < a.raised_at
)
"""  # noqa: S608 - constants


class MovedBalance(NamedTuple):
    """An account with a suspended service whose balance is newer than version `seen`."""

    account_id: str
    seen: int
    version: int


class CallStore:
    """The rows of the watch for calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def moved(self) -> list[MovedBalance]:
        """The accounts with a suspended service whose balance changed since it was last seen."""
        return [MovedBalance(*row) for row in await self._pool.fetch(_MOVED)]

    async def calls(self, moved: Collection[MovedBalance], now: datetime) -> list[OutboundCall]:
        """The latest outbound call of each service that was answered while the service was off."""
        rows = await self._pool.fetch(
            _CALLS,
            [each.account_id for each in moved],
            [each.seen for each in moved],
            now - _NEWS,
            GRACE,
        )
        return [
            OutboundCall(
                (row["account_id"], row["service_id"]),
                row["server_id"],
                row["number"],
                row["answered_at"],
                row["cost_micro"],
                row["currency"],
            )
            for row in rows
        ]

    async def mark_seen(self, moved: Collection[MovedBalance]) -> None:
        """Record that the calls up to these versions were examined."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into suspender.drift_balance as d (account_id, version)"
                " select * from unnest($1::text[], $2::bigint[]) as m (account_id, version)"
                " order by account_id on conflict (account_id) do update"
                " set version = greatest(d.version, excluded.version)",
                [each.account_id for each in moved],
                [each.version for each in moved],
            )
            await connection.execute(
                "delete from suspender.drift_balance d where not exists ("
                " select from suspender.service s where s.account_id = d.account_id"
                " and s.confirmed = 'suspended')"
            )

    async def alarm_if_unexplained(self, call: OutboundCall, now: datetime) -> bool:
        """Raise `call-while-off` unless drift explains the call. Returns whether it was raised."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            found = await connection.fetch(_UNEXPLAINED, *call.service, call.answered_at)
            if not found:
                return False
            return await ALARMS.raise_alarm(
                connection, CALL_ALARM, "/".join(call.service), call_alarm(call), now
            )

    async def end_resolved(self, now: datetime) -> None:
        """End the alarms of services that are on by now, or that were confirmed off since."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            for row in await connection.fetch(_RESOLVED):
                await ALARMS.end_alarm(connection, CALL_ALARM, row["subject"], now)
