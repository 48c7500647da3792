"""Servers that left the servers file while something on them is switched off."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from ringfence.postgres.pool import Pool
from suspender import events
from suspender.store import ALARMS


async def watch_abandoned(pool: Pool, known: Collection[str], now: datetime) -> None:
    """Raise `server-abandoned` for each server with elements that are off, but not `known`.

    The alarm ends when the server is known again, or when no element of it is on record.
    """
    rows = await pool.fetch(
        "select server_id, count(*) as elements from suspender.switched_off"
        " where was_on and server_id <> all($1) group by server_id",
        list(known),
    )
    async with pool.acquire() as acquired, acquired.transaction():
        connection = cast(Any, acquired)
        for row in rows:
            text = events.abandoned_alarm(row["server_id"], row["elements"])
            key = events.ABANDONED_ALARM
            await ALARMS.raise_alarm(connection, key, row["server_id"], text, now)
        over = await connection.fetch(
            "select subject from suspender.alarm where key = $1 and ended_at is null"
            " and subject <> all($2)",
            events.ABANDONED_ALARM,
            [row["server_id"] for row in rows],
        )
        for row in over:
            await ALARMS.end_alarm(connection, events.ABANDONED_ALARM, row["subject"], now)
