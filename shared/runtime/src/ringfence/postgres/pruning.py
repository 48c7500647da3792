"""Deletes rows of a finished past, so that a table that grows has a bound (docs/retention.md).

Each service names its tables as `PruneRule`s. One replica deletes at a time, in small batches, and
never while its service has a backlog. What is deleted changes no balance, decision or id: the
condition of a rule keeps the rows that something is still computed from.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ringfence.clock import Clock, SystemClock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool

BATCH = 5000
"""Rows deleted in one transaction: some tens of milliseconds."""

_EVERY_S = 60.0


class PruneRule(NamedTuple):
    """Rows of `table` (`t`) whose `instant` has passed the horizon and that satisfy `only`.

    `instant` is a column with an index. Rows where it is null are kept.
    """

    table: str
    instant: str
    only: str = "true"


def alarm_rule(schema: str) -> PruneRule:
    """The rule for a service's own alarms: those that ended."""
    return PruneRule(f"{schema}.alarm", "ended_at")


class PruneStore:
    """The deletes of one service's schema."""

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._schema = schema

    async def prune(self, rule: PruneRule, before: datetime) -> int:
        """Delete the oldest rows before an instant, at most BATCH; how many.

        0 while another replica deletes. A row that is written to at the same time is kept: its
        place in the table is then another one.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(
                "select pg_try_advisory_xact_lock(hashtext($1))", f"{self._schema}.prune"
            ):
                return 0
            deleted = await connection.execute(
                f"delete from {rule.table} where ctid = any(array("  # noqa: S608 - a service's constants
                f" select ctid from {rule.table} t where {rule.instant} < $1 and {rule.only}"
                f" order by {rule.instant} limit {BATCH}))",
                before,
            )
            return int(deleted.rsplit(" ", 1)[1])


class Pruning:
    """Deletes by a service's rules what is older than `kept`, while `behind` is false."""

    def __init__(
        self,
        store: PruneStore,
        rules: Sequence[PruneRule],
        *,
        kept: timedelta,
        progress: Progress,
        behind: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._kept = kept
        self._progress = progress
        self._behind = behind
        self._clock = clock or SystemClock()

    async def run(self, stop: asyncio.Event) -> None:
        """Delete until `stop` is set; retry while the database is away."""
        await run_loop(
            stop,
            self.prune,
            "pruning waits",
            progress=self._progress,
            every_s=_EVERY_S,
            full_batch=BATCH,
        )

    async def prune(self) -> int:
        """Delete one batch of each rule; the rows of the largest batch."""
        before, largest = self._clock.now() - self._kept, 0
        for rule in self._rules:
            if self._behind():
                return 0
            largest = max(largest, await self._store.prune(rule, before))
        return largest


def pruning_of(
    schema: str,
    rules: Sequence[PruneRule],
    pool: Pool,
    kept_days: int,
    progress: Progress,
    behind: Callable[[], bool] = lambda: False,
) -> Pruning:
    """The loop of a service: its rules, and its alarms that ended."""
    return Pruning(
        PruneStore(pool, schema),
        (*rules, alarm_rule(schema)),
        kept=timedelta(days=kept_days),
        progress=progress,
        behind=behind,
    )
