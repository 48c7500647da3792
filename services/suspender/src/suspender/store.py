"""The suspender's tables: the only file with its SQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from ringfence.events.account import AccountChanged
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection, Pool

State = Literal["active", "suspended"]


@dataclass
class Known:
    """An account as the suspender knows it: its profile, and the balance at its last crossing."""

    account_id: str
    profile: AccountChanged | None = None
    profile_version: int = 0
    balance_micro: int | None = None
    crossing: int = 0


class Wanted(NamedTuple):
    """What is wanted of a service from now on, and why."""

    state: State
    mode: str
    cause_id: UUID
    zero_mail: bool
    correlation_id: str


class Due(NamedTuple):
    """A service whose PBX does not say yet what is wanted."""

    account_id: str
    service_id: str
    server_id: str
    kind: str
    wanted: State
    wanted_seq: int
    wanted_at: datetime
    mode: str
    cause_id: UUID
    zero_mail: bool
    correlation_id: str
    attempts: int
    failure_told_seq: int
    profile: AccountChanged
    balance_micro: int | None


class Deciding:
    """One account under a lock, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def account(self, account_id: str) -> Known:
        """The account, locked; made on the first meeting."""
        await self._connection.execute(
            "insert into suspender.account (account_id) values ($1) on conflict do nothing",
            account_id,
        )
        row = await self._connection.fetchrow(
            "select * from suspender.account where account_id = $1 for update", account_id
        )
        assert row is not None
        profile = AccountChanged.model_validate(row["profile"]) if row["profile"] else None
        return Known(
            account_id, profile, row["profile_version"], row["balance_micro"], row["crossing"]
        )

    async def keep(self, known: Known) -> None:
        """Keep what was learned of the account."""
        profile = known.profile.model_dump(mode="json") if known.profile else None
        await self._connection.execute(
            "update suspender.account set profile = $2, profile_version = $3, balance_micro = $4,"
            " crossing = $5 where account_id = $1",
            known.account_id,
            profile,
            known.profile_version,
            known.balance_micro,
            known.crossing,
        )

    async def wanted(self, account_id: str) -> dict[str, State]:
        """What was last wanted of each of the account's services."""
        rows = await self._connection.fetch(
            "select service_id, wanted from suspender.service where account_id = $1", account_id
        )
        return {row["service_id"]: row["wanted"] for row in rows}

    async def meet(
        self, account_id: str, service_id: str, server_id: str, kind: str, state: State
    ) -> None:
        """Begin to know a service, in the state in which it is taken to be; nothing is due."""
        await self._connection.execute(
            "insert into suspender.service"
            " (account_id, service_id, server_id, kind, wanted, mode)"
            " values ($1, $2, $3, $4, $5, 'met') on conflict (account_id, service_id)"
            " do update set server_id = excluded.server_id, kind = excluded.kind",
            account_id,
            service_id,
            server_id,
            kind,
            state,
        )

    async def forget(self, account_id: str, service_ids: Sequence[str]) -> None:
        """Stop knowing services that the account no longer has."""
        await self._connection.execute(
            "delete from suspender.service where account_id = $1 and service_id = any($2)",
            account_id,
            list(service_ids),
        )

    async def want(self, account_id: str, service_id: str, wanted: Wanted) -> None:
        """Change what is wanted of a service; the worker acts on it at once."""
        await self._connection.execute(
            "update suspender.service set wanted = $3, wanted_seq = wanted_seq + 1,"
            " wanted_at = now(), mode = $4, cause_id = $5, zero_mail = $6, correlation_id = $7,"
            " attempts = 0, next_attempt_at = now(), last_error = ''"
            " where account_id = $1 and service_id = $2",
            account_id,
            service_id,
            *wanted,
        )


class SuspenderStore:
    """Everything that the suspender keeps."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[Deciding]:
        """A transaction for one event: all of it or nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield Deciding(connection)

    async def servers_with_work(self) -> list[str]:
        """The servers on which something is due now."""
        rows = await self._pool.fetch(
            "select distinct server_id from suspender.service"
            " where wanted_seq > confirmed_seq and next_attempt_at <= now()"
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
            "select s.*, a.profile, a.balance_micro from suspender.service s"
            " join suspender.account a using (account_id)"
            " where s.server_id = $1 and wanted_seq > confirmed_seq and next_attempt_at <= now()"
            " and a.profile is not null order by wanted, wanted_at limit $2",
            server_id,
            limit,
        )
        return [
            Due(
                **{name: row[name] for name in Due._fields if name != "profile"},
                profile=AccountChanged.model_validate(row["profile"]),
            )
            for row in rows
        ]

    async def confirm(self, due: Due, evidence: str, told: Outgoing | None) -> None:
        """The PBX says what was wanted: keep it, and tell it in the same transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "update suspender.service set confirmed = $3, confirmed_seq = $4,"
                " confirmed_at = now(), evidence = $5, attempts = 0, last_error = ''"
                " where account_id = $1 and service_id = $2 and confirmed_seq < $4",
                due.account_id,
                due.service_id,
                due.wanted,
                due.wanted_seq,
                evidence,
            )
            if told is not None:
                await enqueue(connection, "suspender", [told])

    async def still_wanted(self, due: Due) -> bool:
        """Whether nobody changed their mind since this work was read."""
        seq = await self._pool.fetchval(
            "select wanted_seq from suspender.service where account_id = $1 and service_id = $2",
            due.account_id,
            due.service_id,
        )
        return bool(seq == due.wanted_seq)

    async def failed(
        self, due: Due, reason: str, again_at: datetime, told: Outgoing | None
    ) -> None:
        """An attempt failed: keep why, and when the next one is due."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "update suspender.service set attempts = attempts + 1, last_error = $4,"
                " next_attempt_at = $5,"
                " failure_told_seq = case when $6 then $3 else failure_told_seq end"
                " where account_id = $1 and service_id = $2 and wanted_seq = $3",
                due.account_id,
                due.service_id,
                due.wanted_seq,
                reason[:500],
                again_at,
                told is not None,
            )
            if told is not None:
                await enqueue(connection, "suspender", [told])
