"""Operators in the database: created, changed, disabled; each write with its audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.access.operators.store_rows import (
    OperatorWrite,
    known_operator,
    locked_operator,
    record_change,
)
from accounts.access.scopes import TokenScope
from accounts.access.server_limits import check_server_limits, uses_servers
from accounts.access.store import TokenStore
from accounts.access.store_changes import changes_of
from accounts.paging import by_columns, decode_cursor, page, read_id
from accounts.refusals import Clash
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection, Pool

_LISTED = (
    "name, scopes, servers, enabled, password_hash is not null as has_password, created_at,"
    " created_by, last_login_at"
)


@dataclass(frozen=True)
class OperatorTerms:
    """What an operator may do. `servers` None: all."""

    scopes: Sequence[TokenScope]
    servers: Sequence[str] | None


@dataclass(frozen=True)
class OperatorEdit:
    """What is changed of an operator; None: it stays. `limits` is empty, or has `servers`."""

    scopes: Sequence[TokenScope] | None
    limits: Mapping[str, Sequence[str] | None]
    enabled: bool | None


class OperatorStore:
    """The operators."""

    def __init__(self, pool: Pool, clock: Clock, tokens: TokenStore) -> None:
        self._pool = pool
        self._clock = clock
        self._tokens = tokens

    async def create(
        self, name: str, terms: OperatorTerms, password_hash: str | None, who: str
    ) -> dict[str, Any]:
        """Create an operator who may log in; one who had tokens alone may log in from now on.

        Raises Clash if there is one of this name.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into accounts.operator (name, created_at, created_by)"
                " values ($1, $2, $3) on conflict do nothing",
                name,
                self._clock.now(),
                who,
            )
            before = known_operator(name, await locked_operator(connection, name))
            if before["scopes"] or not before["enabled"]:
                expected = f"it exists: `ringfence operator change {name}` changes it"
                raise Clash("name", name, expected)
            after = {**before, **_columns(terms), "password_hash": password_hash}
            return await self._write(connection, "created", who, None, after)

    async def change(self, name: str, edit: OperatorEdit, who: str) -> dict[str, Any]:
        """Change what an operator may do. Disabling ends his sessions, links and tokens.

        Servers that new scopes do not use are dropped. Raises Unknown, BadInput for servers that
        the scopes do not use, and Clash for scopes of one who cannot log in.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            before = known_operator(name, await locked_operator(connection, name))
            after = {**before, **_edited(before, edit)}
            if before["enabled"] and not after["enabled"]:
                await self._end_logins(connection, name)
                await self._tokens.revoke_all(connection, name, who)
            what: OperatorWrite = "changed"
            if before["enabled"] != after["enabled"]:
                what = "enabled" if after["enabled"] else "disabled"
            return await self._write(connection, what, who, before, after)

    async def set_password(self, name: str, password_hash: str, who: str) -> dict[str, Any]:
        """Set a password; ends all sessions and links of the operator. Raises Unknown."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = known_operator(name, await locked_operator(connection, name))
            await self._end_logins(connection, name)
            after = {**before, "password_hash": password_hash}
            return await self._write(connection, "password", who, before, after)

    async def listed(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Operators, the newest first. No password and no hash."""
        at, name = decode_cursor(cursor, read_instant, read_id)
        rows = await self._pool.fetch(
            f"select {_LISTED} from accounts.operator"  # noqa: S608 - constants
            " where $1::timestamptz is null or (created_at, name) < ($1, $2)"
            " order by created_at desc, name desc limit $3",
            at,
            name,
            limit + 1,
        )
        count = await count_for(self._pool, cursor, "select count(*) from accounts.operator")
        return page([dict(row) for row in rows], limit, by_columns("created_at", "name"), count)

    async def changes(self, cursor: str | None, limit: int) -> dict[str, Any]:
        """Who changed operators and gave them links, the newest first."""
        return await changes_of(self._pool, "operator", "operator", cursor, limit)

    async def _end_logins(self, connection: Connection, name: str) -> None:
        now = self._clock.now()
        await connection.execute(
            "update accounts.session set ended_at = $2"
            " where operator = $1 and ended_at is null and expires_at > $2",
            name,
            now,
        )
        await connection.execute(
            "update accounts.login_link set expires_at = $2"
            " where operator = $1 and used_at is null and expires_at > $2",
            name,
            now,
        )

    async def _write(
        self,
        connection: Connection,
        what: OperatorWrite,
        who: str,
        before: dict[str, Any] | None,
        after: dict[str, Any],
    ) -> dict[str, Any]:
        """Write an operator and the audit, unless nothing is changed; a password always is."""
        if after != before:
            await connection.execute(
                "update accounts.operator set scopes = $2, servers = $3, enabled = $4,"
                " password_hash = $5 where name = $1",
                after["name"],
                after["scopes"],
                after["servers"],
                after["enabled"],
                after["password_hash"],
            )
            await record_change(connection, what, who, self._clock.now(), before, after)
        return {**after, "has_password": after["password_hash"] is not None}


def _columns(terms: OperatorTerms) -> dict[str, Any]:
    servers = terms.servers if uses_servers(terms.scopes) else None
    return {
        "scopes": sorted(set(terms.scopes)),
        "servers": None if servers is None else sorted(set(servers)),
    }


def _edited(before: dict[str, Any], edit: OperatorEdit) -> dict[str, Any]:
    """The columns that an edit changes."""
    enabled = before["enabled"] if edit.enabled is None else edit.enabled
    if edit.scopes is None and not edit.limits:
        return {"enabled": enabled}
    if not before["scopes"]:
        name = before["name"]
        expected = (
            "it has tokens alone, and no scopes of its own:"
            f" `ringfence operator create {name} --scope …` gives it some"
        )
        raise Clash("operator", name, expected)
    scopes = before["scopes"] if edit.scopes is None else edit.scopes
    if edit.limits:
        check_server_limits(scopes, edit.limits["servers"], None)
    servers = edit.limits.get("servers", before["servers"])
    return {"enabled": enabled, **_columns(OperatorTerms(scopes, servers))}
