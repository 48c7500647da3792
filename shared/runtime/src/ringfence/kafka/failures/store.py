"""The tables of failed records in a service's schema, and the alarms about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ringfence.kafka.failures.crash_ranges import CrashRange, Place, narrowed
from ringfence.kafka.failures.reject_limit import RejectLimit, source_of
from ringfence.kafka.failures.wording import (
    CRASH_ALARM,
    REJECT_ALARM,
    crash_alarm,
    crash_subject,
    reject_alarm,
)
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Pool
from ringfence_contracts.records import Received, Rejected

_KEPT_BYTES = 256 * 1024
"""The part of a record that is kept; the whole one is in its topic, at its offset."""

_MAX_TEXT = 8000


class FailureStore:
    """The failed records of one consumer group in its service's schema."""

    def __init__(self, pool: Pool, alarms: Alarms, *, consumer: str) -> None:
        self._pool = pool
        self._alarms = alarms
        self._schema = alarms.schema
        self._consumer = consumer

    async def sources_over(self) -> list[str]:
        """The sources that are over the reject limit."""
        rows = await self._pool.fetch(
            f"select source from {self._schema}.reject_source where consumer = $1",  # noqa: S608
            self._consumer,
        )
        return [row["source"] for row in rows]

    async def save_rejected(
        self, rejected: Sequence[Rejected], limit: RejectLimit, now: datetime
    ) -> None:
        """Keep records of sources over the limit, and raise one alarm for each source.

        Idempotent: the same records again change nothing.
        """
        last = {source_of(dead.received): dead for dead in rejected}
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(
                f"insert into {self._schema}.rejected_record (consumer, topic, partition,"  # noqa: S608
                ' "offset", source, reason, key, value, headers, value_bytes, rejected_at)'
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
                [self._row(dead, now) for dead in rejected],
            )
            for source, dead in sorted(last.items()):
                await connection.execute(
                    f"insert into {self._schema}.reject_source"  # noqa: S608
                    " (consumer, source, since, last_at, records)"
                    " select $1, $2, $3, $3, count(*)"
                    f" from {self._schema}.rejected_record where consumer = $1 and source = $2"
                    " on conflict (consumer, source) do update set last_at = excluded.last_at,"
                    " records = excluded.records",
                    self._consumer, source, now,
                )  # fmt: skip
                text = reject_alarm(dead, source, limit, self._schema)
                await self._alarms.raise_alarm(connection, REJECT_ALARM, source, text, now)

    def _row(self, dead: Rejected, now: datetime) -> tuple[Any, ...]:
        r = dead.received
        headers = [(_clean(name), (value or b"").hex()) for name, value in r.headers][:100]
        return (
            self._consumer, r.topic, r.partition, r.offset, source_of(r), _clean(dead.reason),
            r.key and r.key[:_MAX_TEXT], r.value[:_KEPT_BYTES], headers, len(r.value), now,
        )  # fmt: skip

    async def end_quiet(self, since: datetime, now: datetime) -> list[str]:
        """End the alarms of sources without a bad record after `since`; returns the sources."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                f"delete from {self._schema}.reject_source"  # noqa: S608
                " where consumer = $1 and last_at < $2 returning source",
                self._consumer,
                since,
            )
            for row in rows:
                await self._alarms.end_alarm(connection, REJECT_ALARM, row["source"], now)
        return [row["source"] for row in rows]

    async def prune(
        self, rejected_before: datetime, crashed_before: datetime, now: datetime
    ) -> None:
        """Delete rejected records that are too old, and crashes that are; end the alarms of these.

        By then the operator was informed, and the record is one dead letter among others.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"delete from {self._schema}.rejected_record"  # noqa: S608
                " where consumer = $1 and rejected_at < $2",
                self._consumer,
                rejected_before,
            )
            await connection.execute(
                f"delete from {self._schema}.crash where consumer = $1 and crashed_at < $2",  # noqa: S608
                self._consumer,
                crashed_before,
            )
            old = await connection.fetch(
                f"select subject from {self._schema}.alarm"  # noqa: S608
                " where key = $1 and ended_at is null and raised_at < $2",
                CRASH_ALARM,
                crashed_before,
            )
            for row in old:
                await self._alarms.end_alarm(connection, CRASH_ALARM, row["subject"], now)

    async def crashes(self) -> dict[Place, CrashRange]:
        """Where the process ended by a bug, by topic and partition."""
        rows = await self._pool.fetch(
            f"select * from {self._schema}.crash where consumer = $1",  # noqa: S608
            self._consumer,
        )
        return {(row["topic"], row["partition"]): _range(row) for row in rows}

    async def add_crash(
        self,
        offsets: Mapping[Place, tuple[int, int]],
        now: datetime,
        *,
        alone: bool,
        reason: str,
        traceback: str,
    ) -> dict[Place, CrashRange]:
        """Store that the process ends at these offsets; returns the ranges as they are now."""
        ranges = {}
        async with self._pool.acquire() as connection, connection.transaction():
            for place, (first, last) in sorted(offsets.items()):
                row = await connection.fetchrow(
                    f"select * from {self._schema}.crash"  # noqa: S608
                    " where consumer = $1 and topic = $2 and partition = $3 for update",
                    self._consumer,
                    *place,
                )
                new = narrowed(_range(row) if row else None, first, last, alone=alone)
                ranges[place] = new
                await connection.execute(
                    f"insert into {self._schema}.crash (consumer, topic, partition,"  # noqa: S608
                    " first_offset, last_offset, crashes, alone, reason, traceback, crashed_at)"
                    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                    " on conflict (consumer, topic, partition) do update set"
                    " first_offset = excluded.first_offset, last_offset = excluded.last_offset,"
                    " crashes = excluded.crashes, alone = excluded.alone,"
                    " reason = excluded.reason, traceback = excluded.traceback,"
                    " crashed_at = excluded.crashed_at",
                    self._consumer, *place, new.first, new.last, new.crashes, alone,
                    _clean(reason), _clean(traceback, keep_end=True), now,
                )  # fmt: skip
        return ranges

    async def delete_crash(self, place: Place, up_to: int) -> None:
        """Forget the crashes of a partition whose offsets up to `up_to` are processed."""
        await self._pool.execute(
            f"delete from {self._schema}.crash"  # noqa: S608
            " where consumer = $1 and topic = $2 and partition = $3 and last_offset <= $4",
            self._consumer,
            *place,
            up_to,
        )

    async def raise_dead(self, received: Received, crash: CrashRange, now: datetime) -> None:
        """Raise the alarm about a record that is a dead letter because it crashed."""
        async with self._pool.acquire() as connection, connection.transaction():
            text = crash_alarm(received, crash, self._consumer)
            subject = crash_subject(received)
            await self._alarms.raise_alarm(connection, CRASH_ALARM, subject, text, now)


def _range(row: Any) -> CrashRange:
    return CrashRange(
        row["first_offset"],
        row["last_offset"],
        row["crashes"],
        row["alone"],
        row["reason"],
        row["traceback"],
    )


def _clean(text: str, *, keep_end: bool = False) -> str:
    """A text as PostgreSQL can store it, bounded."""
    storable = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return storable[-_MAX_TEXT:] if keep_end else storable[:_MAX_TEXT]
