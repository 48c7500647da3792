"""Rows of operators, read and written inside the caller's transaction."""

from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from accounts.refusals import Clash, Unknown
from ringfence.postgres.pool import Connection

OperatorWrite = Literal["created", "changed", "password", "disabled", "enabled", "link"]
_AUDITED = ("name", "scopes", "servers", "enabled")


async def locked_operator(connection: Connection, name: str) -> dict[str, Any] | None:
    """An operator, locked until the transaction ends; None if there is none of this name."""
    # "no key": a token or session refers to the operator and must not wait.
    row = await connection.fetchrow(
        "select name, scopes, servers, enabled, password_hash, created_at, created_by,"
        " last_login_at from accounts.operator where name = $1 for no key update",
        name,
    )
    return dict(row) if row else None


def known_operator(name: str, operator: dict[str, Any] | None) -> dict[str, Any]:
    """The operator. Raises Unknown for None."""
    if operator is None:
        raise Unknown("operator", name, "`ringfence operator list` lists those that exist")
    return operator


def check_may_log_in(name: str, operator: dict[str, Any] | None) -> dict[str, Any]:
    """The operator. Raises Unknown for None, and Clash for one who is disabled or has no scopes."""
    found = known_operator(name, operator)
    if not found["enabled"]:
        expected = f"it is disabled: `ringfence operator enable {name}` first"
        raise Clash("operator", name, expected)
    if not found["scopes"]:
        expected = (
            "it has tokens alone, and cannot log in:"
            f" `ringfence operator create {name} --scope …` first"
        )
        raise Clash("operator", name, expected)
    return found


async def record_change(
    connection: Connection,
    what: OperatorWrite,
    who: str,
    at: datetime,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> None:
    """Write the audit of a change of an operator: never a password or its hash."""
    await connection.execute(
        "insert into accounts.operator_change"
        " (change_id, operator, what, changed_by, changed_at, before, after)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        uuid4(),
        after["name"],
        what,
        who,
        at,
        None if before is None else _audited(before),
        _audited(after),
    )


def _audited(operator: dict[str, Any]) -> dict[str, Any]:
    shown = {name: operator[name] for name in _AUDITED}
    return {**shown, "has_password": operator["password_hash"] is not None}
