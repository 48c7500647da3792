"""Pauses of servers for maintenance."""

from datetime import datetime
from typing import Any, NamedTuple, cast

from ringfence.postgres.pool import Connection, Pool
from suspender import events
from suspender.store import ALARMS


class Pause(NamedTuple):
    """A paused server; `until` None: until it is resumed."""

    server_id: str
    since: datetime
    until: datetime | None
    by: str
    reason: str


async def pause(connection: Connection, row: Pause) -> None:
    """Pause a server and raise the alarm; a second pause replaces the first."""
    await resume(connection, row.server_id, row.since)
    await connection.execute(
        "insert into suspender.server_pause"
        " (server_id, paused_at, paused_until, paused_by, reason) values ($1, $2, $3, $4, $5)",
        *row,
    )
    text = events.paused_alarm(row.server_id, row.until, row.by)
    await ALARMS.raise_alarm(connection, events.PAUSED_ALARM, row.server_id, text, row.since)


async def resume(connection: Connection, server_id: str, now: datetime) -> bool:
    """Resume a server. Returns whether it was paused."""
    found = await connection.fetchval(
        "delete from suspender.server_pause where server_id = $1 returning true", server_id
    )
    await ALARMS.end_alarm(connection, events.PAUSED_ALARM, server_id, now)
    return bool(found)


async def end_pauses(pool: Pool, now: datetime) -> list[str]:
    """Resume the servers whose pause has ended. Returns their ids."""
    if not await pool.fetchval(
        "select exists (select from suspender.server_pause where paused_until <= $1)", now
    ):
        return []
    async with pool.acquire() as acquired, acquired.transaction():
        connection = cast(Any, acquired)
        rows = await connection.fetch(
            "select server_id from suspender.server_pause where paused_until <= $1 for update", now
        )
        for row in rows:
            await resume(connection, row["server_id"], now)
    return [row["server_id"] for row in rows]


async def is_paused(connection: "Connection | Pool", server_id: str) -> bool:
    """Whether a server is paused."""
    found = await connection.fetchval(
        "select exists (select from suspender.server_pause where server_id = $1)", server_id
    )
    return bool(found)
