"""Logins of the services: one each, member of the role that can write in its own schema alone."""

import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from ringfence.errors import BadInput
from ringfence.postgres.pool import role_of
from ringfence.secret_files import PASSWORD_FILE, ensure_secret

SERVICES = ("cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts")
_PASSWORD = re.compile(r"[!-~]{16,200}")


def login_of(service: str) -> str:
    """The name that a service logs in by."""
    return f"{role_of(service)}_login"


async def create_logins(dsn: str, folder: Path, services: Sequence[str] = SERVICES) -> list[str]:
    """Have a login for each service; the names. Safe to repeat.

    A login's password is the content of the file `<service>/postgres-password` in `folder`; where
    there is none, a random one is written there. Each login is member of exactly one role, which
    the migrations create, and has no other right. Raises BadInput for a password that is too weak.
    """
    passwords = {s: _password(folder / s / PASSWORD_FILE) for s in services}
    connection = await asyncpg.connect(dsn)
    try:
        for service, password in passwords.items():
            await _create(connection, service, password)
    finally:
        await connection.close()
    return [login_of(service) for service in services]


def _password(path: Path) -> str:
    ensure_secret(path)
    password = path.read_text(encoding="utf-8").strip()
    if not _PASSWORD.fullmatch(password):
        raise BadInput(str(path), "(not shown)", "a password of 16 to 200 printable characters")
    return password


async def _create(
    connection: "asyncpg.Connection[asyncpg.Record]", service: str, password: str
) -> None:
    login, role = login_of(service), role_of(service)
    known = await connection.fetchval("select true from pg_roles where rolname = $1", login)
    # DDL takes no parameters: names are our own, and the server itself quotes the password.
    quoted = await connection.fetchval("select quote_literal($1::text)", password)
    verb = "alter" if known else "create"
    rights = "login nosuperuser nocreatedb nocreaterole noreplication noinherit"
    await connection.execute("set password_encryption = 'scram-sha-256'")
    await connection.execute(f'{verb} role "{login}" with {rights} password {quoted}')
    await connection.execute(f'grant "{role}" to "{login}"')
