"""Elements that are off on the PBXs of clients who were off when they were imported: SQL.

They count as switched off by ringfence when the client goes live (architecture, section 4).
"""

from collections.abc import Sequence
from typing import Any

from accounts.paging import by_columns, decode_cursor, page, read_id, read_text
from ringfence.postgres.pool import Pool

_ORDER = ("account_id", "service_id", "way", "element")


class AdoptionStore:
    """Reads the elements that would be adopted."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def adoptable(
        self, server_id: str | None, account_id: str | None, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """The elements that would be adopted, by client and product, and their total count."""
        position = decode_cursor(cursor, read_id, read_id, read_text, read_text)
        rows = await self._pool.fetch(
            "select account_id, service_id, server_id, way, tenant, element, name, label, read_at"
            " from report.adoptable where ($1::text is null or server_id = $1)"
            " and ($2::text is null or account_id = $2)"
            ' and ($3::text is null or (account_id collate "C", service_id collate "C",'
            ' way collate "C", element collate "C") > ($3, $4::text, $5::text, $6::text))'
            ' order by account_id collate "C", service_id collate "C", way collate "C",'
            ' element collate "C" limit $7',
            server_id,
            account_id,
            *position,
            limit + 1,
        )
        found = page([dict(row) for row in rows], limit, by_columns(*_ORDER))
        return {**found, "count": await self.count(server_id, account_id)}

    async def count(self, server_id: str | None = None, account_id: str | None = None) -> int:
        """How many elements would be adopted."""
        found: int = await self._pool.fetchval(
            "select count(*) from report.adoptable where ($1::text is null or server_id = $1)"
            " and ($2::text is null or account_id = $2)",
            server_id,
            account_id,
        )
        return found

    async def by_client(self, account_ids: Sequence[str]) -> dict[str, int]:
        """How many elements would be adopted of each of these clients; without those of none."""
        rows = await self._pool.fetch(
            "select account_id, count(*) as elements from report.adoptable"
            " where account_id = any($1::text[]) group by account_id",
            account_ids,
        )
        return {row["account_id"]: row["elements"] for row in rows}

    async def unread(self, server_id: str | None) -> list[str]:
        """Servers that were never read, of clients who were off when they were imported.

        What is off there is not known.
        """
        rows = await self._pool.fetch(
            "select distinct p.service ->> 'server_id' as server_id"
            " from accounts.account a join accounts.product p using (account_id)"
            " where a.profile ->> 'voip_suspended' = 'Yes'"
            " and a.profile ->> 'voip_suspended_by' = 'import'"
            " and ($1::text is null or p.service ->> 'server_id' = $1)"
            " and not exists (select from report.inventory_read r"
            "     where r.server_id = p.service ->> 'server_id' and r.read_at is not null)"
            " order by 1",
            server_id,
        )
        return [row["server_id"] for row in rows]
