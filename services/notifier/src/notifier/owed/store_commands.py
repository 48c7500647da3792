"""Operator requests to the notifier and their answers, which report.command shows."""

from uuid import UUID

from ringfence.postgres.pool import Connection
from ringfence_contracts.events.operator import OperatorRequested


async def is_answered(connection: Connection, request_id: UUID) -> bool:
    """Whether a request was executed before. Locks requests until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(hashtext('notifier.command'))")
    found = await connection.fetchval(
        "select true from notifier.command where request_id = $1", request_id
    )
    return bool(found)


async def save_answer(
    connection: Connection, request: OperatorRequested, state: str, answer: str
) -> None:
    """Save the answer to a request; `state` is done or refused."""
    await connection.execute(
        "insert into notifier.command (request_id, command, arguments, requested_by, reason,"
        " requested_at, state, answer) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        request.request_id,
        request.command,
        request.arguments,
        request.requested_by,
        request.reason,
        request.requested_at,
        state,
        answer,
    )
