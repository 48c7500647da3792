"""Database logins: one for each service, and one for the operator's commands.

A service's login is a member of the role that can write in that service's schema alone. The
operator's login may act in each of these roles and is no superuser.
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
    """The login name of a service or of the operator."""
    return f"{role_of(name)}_login"


def password_of(folder: Path, name: str) -> Path:
    """The file that holds the password of a login."""
    return folder / name / PASSWORD_FILE


def as_login(dsn: str, name: str, password: str = "") -> str:
    """The URL of the same database with the login of a service or of the operator."""
    parts = urlsplit(dsn)
    given = f":{quote(password, safe='')}" if password else ""
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{login_of(name)}{given}@{place}").geturl()


async def create_logins(dsn: str, folder: Path, services: Sequence[str] = SERVICES) -> list[str]:
    """Create a login for each service, and for the operator if it has a file; returns their names.

    A login's password is the content of `<service>/postgres-password` in `folder`; for a service
    without that file, a random password is written there. A service's login is a member of exactly
    one role, which the migrations create; `operator` is a member of all of them and may read which
    migrations were applied. No login has another right. Idempotent: the password of an existing
    login is set again. Raises BadInput for a weak password.
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
    # DDL takes no parameters. The names are constants; the server quotes the password.
    quoted = await connection.fetchval("select quote_literal($1::text)", password)
    verb = "alter" if known else "create"
    rights = "login nosuperuser nocreatedb nocreaterole noreplication noinherit"
    await connection.execute("set password_encryption = 'scram-sha-256'")
    await connection.execute(f'{verb} role "{login}" with {rights} password {quoted}')
    for service in SERVICES if name == OPERATOR else (name,):
        await connection.execute(f'grant "{role_of(service)}" to "{login}"')
