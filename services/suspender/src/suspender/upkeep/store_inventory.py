"""The inventories of servers, and when each server is read."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.alarm import AlarmText
from suspender.drivers.driver import Inventory, ServerItem
from suspender.store import ALARMS
from suspender.wording import storable

INVENTORY_ALARM = "inventory-failed"
ALARM_AFTER = 3
"""Failed reads in a row."""
_MAX_TEXT = 250
_COLUMNS = [
    "server_id",
    "kind",
    "tenant",
    "name",
    "uuid",
    "label",
    "enabled",
    "leads_to",
    "read_at",
]


class ServerInventoryStore:
    """The rows of the inventory loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def register(self, server_ids: Collection[str], now: datetime) -> None:
        """Have these servers read, and no others: delete those that left the servers file."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            await connection.execute(
                "insert into suspender.inventory_read (server_id, next_at)"
                " select server_id, $2 from unnest($1::text[]) as s (server_id)"
                " on conflict do nothing",
                list(server_ids),
                now,
            )
            gone = await connection.fetch(
                "delete from suspender.inventory_read where server_id <> all($1)"
                " returning server_id",
                list(server_ids),
            )
            for row in gone:
                await connection.execute(
                    "delete from suspender.inventory where server_id = $1", row["server_id"]
                )
                await ALARMS.end_alarm(connection, INVENTORY_ALARM, row["server_id"], now)

    async def claim(
        self, server_ids: Collection[str], now: datetime, lease_until: datetime
    ) -> list[str]:
        """Those of the servers that are due to be read, leased until then.

        A paused server is read only when an operator requests it.
        """
        rows = await self._pool.fetch(
            "update suspender.inventory_read r set begun_at = $2, next_at = $3"
            " where server_id in ("
            "   select server_id from suspender.inventory_read"
            "   where server_id = any($1) and next_at <= $2 for update skip locked"
            " ) and (r.requested_at > coalesce(r.begun_at, '-infinity') or not exists ("
            "   select from suspender.server_pause p where p.server_id = r.server_id"
            "     and (p.paused_until is null or p.paused_until > $2)"
            " )) returning server_id",
            list(server_ids),
            now,
            lease_until,
        )
        return [row["server_id"] for row in rows]

    async def renew(self, server_id: str, lease_until: datetime) -> None:
        """Extend the lease of a server that is still read.

        A later instant stays: another replica may have read the server to its end by then.
        """
        await self._pool.execute(
            "update suspender.inventory_read set next_at = greatest(next_at, $2)"
            " where server_id = $1",
            server_id,
            lease_until,
        )

    async def replace(
        self,
        server_id: str,
        inventory: Inventory,
        begun_at: datetime,
        now: datetime,
        next_at: datetime,
    ) -> None:
        """Replace a server's inventory in one transaction, so that no reader sees a part of it."""
        rows = _rows(server_id, inventory.items, now)
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            # The lock of this row serialises two processes that replace the same inventory.
            await connection.execute(
                "update suspender.inventory_read set asked_at = $2, read_at = $3::timestamptz,"
                " error = '', failures = 0, gaps = $5, tests_toll_allow = $6,"
                " next_at = case when requested_at > begun_at"
                " then $3::timestamptz else $4::timestamptz end"
                " where server_id = $1",
                server_id,
                begun_at,
                now,
                next_at,
                [storable(gap, 1000) for gap in inventory.gaps],
                inventory.tests_toll_allow,
            )
            await connection.execute(
                "delete from suspender.inventory where server_id = $1", server_id
            )
            await connection.copy_records_to_table(
                "inventory", schema_name="suspender", columns=_COLUMNS, records=rows
            )
            await ALARMS.end_alarm(connection, INVENTORY_ALARM, server_id, now)

    async def failed(self, server_id: str, reason: str, now: datetime, again_at: datetime) -> None:
        """Record a failed read. The last inventory is kept; the third failure raises an alarm."""
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            row = await connection.fetchrow(
                "update suspender.inventory_read set asked_at = begun_at, error = $2,"
                " failures = failures + 1,"
                " next_at = case when requested_at > begun_at"
                " then $3::timestamptz else $4::timestamptz end"
                " where server_id = $1 returning failures, read_at",
                server_id,
                storable(reason, 1000),
                now,
                again_at,
            )
            if row is not None and row["failures"] >= ALARM_AFTER:
                text = _alarm(server_id, reason, row["failures"], row["read_at"])
                await ALARMS.raise_alarm(connection, INVENTORY_ALARM, server_id, text, now)

    async def read_times(self) -> dict[str, datetime]:
        """See `read_times`."""
        return await read_times(self._pool)


async def read_times(pool: Pool) -> dict[str, datetime]:
    """When each server was last read as a whole; without those that never were."""
    rows = await pool.fetch(
        "select server_id, read_at from suspender.inventory_read where read_at is not null"
    )
    return {row["server_id"]: row["read_at"] for row in rows}


async def request_read(connection: Connection, server_id: str, now: datetime) -> str:
    """Have a server read soon, in the caller's transaction. Returns why it cannot be, or ""."""
    found = await connection.fetchval(
        "update suspender.inventory_read set requested_at = $2, next_at = least(next_at, $2)"
        " where server_id = $1 returning true",
        server_id,
        now,
    )
    if found:
        return ""
    rows = await connection.fetch(
        "select server_id from suspender.inventory_read order by server_id limit 20"
    )
    known = ", ".join(row["server_id"] for row in rows) or "none so far"
    return f"server_id: got {server_id}, expected a server that can be read: {known}"


def _rows(server_id: str, items: Collection[ServerItem], now: datetime) -> list[tuple[Any, ...]]:
    """Each item once: where a server lists one twice, the last counts."""
    rows = {}
    for item in items:
        texts = (item.tenant, item.name, item.uuid, item.label, item.leads_to)
        tenant, name, uuid, label, leads_to = (storable(text, _MAX_TEXT) for text in texts)
        key = (item.kind, tenant, name, uuid)
        rows[key] = (server_id, *key, label, item.enabled, leads_to, now)
    return list(rows.values())


def _alarm(server_id: str, reason: str, failures: int, read_at: datetime | None) -> AlarmText:
    last = f"last on {read_at:%Y-%m-%d at %H:%M} UTC" if read_at else "never so far"
    return AlarmText(
        message=f"server {server_id}: what it has could not be read {failures} times in a row"
        f" (read {last}): {reason}",
        what_to_do="Attempts go on by themselves. Remove the reason given: reachable server, valid"
        f" key, the rights of the user; ringfence doctor checks them. Server: {server_id}."
        " What is shown of its tenants, extensions and gateways is that of the last read.",
    )
