"""The elements that were switched off for a client, as the suspender recorded them: SQL."""

from typing import Any

from accounts.paging import by_columns, decode_cursor, page, read_text
from ringfence.postgres.pool import Pool

_ORDER = ("service_id", "server_id", "way", "tenant", "element")


class ElementStore:
    """Reads the elements that are recorded as switched off."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_client(self, account_id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """A client's elements, by product."""
        position = decode_cursor(cursor, *(read_text for _ in _ORDER))
        rows = await self._pool.fetch(
            "select service_id, server_id, way, tenant, element, was_on, adopted, recorded_at,"
            " confirmed_at, left_behind, last_error from report.switched_off"
            " where account_id = $1 and ($2::text is null or"
            ' (service_id collate "C", server_id collate "C", way collate "C",'
            ' tenant collate "C", element collate "C")'
            " > ($2, $3::text, $4::text, $5::text, $6::text))"
            ' order by service_id collate "C", server_id collate "C", way collate "C",'
            ' tenant collate "C", element collate "C" limit $7',
            account_id,
            *position,
            limit + 1,
        )
        return page([dict(row) for row in rows], limit, by_columns(*_ORDER))
