"""The state of each server as the suspender shows it: pauses, elements off, failures: SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ringfence.clock import Clock
from ringfence.postgres.pool import Pool

_SERVERS = """
with known as (
    select unnest($1::text[]) as server_id
    union select server_id from report.server_pause
    union select server_id from report.switched_off where was_on
)
select k.server_id, p.paused_at, p.paused_until, p.paused_by, p.reason as pause_reason,
    (select count(*) from accounts.product q where q.service ->> 'server_id' = k.server_id)
        as products,
    (select count(*) from report.switched_off o where o.server_id = k.server_id and o.was_on)
        as elements_off,
    (select count(*) from report.drift d where d.server_id = k.server_id) as drifting,
    (select count(*) from report.off_by_others x where x.server_id = k.server_id)
        as off_by_others,
    coalesce(f.failing, 0) as failing, coalesce(f.last_error, '') as last_error,
    r.read_at as inventory_read_at, coalesce(r.error, '') as inventory_error
from known k
left join report.server_pause p on p.server_id = k.server_id
    and (p.paused_until is null or p.paused_until > $2)
left join report.inventory_read r on r.server_id = k.server_id
left join lateral (
    select count(*) as failing, (array_agg(s.last_error order by s.since desc))[1] as last_error
    from report.service_state s
    where s.server_id = k.server_id and s.open and s.last_error <> ''
) f on true
order by k.server_id
"""


class ServerStore:
    """Reads the states of servers."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def states(self, listed: Sequence[str]) -> list[dict[str, Any]]:
        """The servers `listed`, and others that are paused or where something is off."""
        rows = await self._pool.fetch(_SERVERS, list(listed), self._clock.now())
        return [dict(row) for row in rows]

    async def is_paused(self, server_id: str) -> bool:
        """Whether a server is paused; it need not be in the servers file."""
        now: datetime = self._clock.now()
        found: bool = await self._pool.fetchval(
            "select exists (select from report.server_pause where server_id = $1"
            " and (paused_until is null or paused_until > $2))",
            server_id,
            now,
        )
        return found
