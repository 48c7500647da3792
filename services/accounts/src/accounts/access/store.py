"""Operators and tokens in the database, and the record of their changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID, uuid4

from accounts.access.new_secrets import new_secret
from accounts.access.scopes import Caller, TokenScope, TokenUse
from accounts.access.store_changes import changes_of
from accounts.access.tokens import ApiToken, digest_of
from accounts.paging import by_columns, decode_cursor, page
from accounts.refusals import Clash, Unknown
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from accounts.typed.short_ids import find_id
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool

MOST_TOKENS = 10_000
_LISTED = (
    "token_id, operator, scopes, servers, created_at, created_by, expires_at, revoked_at,"
    " revoked_by"
)
_LISTED_BY = "`ringfence token list` lists the tokens, each with the first digits of its id"


@dataclass(frozen=True)
class TokenTerms:
    """Whose token it is and what it allows. `servers` None: all. `expires_at` None: no end."""

    operator: str
    scopes: Sequence[TokenScope]
    servers: Sequence[str] | None
    expires_at: datetime | None


class TokenStore:
    """The tokens of operators."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def in_use(self) -> tuple[ApiToken, ...]:
        """The tokens that are neither revoked nor expired."""
        rows = await self._pool.fetch(
            "select token_id, operator, digest, scopes, servers, expires_at, used_at"
            " from accounts.token"
            " where revoked_at is null and (expires_at is null or expires_at > $1)",
            self._clock.now(),
        )
        return tuple(
            ApiToken(
                Caller(
                    row["operator"],
                    frozenset(row["scopes"]),
                    None if row["servers"] is None else frozenset(row["servers"]),
                    row["expires_at"],
                    token=TokenUse(row["token_id"], row["used_at"]),
                ),
                row["digest"],
                row["expires_at"],
            )
            for row in rows
        )

    async def note_use(self, token_id: UUID) -> None:
        """Write that a token is used now."""
        await self._pool.execute(
            "update accounts.token set used_at = $2"
            " where token_id = $1 and (used_at is null or used_at < $2)",
            token_id,
            self._clock.now(),
        )

    async def servers_of(self, account_id: str) -> frozenset[str]:
        """The servers of a client's products."""
        rows = await self._pool.fetch(
            "select distinct service->>'server_id' as server_id from accounts.product"
            " where account_id = $1",
            account_id,
        )
        return frozenset(row["server_id"] for row in rows)

    async def create(self, terms: TokenTerms, who: str) -> dict[str, Any]:
        """Create a token, and its operator if there is none; with its `secret`. Raises Clash."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into accounts.operator (name, created_at, created_by)"
                " values ($1, $2, $3) on conflict do nothing",
                terms.operator,
                self._clock.now(),
                who,
            )
            # Disabling waits for this lock, or is seen here: no token is left behind by it.
            if not await connection.fetchval(
                "select enabled from accounts.operator where name = $1 for share", terms.operator
            ):
                expected = f"it is disabled: `ringfence operator enable {terms.operator}` first"
                raise Clash("operator", terms.operator, expected)
            return await self._insert(connection, terms, who)

    async def rotate(self, token_id: UUID, overlap: timedelta, who: str) -> dict[str, Any]:
        """Create a token in the place of another, which stays valid for `overlap`.

        Returns the new one with its `secret`, and `replaced`. Raises Unknown, and Clash for a token
        that is not in use.
        """
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            before = await self._locked(connection, token_id)
            if before["revoked_at"] is not None or _is_past(before["expires_at"], now):
                expected = "the token is not in use any more: create another one"
                raise Clash("token_id", str(token_id), expected)
            terms = TokenTerms(
                before["operator"], before["scopes"], before["servers"], before["expires_at"]
            )
            made = await self._insert(connection, terms, who)
            ends = now + overlap
            row = await connection.fetchrow(
                "update accounts.token set expires_at = least($2, expires_at),"  # noqa: S608
                " revoked_at = case when $2 <= $3 then $3 end,"
                " revoked_by = case when $2 <= $3 then $4 else '' end"
                f" where token_id = $1 returning {_LISTED}",
                token_id,
                ends,
                now,
                who,
            )
            assert row is not None
            await self._record(connection, "rotated", who, before, dict(row))
        return {**made, "replaced": dict(row)}

    async def revoke(self, token_id: UUID, who: str) -> dict[str, Any]:
        """End a token at once; a token that was revoked before stays as it is. Raises Unknown."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = await self._locked(connection, token_id)
            if before["revoked_at"] is not None:
                return before
            return await self._revoke(connection, before, who)

    async def revoke_all(self, connection: Connection, operator: str, who: str) -> int:
        """End the tokens of an operator in the caller's transaction; how many there were."""
        rows = await connection.fetch(
            f"select {_LISTED} from accounts.token where operator = $1 and revoked_at is null"  # noqa: S608
            " and (expires_at is null or expires_at > $2) order by token_id for update",
            operator,
            self._clock.now(),
        )
        for row in rows:
            await self._revoke(connection, dict(row), who)
        return len(rows)

    async def _revoke(
        self, connection: Connection, before: dict[str, Any], who: str
    ) -> dict[str, Any]:
        row = await connection.fetchrow(
            "update accounts.token set revoked_at = $2, revoked_by = $3"  # noqa: S608
            f" where token_id = $1 returning {_LISTED}",
            before["token_id"],
            self._clock.now(),
            who,
        )
        assert row is not None
        await self._record(connection, "revoked", who, before, dict(row))
        return dict(row)

    async def find(self, text: str) -> UUID:
        """The token whose id begins with `text`. Raises Unknown for none, Clash for several."""
        candidates = partial(
            self._pool.fetch,
            "select token_id from accounts.token where token_id between $1 and $2"
            " order by token_id limit $3",
        )
        return await find_id("token_id", text, candidates, _LISTED_BY)

    async def listed(self, in_use_only: bool, cursor: str | None, limit: int) -> dict[str, Any]:
        """Tokens, the newest first. No secret and no digest."""
        at, token_id = decode_cursor(cursor, read_instant, UUID)
        chosen = (
            " where (not $1 or (revoked_at is null and (expires_at is null or expires_at > $2)))"
        )
        now = self._clock.now()
        rows = await self._pool.fetch(
            f"select {_LISTED}, used_at from accounts.token{chosen}"  # noqa: S608 - constants
            " and ($3::timestamptz is null or (created_at, token_id) < ($3, $4::uuid))"
            " order by created_at desc, token_id desc limit $5",
            in_use_only,
            now,
            at,
            token_id,
            limit + 1,
        )
        count = await count_for(
            self._pool,
            cursor,
            f"select count(*) from accounts.token{chosen}",  # noqa: S608 - as above
            in_use_only,
            now,
        )
        shown = [{**row, "state": _state(dict(row), now)} for row in rows]
        return page(shown, limit, by_columns("created_at", "token_id"), count)

    async def changes(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Who created, rotated and revoked tokens, the newest first."""
        return await changes_of(self._pool, "token", "token_id", cursor, limit)

    async def _insert(self, connection: Connection, terms: TokenTerms, who: str) -> dict[str, Any]:
        now, secret = self._clock.now(), new_secret()
        count = await connection.fetchval(
            "select count(*) from accounts.token where revoked_at is null"
            " and (expires_at is null or expires_at > $1)",
            now,
        )
        if count >= MOST_TOKENS:
            expected = f"{count} tokens are in use: revoke those that nobody needs"
            raise Clash("operator", terms.operator, expected)
        row = await connection.fetchrow(
            "insert into accounts.token (token_id, operator, digest, scopes, servers,"  # noqa: S608
            " created_at, created_by, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"
            f" returning {_LISTED}",
            uuid4(),
            terms.operator,
            digest_of(secret.encode()),
            list(terms.scopes),
            None if terms.servers is None else list(terms.servers),
            now,
            who,
            terms.expires_at,
        )
        assert row is not None
        await self._record(connection, "created", who, None, dict(row))
        return {**row, "used_at": None, "state": "valid", "secret": secret}

    async def _locked(self, connection: Connection, token_id: UUID) -> dict[str, Any]:
        row = await connection.fetchrow(
            f"select {_LISTED} from accounts.token where token_id = $1 for update",  # noqa: S608
            token_id,
        )
        if row is None:
            raise Unknown("token_id", str(token_id), _LISTED_BY)
        return dict(row)

    async def _record(
        self,
        connection: Connection,
        what: Literal["created", "rotated", "revoked"],
        who: str,
        before: dict[str, Any] | None,
        after: dict[str, Any],
    ) -> None:
        await connection.execute(
            "insert into accounts.token_change (change_id, token_id, what, changed_by, changed_at,"
            " before, after) values ($1, $2, $3, $4, $5, $6, $7)",
            uuid4(),
            after["token_id"],
            what,
            who,
            self._clock.now(),
            None if before is None else _as_json(before),
            _as_json(after),
        )


def _is_past(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def _state(row: dict[str, Any], now: datetime) -> Literal["valid", "expired", "revoked"]:
    if row["revoked_at"] is not None:
        return "revoked"
    return "expired" if _is_past(row["expires_at"], now) else "valid"


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its ids and instants as text."""
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else (str(value) if isinstance(value, UUID) else value)
        for name, value in row.items()
    }
