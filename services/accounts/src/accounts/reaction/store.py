"""Reads how soon services were switched, from the suspender's record of each switch: SQL."""

from datetime import timedelta
from typing import Any

from accounts.reaction.wording import reaction_words
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool

PERIOD = timedelta(hours=1)
MOST = 10_000
BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""The upper bounds of the buckets; what takes longer is in a last one."""

_LAST_HOUR = """
with switch as (
    select greatest(0, extract(epoch from confirmed_at - occurred_at))::float8 as total_s,
        greatest(0, extract(epoch from posted_at - occurred_at))::float8 as charged_s,
        greatest(0, extract(epoch from confirmed_at - posted_at))::float8 as switched_s
    from report.reaction
    where confirmed_at > $1 and wanted = 'suspended' order by confirmed_at desc limit $2
), bucket as (
    select width_bucket(total_s, $3::float8[]) as number, count(*) as count from switch group by 1
)
select count(*) as count,
    percentile_cont(0.5) within group (order by total_s) as p50_s,
    percentile_cont(0.99) within group (order by total_s) as p99_s,
    max(total_s) as longest_s,
    percentile_cont(0.5) within group (order by charged_s) as charged_p50_s,
    percentile_cont(0.5) within group (order by switched_s) as switched_p50_s,
    (select json_object_agg(number, count) from bucket) as buckets
from switch
"""
_LAST = """
select service_id, wanted, occurred_at, posted_at, confirmed_at,
    greatest(0, extract(epoch from confirmed_at - occurred_at))::float8 as total_s
from report.reaction where account_id = $1 order by confirmed_at desc limit 1
"""


class ReactionStore:
    """Reads reactions."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def last_hour(self) -> dict[str, Any]:
        """The distribution of the last hour."""
        now = self._clock.now()
        row = await self._pool.fetchrow(_LAST_HOUR, now - PERIOD, MOST, list(BOUNDS_S))
        assert row is not None, "a row of counts"
        found = dict(row)
        counts = found.pop("buckets") or {}
        lower, upper = (0.0, *BOUNDS_S), (*BOUNDS_S, None)
        buckets = [
            {"from_s": from_s, "upto_s": upto_s, "count": counts.get(str(number), 0)}
            for number, (from_s, upto_s) in enumerate(zip(lower, upper, strict=True))
        ]
        return {"since": now - PERIOD, "until": now, **found, "buckets": buckets}

    async def last_of(self, account_id: str) -> dict[str, Any]:
        """The last reaction of a client; all of it None before the first one."""
        row = await self._pool.fetchrow(_LAST, account_id)
        if row is None:
            names = ("service_id", "became", "caused_at", "posted_at", "confirmed_at", "total_s")
            return {"account_id": account_id, **dict.fromkeys(names), "words": ""}
        became = "off" if row["wanted"] == "suspended" else "on"
        return {
            "account_id": account_id,
            "service_id": row["service_id"],
            "became": became,
            "caused_at": row["occurred_at"],
            "posted_at": row["posted_at"],
            "confirmed_at": row["confirmed_at"],
            "total_s": row["total_s"],
            "words": reaction_words(became, row["total_s"]),
        }
