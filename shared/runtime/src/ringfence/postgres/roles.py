"""Logins of the services: one each, member of the role that can write in its own schema alone.

And one for the operator's commands, which may act as each service and is no superuser.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg

from ringfence.kafka.access.acls import OPERATOR
from ringfence.postgres.migrate import LOCK
from ringfence.postgres.pool import role_of
from ringfence.postgres.refusal import explained_refusal
from ringfence.secret_files import PASSWORD_FILE, SERVICES, ensure_secret
from ringfence_contracts.errors import BadInput

_PASSWORD = re.compile(r"[!-~]{16,200}")


def login_of(name: str) -> str:
    """The name that a service, or the operator, logs in by."""
    return f"{role_of(name)}_login"


def password_of(folder: Path, name: str) -> Path:
    """The file of that login's password."""
    return folder / name / PASSWORD_FILE


def as_login(dsn: str, name: str, password: str = "") -> str:
    """The same database by the login of a service, or of the operator."""
    parts = urlsplit(dsn)
    given = f":{quote(password, safe='')}" if password else ""
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login_of(name)}{given}@{place}").geturl()


async def create_logins(dsn: str, folder: Path, services: Sequence[str] = SERVICES) -> list[str]:
    """Have a login for each service, and the operator's if it has a file; the names.

    A login's password is the content of the file `<service>/postgres-password` in `folder`; where
    a service has none, a random one is written there. A service's login is member of exactly one
    role, which the migrations create; `operator` is member of all of them, and reads which
    migrations were applied. None has another right. Safe to repeat. Raises BadInput for a
    password that is too weak.
    """
    passwords = {service: _password(password_of(folder, service)) for service in services}
    if password_of(folder, OPERATOR).is_file():
        passwords[OPERATOR] = _password(password_of(folder, OPERATOR))
    with explained_refusal(dsn):
        connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK)
        for name, password in passwords.items():
            await _create(connection, name, password)
        if OPERATOR in passwords:
            await connection.execute(
                f'grant select on public.ringfence_migration to "{login_of(OPERATOR)}"'
            )
    finally:
        await connection.close()
    return [login_of(name) for name in passwords]


def _password(path: Path) -> str:
    ensure_secret(path)
    password = path.read_text(encoding="utf-8").strip()
    if not _PASSWORD.fullmatch(password):
        raise BadInput(str(path), "(not shown)", "a password of 16 to 200 printable characters")
    return password


async def _create(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, password: str
) -> None:
    login = login_of(name)
    known = await connection.fetchval("select true from pg_roles where rolname = $1", login)
    # DDL takes no parameters: names are our own, and the server itself quotes the password.
    quoted = await connection.fetchval("select quote_literal($1::text)", password)
    verb = "alter" if known else "create"
    rights = "login nosuperuser nocreatedb nocreaterole noreplication noinherit"
    await connection.execute("set password_encryption = 'scram-sha-256'")
    await connection.execute(f'{verb} role "{login}" with {rights} password {quoted}')
    for service in SERVICES if name == OPERATOR else (name,):
        await connection.execute(f'grant "{role_of(service)}" to "{login}"')
