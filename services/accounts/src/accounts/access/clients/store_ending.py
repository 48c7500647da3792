"""Ends the links and sessions of a client, in the transaction of what ends them: SQL."""

from datetime import datetime
from uuid import uuid4

from ringfence.postgres.pool import Connection


async def end_links(
    connection: Connection, account_id: str, who: str, reason: str, now: datetime
) -> None:
    """All links that were made until now, and all sessions, are valid no more."""
    await record(connection, account_id, "revoked", who, reason, now)
    await connection.execute(
        "update accounts.client_session set ended_at = $2"
        " where account_id = $1 and ended_at is null",
        account_id,
        now,
    )


async def record(
    connection: Connection, account_id: str, what: str, who: str, reason: str, now: datetime
) -> None:
    """Record that links were issued, requested or revoked."""
    await connection.execute(
        "insert into accounts.client_link_change"
        " (change_id, account_id, what, changed_by, changed_at, reason)"
        " values ($1, $2, $3, $4, $5, $6)",
        uuid4(),
        account_id,
        what,
        who,
        now,
        reason,
    )
