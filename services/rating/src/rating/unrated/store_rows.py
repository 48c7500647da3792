"""The rows of the unrated queue that their PBX does not confirm, and the alarms about them."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.events.call import CallUnconfirmed
from ringfence_contracts.topics import RATING_ALARM

ALARM = "rows-unconfirmed"
"""The key of the alarm; its subject is `<server>/<tenant>`, as the rows claim it."""

MAX_TENANTS = 20
"""Alarms for single tenants of a server; an invented tenant could raise alarms without end."""

DROPPED = "dropped by an operator: the PBX does not hold such a call"
_ALL = "*"
_ALARMS = Alarms(RATING_ALARM, schema="rating")
_SAVE = """
insert into rating.unrated as u
    (call_id, server_id, tenant, reason, detail, billsec, started_at, input_hash, call, is_row,
     queued_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, true, $10
where not exists (select from rating.dead_call where call_id = $1)
on conflict (call_id) do update set reason = excluded.reason, detail = excluded.detail,
    replay_requested_at = case when u.replay_requested_at > $11 then u.replay_requested_at end
"""
_SUBJECTS = """
select subject from rating.alarm
where key = $1 and ended_at is null and starts_with(subject, $2)
"""
_WAITING = """
select count(*), sum(billsec)::bigint, min(queued_at), min(detail) from rating.unrated
where is_row and server_id = $1 and ($2 = '*' or tenant = $2)
"""


class QueuedRows:
    """Writes rows to the queue; the alarms follow in the same transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def apply(self, events: Sequence[CallUnconfirmed], now: datetime) -> None:
        """Queue rows that wait, remove confirmed ones, raise or end alarms."""
        async with self._pool.acquire() as connection, connection.transaction():
            for event in events:
                await self._apply(connection, event)
            places = sorted({(event.server_id, event.tenant) for event in events})
            await _update_alarms(connection, places, now)

    async def _apply(self, connection: Connection, event: CallUnconfirmed) -> None:
        if event.state == "confirmed":
            await connection.execute(
                "delete from rating.unrated where call_id = $1 and is_row", event.row_id
            )
            return
        await connection.execute(
            _SAVE,
            event.row_id,
            event.server_id,
            event.tenant,
            _reason(event),
            event.detail,
            event.billsec,
            event.started_at,
            hashlib.blake2b(event.row.encode(), digest_size=16).digest(),
            event.row,
            event.seen_at,
            event.asked_at,
        )

    async def drop(self, row_ids: Collection[UUID], why: str, now: datetime) -> list[UUID]:
        """Take rows out of the queue for good; those that were in it.

        They are dead calls from then on, and are not queued again.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "delete from rating.unrated where call_id = any($1) and is_row"
                " returning call_id, server_id, tenant, call",
                list(row_ids),
            )
            await connection.executemany(
                "insert into rating.dead_call (call_id, reason, record) values ($1, $2, $3)"
                " on conflict (call_id) do nothing",
                [(row["call_id"], f"{DROPPED}: {why}", row["call"]) for row in rows],
            )
            places = sorted({(row["server_id"], row["tenant"]) for row in rows})
            await _update_alarms(connection, places, now)
        return [row["call_id"] for row in rows]


def _reason(event: CallUnconfirmed) -> str:
    return "row-unreadable" if event.reason == "unreadable" else "row-not-confirmed"


async def _update_alarms(
    connection: Connection, places: Sequence[tuple[str, str]], now: datetime
) -> None:
    """Raise or end the alarm of each of these servers and tenants."""
    for server_id, tenant in places:
        of_tenant = await connection.fetchrow(_WAITING, server_id, tenant)
        of_server = await connection.fetchrow(_WAITING, server_id, _ALL)
        assert of_tenant is not None
        assert of_server is not None
        if not of_server[0]:
            await _ALARMS.end_alarm(connection, ALARM, f"{server_id}/{_ALL}", now)
        if not of_tenant[0]:
            await _ALARMS.end_alarm(connection, ALARM, f"{server_id}/{tenant}", now)
            continue
        opened = await connection.fetch(_SUBJECTS, ALARM, f"{server_id}/")
        is_known = f"{server_id}/{tenant}" in {row["subject"] for row in opened}
        named = tenant if is_known or len(opened) < MAX_TENANTS else _ALL
        text = _text(server_id, named, *(of_server if named == _ALL else of_tenant))
        await _ALARMS.raise_alarm(connection, ALARM, f"{server_id}/{named}", text, now)


def _text(
    server_id: str, tenant: str, rows: int, talk_s: int, since: datetime, why: str
) -> AlarmText:
    of = "several tenants" if tenant == _ALL else f"tenant {tenant}"
    return AlarmText(
        message=(
            f"{server_id} lists {rows} rows of {of}, {talk_s} s of talk, that it does not confirm;"
            f" they are not charged. The first since {since.isoformat(timespec='seconds')}: {why}"
        ),
        what_to_do=(
            "Look at the names and numbers of the extensions of this PBX: a text with quotes or"
            " line breaks holds the row, or spoils it. Correct the text; a call that the PBX then"
            " confirms is charged by itself. Drop rows of calls that never were:"
            " ringfence unrated drop ROW --reason WHY. Sign the export, or read the PBX's database,"
            " and no text can do this: see the runbook unconfirmed-rows."
        ),
        severity="critical",
    )
