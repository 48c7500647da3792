"""The inventories of servers, as the suspender last read them: SQL."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from accounts.paging import by_columns, decode_cursor, page, read_text
from ringfence.postgres.pool import Pool
from ringfence_pbx.inventory_view import InventoryItem

_NEVER: dict[str, Any] = {"asked_at": None, "read_at": None, "gaps": [], "error": ""}
_ORDER = ("kind", "tenant", "name", "uuid")


class ReadSummary(NamedTuple):
    """What could not be read of a server, and whether its outbound routes test toll_allow."""

    gaps: list[str]
    tests_toll_allow: bool | None


class InventoryStore:
    """Reads the inventories of servers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def last_read(self, server_id: str) -> dict[str, Any]:
        """When a server was last read, what could not be read, and the error."""
        row = await self._pool.fetchrow(
            "select asked_at, read_at, gaps, error from report.inventory_read where server_id = $1",
            server_id,
        )
        return dict(row) if row else dict(_NEVER)

    async def read_servers(self) -> dict[str, ReadSummary]:
        """The servers whose inventory is known, each with the summary of its reading."""
        rows = await self._pool.fetch(
            "select server_id, gaps, tests_toll_allow from report.inventory_read"
            " where read_at is not null"
        )
        return {row["server_id"]: ReadSummary(row["gaps"], row["tests_toll_allow"]) for row in rows}

    async def items(
        self, server_id: str, kind: str | None, not_ours: bool, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """The inventory of a server by kind, tenant and name, and its total count.

        `not_ours`: only what is off there and was not switched off by ringfence.
        """
        source = _OFF_BY_OTHERS if not_ours else _ITEMS
        position = decode_cursor(cursor, *(read_text for _ in _ORDER))
        rows = await self._pool.fetch(
            f"select * from ({source}) as item"  # noqa: S608 - constants of this module
            " where server_id = $1 and ($2::text is null or kind = $2)"
            ' and ($3::text is null or (kind, tenant collate "C", name collate "C",'
            ' uuid collate "C") > ($3, $4::text, $5::text, $6::text))'
            ' order by kind, tenant collate "C", name collate "C", uuid collate "C" limit $7',
            server_id,
            kind,
            *position,
            limit + 1,
        )
        count = await self._pool.fetchval(
            f"select count(*) from ({source}) as item"  # noqa: S608 - constants of this module
            " where server_id = $1 and ($2::text is null or kind = $2)",
            server_id,
            kind,
        )
        found = page([dict(row) for row in rows], limit, by_columns(*_ORDER))
        return {**found, "count": count}

    async def all_of(self, server_id: str) -> list[InventoryItem]:
        """The whole inventory of a server."""
        return _found(await self._pool.fetch(f"{_ITEMS} where server_id = $1", server_id))

    async def tenants_of(self, server_ids: Sequence[str]) -> dict[str, list[InventoryItem]]:
        """The tenants of each server."""
        rows = await self._pool.fetch(
            f"{_ITEMS} where kind = 'tenant' and server_id = any($1)", list(server_ids)
        )
        return {
            server_id: _found([row for row in rows if row["server_id"] == server_id])
            for server_id in server_ids
        }


_ITEMS = (
    "select server_id, kind, tenant, name, uuid, label, enabled, leads_to from report.inventory"
)
_OFF_BY_OTHERS = (
    "select server_id, kind, tenant, name, uuid, label, false as enabled, '' as leads_to"
    " from report.off_by_others"
)


def _found(rows: Sequence[Any]) -> list[InventoryItem]:
    return [InventoryItem(**{name: row[name] for name in InventoryItem._fields}) for row in rows]
