"""The record of changes of operators and tokens in the database, page by page."""

from typing import Any, Literal
from uuid import UUID

from accounts.paging import by_columns, decode_cursor, page
from accounts.typed.instants import read_instant
from ringfence.postgres.pool import Pool


async def changes_of(
    pool: Pool,
    subject: Literal["operator", "token"],
    named: Literal["operator", "token_id"],
    cursor: str | None,
    limit: int,
) -> dict[str, Any]:
    """Who changed operators or tokens, the newest first; `named` is the column of the subject."""
    at, change_id = decode_cursor(cursor, read_instant, UUID)
    rows = await pool.fetch(
        f"select change_id, {named}, what, changed_by, changed_at, before, after"  # noqa: S608
        f" from accounts.{subject}_change"
        " where $1::timestamptz is null or (changed_at, change_id) < ($1, $2::uuid)"
        " order by changed_at desc, change_id desc limit $3",
        at,
        change_id,
        limit + 1,
    )
    return page([dict(row) for row in rows], limit, by_columns("changed_at", "change_id"))
