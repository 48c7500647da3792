"""What is due on the PBXs, and what came of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast

from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool
from suspender import announce
from suspender.account import Account, ServiceState, zero_mail_owed
from suspender.store import (
    ACCOUNT_COLUMNS,
    ALARMS,
    SCHEMA,
    SERVICE_COLUMNS,
    account_of,
    service_of,
)

# While the brake is on, nobody is cut for funds alone.
_DUE = """
wanted_seq > confirmed_seq and next_attempt_at <= now() and (
    wanted = 'active' or holds <> '{funds}'
    or not exists (select from suspender.brake where on_since is not null)
)
"""


class Due(NamedTuple):
    """A service whose PBX does not say yet what is wanted. `attempts` have failed so far."""

    account: Account
    service: ServiceState
    wanted_at: datetime
    attempts: int
    failure_told_seq: int


class WorkStore:
    """The rows that the worker acts on."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def servers_with_work(self) -> list[str]:
        """The servers on which something is due now."""
        rows = await self._pool.fetch(
            f"select distinct server_id from suspender.service where {_DUE}"  # noqa: S608
        )
        return [row["server_id"] for row in rows]

    @asynccontextmanager
    async def server_to_ourselves(self, server_id: str) -> AsyncIterator[bool]:
        """Hold a server against all other replicas: a toggle by two hands flips twice.

        Yields whether it could be had. The lock ends with the connection, whatever happens to us.
        """
        key = f"suspender:{server_id}"
        async with self._pool.acquire() as connection:
            held = await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", key)
            try:
                yield bool(held)
            finally:
                if held:
                    await connection.execute("select pg_advisory_unlock(hashtext($1))", key)

    async def due(self, server_id: str, limit: int) -> list[Due]:
        """What is due on a server; restoring comes before suspending."""
        rows = await self._pool.fetch(
            f"select {SERVICE_COLUMNS}, wanted_at, attempts, failure_told_seq"  # noqa: S608
            f" from suspender.service where server_id = $1 and {_DUE}"
            " order by wanted, wanted_at limit $2",
            server_id,
            limit,
        )
        found = await self._pool.fetch(
            f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
            " where account_id = any($1) and profile is not null",
            list({row["account_id"] for row in rows}),
        )
        accounts = {row["account_id"]: account_of(row) for row in found}
        return [
            _due(row, accounts[row["account_id"]]) for row in rows if row["account_id"] in accounts
        ]

    async def confirm(self, due: Due, evidence: str, now: datetime) -> None:
        """The PBX says what was wanted: keep it and publish it, in one transaction.

        The reason is that of now. Where something else is wanted meanwhile, no mail is owed.
        """
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            account, service = await _locked(connection, due)
            is_current = service is not None
            service = service or due.service
            await connection.execute(
                "update suspender.service set confirmed = $3, confirmed_seq = $4,"
                " confirmed_at = $6, evidence = $5, attempts = 0, last_error = ''"
                " where account_id = $1 and service_id = $2 and confirmed_seq < $4",
                service.account_id,
                service.service_id,
                service.wanted,
                service.wanted_seq,
                evidence,
                now,
            )
            mail = is_current and zero_mail_owed(account, service)
            event = announce.confirmed(account, service, evidence, now, mail=mail)
            await enqueue(connection, SCHEMA, [event])
            if is_current:
                subject = announce.alarm_subject(*service.key)
                await ALARMS.end_alarm(connection, announce.FAILED_ALARM, subject, now)

    async def failed(
        self, due: Due, reason: str, again_at: datetime, now: datetime, *, publish: bool
    ) -> None:
        """An attempt failed: keep why and when the next one is due.

        `publish`: service.suspension-failed and the alarm are due too. Where something else is
        wanted meanwhile, nothing is kept.
        """
        async with self._pool.acquire() as acquired, acquired.transaction():
            connection = cast(Any, acquired)
            account, service = await _locked(connection, due)
            if service is None:
                return
            await connection.execute(
                "update suspender.service set attempts = attempts + 1, last_error = $3,"
                " next_attempt_at = $4,"
                " failure_told_seq = case when $5 then wanted_seq else failure_told_seq end"
                " where account_id = $1 and service_id = $2",
                service.account_id,
                service.service_id,
                reason[:500],
                again_at,
                publish,
            )
            if publish:
                event = announce.failed(service, reason, due.attempts + 1, now)
                await enqueue(connection, SCHEMA, [event])
                subject = announce.alarm_subject(*service.key)
                text = announce.failed_alarm(account, service, reason)
                await ALARMS.raise_alarm(connection, announce.FAILED_ALARM, subject, text, now)


async def _locked(connection: Connection, due: Due) -> tuple[Account, ServiceState | None]:
    """The account, locked; its service if what was due is still wanted."""
    account_id, service_id = due.service.key
    found = await connection.fetchrow(
        f"select {ACCOUNT_COLUMNS} from suspender.account"  # noqa: S608 - our own columns
        " where account_id = $1 for update",
        account_id,
    )
    row = await connection.fetchrow(
        f"select {SERVICE_COLUMNS} from suspender.service"  # noqa: S608 - our own columns
        " where account_id = $1 and service_id = $2 and wanted_seq = $3 and wanted = $4",
        account_id,
        service_id,
        due.service.wanted_seq,
        due.service.wanted,
    )
    return account_of(found) if found else due.account, service_of(row) if row else None


def _due(row: Any, account: Account) -> Due:
    values = dict(row)
    more = [values.pop(name) for name in ("wanted_at", "attempts", "failure_told_seq")]
    return Due(account, service_of(values), *more)
