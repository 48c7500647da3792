"""Sessions and login links in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from accounts.access.new_secrets import new_secret
from accounts.access.operators.store_rows import check_may_log_in, locked_operator, record_change
from accounts.access.scopes import Caller, SessionUse, TokenScope
from accounts.access.tokens import ApiToken, digest_of
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule

LONGEST_SESSION = timedelta(hours=12)
IDLE = timedelta(minutes=60)
RENEWED_AFTER = timedelta(minutes=5)
"""A use is written when the last one that was written is older: not at each request."""

LINK_VALID = timedelta(minutes=15)
MOST_SESSIONS = 20
"""In use by one operator; a further login ends the oldest."""

PRUNED = (
    PruneRule("accounts.session", "expires_at"),
    PruneRule("accounts.login_link", "expires_at"),
)


@dataclass(frozen=True)
class OpenedSession:
    """A new session with its secret, which is in no table."""

    secret: str
    name: str
    scopes: Sequence[TokenScope]
    servers: Sequence[str] | None
    created_at: datetime
    expires_at: datetime


class SessionStore:
    """The sessions of operators, and the links by which they log in."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def in_use(self) -> tuple[ApiToken, ...]:
        """The tokens of the sessions that have not ended, each with its operator's scopes."""
        now = self._clock.now()
        rows = await self._pool.fetch(
            "select s.session_id, s.operator, s.digest, s.used_at, s.expires_at, o.scopes,"
            " o.servers from accounts.session s join accounts.operator o on o.name = s.operator"
            " where s.expires_at > $1 and s.ended_at is null and s.used_at > $2 and o.enabled",
            now,
            now - IDLE,
        )
        return tuple(_token(dict(row)) for row in rows)

    async def note_use(self, session_id: UUID) -> None:
        """Write that a session is used now."""
        await self._pool.execute(
            "update accounts.session set used_at = $2"
            " where session_id = $1 and used_at < $2 and ended_at is null",
            session_id,
            self._clock.now(),
        )

    async def password_of(self, name: str) -> str | None:
        """The hash of the password of an operator who may log in; None for everybody else."""
        found: str | None = await self._pool.fetchval(
            "select password_hash from accounts.operator"
            " where name = $1 and enabled and scopes <> '{}'",
            name,
        )
        return found

    async def open_by_password(self, name: str, verified: str) -> OpenedSession | None:
        """Open a session of an operator whose hash was `verified`; None if it was changed since."""
        async with self._pool.acquire() as connection, connection.transaction():
            operator = await locked_operator(connection, name)
            if operator is None or operator["password_hash"] != verified:
                return None
            return await self._open(connection, operator, "password")

    async def open_by_link(self, secret: str) -> OpenedSession | None:
        """Open a session by a link, which is used up by it; None for a link that is not valid."""
        now = self._clock.now()
        digest = digest_of(secret.encode())
        async with self._pool.acquire() as connection, connection.transaction():
            # The operator is locked first, in the order of those who disable him.
            name = await connection.fetchval(
                "select operator from accounts.login_link where digest = $1", digest
            )
            operator = None if name is None else await locked_operator(connection, name)
            if operator is None or not operator["enabled"] or not operator["scopes"]:
                return None
            if not await connection.fetchval(
                "update accounts.login_link set used_at = $2"
                " where digest = $1 and used_at is null and expires_at > $2 returning true",
                digest,
                now,
            ):
                return None
            return await self._open(connection, operator, "link")

    async def end(self, session_id: UUID) -> datetime:
        """End a session, at once; returns when it ended."""
        found: datetime = await self._pool.fetchval(
            "update accounts.session set ended_at = coalesce(ended_at, $2)"
            " where session_id = $1 returning ended_at",
            session_id,
            self._clock.now(),
        )
        return found

    async def create_link(self, name: str, who: str) -> dict[str, Any]:
        """Create a login link with its `secret`. Raises Unknown, and Clash if he cannot log in."""
        now, secret = self._clock.now(), new_secret("login_")
        async with self._pool.acquire() as connection, connection.transaction():
            operator = check_may_log_in(name, await locked_operator(connection, name))
            row = await connection.fetchrow(
                "insert into accounts.login_link"
                " (link_id, operator, digest, created_at, created_by, expires_at)"
                " values ($1, $2, $3, $4, $5, $6) returning operator, created_at, expires_at",
                uuid4(),
                name,
                digest_of(secret.encode()),
                now,
                who,
                now + LINK_VALID,
            )
            assert row is not None
            await record_change(connection, "link", who, now, operator, operator)
        return {**row, "secret": secret}

    async def _open(
        self, connection: Connection, operator: dict[str, Any], login: Literal["password", "link"]
    ) -> OpenedSession | None:
        if not operator["enabled"] or not operator["scopes"]:
            return None
        now, secret, name = self._clock.now(), new_secret(), operator["name"]
        await connection.execute(
            "update accounts.session set ended_at = $2 where session_id in ("
            " select session_id from accounts.session"
            " where operator = $1 and ended_at is null and expires_at > $2"
            " order by created_at desc, session_id offset $3)",
            name,
            now,
            MOST_SESSIONS - 1,
        )
        await connection.execute(
            "insert into accounts.session"
            " (session_id, operator, digest, login, created_at, used_at, expires_at)"
            " values ($1, $2, $3, $4, $5, $5, $6)",
            uuid4(),
            name,
            digest_of(secret.encode()),
            login,
            now,
            now + LONGEST_SESSION,
        )
        await connection.execute(
            "update accounts.operator set last_login_at = $2 where name = $1", name, now
        )
        return OpenedSession(
            secret, name, operator["scopes"], operator["servers"], now, now + LONGEST_SESSION
        )


def _token(row: dict[str, Any]) -> ApiToken:
    servers = row["servers"]
    caller = Caller(
        row["operator"],
        frozenset(row["scopes"]),
        None if servers is None else frozenset(servers),
        row["expires_at"],
        SessionUse(row["session_id"], row["used_at"]),
    )
    return ApiToken(caller, row["digest"], min(row["expires_at"], row["used_at"] + IDLE))
