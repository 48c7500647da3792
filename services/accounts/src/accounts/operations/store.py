"""Commands to other services, their alarms, and the state of the brake.

A command is written with its event in one transaction; its service answers in `report.command`.
"""

from typing import Any
from uuid import UUID, uuid4

from accounts.paging import by_columns, decode_cursor, page
from accounts.refusals import Unknown
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from ringfence.clock import Clock
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts import ids
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import OPERATOR_REQUESTED

COMMANDS = {"suspender": ("brake.release", "brake.undo")}
"""The commands that need no object, by the service that executes them."""

_COMMAND = """
select c.*, coalesce(r.state, 'waiting') as state, coalesce(r.answer, '') as answer, r.answered_at
from accounts.command c
left join report.command r on r.request_id = c.request_id and r.service = c.service
"""


class Operations:
    """Commands, alarms and the brake."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def request(
        self, service: str, command: str, arguments: dict[str, str], who: str, reason: str
    ) -> UUID:
        """Publish a command of COMMANDS; returns its id. Raises BadInput for any other."""
        if service not in COMMANDS:
            raise BadInput("service", service, f"one of: {', '.join(COMMANDS)}")
        if command not in COMMANDS[service]:
            raise BadInput("command", command, f"one of: {', '.join(COMMANDS[service])}")
        return await self.publish_command(service, command, arguments, who, reason)

    async def publish_command(
        self, service: str, command: str, arguments: dict[str, str], who: str, reason: str
    ) -> UUID:
        """Publish a command that the service is known to execute; returns its id."""
        event = OperatorRequested(
            request_id=uuid4(),
            service=service,
            command=command,
            arguments=arguments,
            requested_by=who,
            reason=reason,
            requested_at=self._clock.now(),
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await enqueue_command(connection, event)
        return event.request_id

    async def command(self, request_id: UUID) -> dict[str, Any]:
        """A command and its answer. Raises Unknown."""
        row = await self._pool.fetchrow(f"{_COMMAND} where c.request_id = $1", request_id)
        if row is None:
            raise Unknown("request_id", str(request_id), "the id that a command was answered with")
        return dict(row)

    async def commands(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Commands and their answers, the newest first."""
        at, request_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            f"{_COMMAND} where $1::timestamptz is null"
            " or (c.requested_at, c.request_id) < ($1, $2::uuid)"
            " order by c.requested_at desc, c.request_id desc limit $3",
            at,
            request_id,
            limit + 1,
        )
        return page(
            [dict(row) for row in rows],
            limit,
            by_columns("requested_at", "request_id"),
        )

    async def alarms(self, open_only: bool, cursor: str | None, limit: int) -> dict[str, Any]:
        """Alarms of all services, the newest first."""
        at, alarm_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            "select service, alarm_id, key, subject, severity, message, what_to_do, account_id,"
            " raised_at, ended_at, case when ended_at is null then 'open' else 'ended' end as state"
            " from report.alarm where (not $1 or ended_at is null)"
            " and ($2::timestamptz is null or (raised_at, alarm_id) < ($2, $3::uuid))"
            " order by raised_at desc, alarm_id desc limit $4",
            open_only,
            at,
            alarm_id,
            limit + 1,
        )
        query = "select count(*) from report.alarm where not $1 or ended_at is null"
        count = await count_for(self._pool, cursor, query, open_only)
        position = by_columns("raised_at", "alarm_id")
        return page([dict(row) for row in rows], limit, position, count)

    async def brake(self) -> dict[str, Any]:
        """Whether suspensions for funds are paused, since when and why, and how many wait."""
        row = await self._pool.fetchrow(
            "select b.on_since is not null as on, b.on_since, b.cause,"
            " (select count(*) from report.service_state s where b.on_since is not null"
            " and s.open and s.wanted = 'suspended' and s.holds = '{funds}') as paused"
            " from report.brake b"
        )
        return dict(row) if row else {"on": False, "on_since": None, "cause": "", "paused": 0}


async def enqueue_command(connection: Connection, event: OperatorRequested) -> None:
    """Store and publish a command in the transaction of the change that it belongs to."""
    await connection.execute(
        "insert into accounts.command (request_id, service, command, arguments,"
        " requested_by, reason, requested_at) values ($1, $2, $3, $4, $5, $6, $7)",
        event.request_id,
        event.service,
        event.command,
        event.arguments,
        event.requested_by,
        event.reason,
        event.requested_at,
    )
    await enqueue(connection, "accounts", [_event(event)])


def _event(event: OperatorRequested) -> Outgoing:
    return Outgoing(
        topic=OPERATOR_REQUESTED,
        key=event.service,
        value=event.to_json(),
        event_id=ids.derive(OPERATOR_REQUESTED.name, event.request_id),
        time=event.requested_at,
        source="accounts",
        subject=event.command,
        correlation_id=str(event.request_id),
    )
