"""Operators' commands: carried out at most once by id, with the answer in `report.command`."""

from ringfence.postgres.pool import Connection
from ringfence_contracts.events.operator import OperatorRequested
from suspender.commands.command import CommandAnswer


async def lock_request(connection: Connection, request: OperatorRequested) -> bool:
    """Lock a request against other replicas. Returns whether it has no answer yet."""
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"command:{request.request_id}"
    )
    found = await connection.fetchval(
        "select true from suspender.command where request_id = $1", request.request_id
    )
    return not found


async def write_answer(
    connection: Connection, request: OperatorRequested, answer: CommandAnswer
) -> None:
    """Store the answer of a command."""
    await connection.execute(
        "insert into suspender.command (request_id, command, arguments, requested_by, reason,"
        " requested_at, state, answer) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        request.request_id,
        request.command,
        request.arguments,
        request.requested_by,
        request.reason,
        request.requested_at,
        answer.state,
        answer.words,
    )
