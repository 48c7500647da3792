"""`ringfence database`: schema and logins, on a real PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ringfence.postgres.command import database as command
from ringfence.postgres.pool import role_of
from ringfence.postgres.roles import create_logins, login_of
from ringfence.secret_files import SERVICES, secrets_command
from ringfence_local.stack import MIGRATIONS

T = TypeVar("T")
_HASH = "select rolpassword from pg_authid where rolname = 'ringfence_rating_login'"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def connected(dsn: str, work: Callable[[Any], Awaitable[T]], **login: Any) -> T:
    """Run `work` on a new connection."""

    async def on_connection() -> T:
        connection = await asyncpg.connect(dsn, **login)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(on_connection())


@pytest.fixture
def dsn(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    return database


def test_migrate_says_when_there_is_nothing_to_do(dsn: str) -> None:
    done = run("migrate", "--folder", str(MIGRATIONS))
    assert (done.exit_code, done.output) == (0, "nothing to apply\n")


def test_a_login_has_the_role_of_its_service_alone(dsn: str, tmp_path: Path) -> None:
    done = run("logins", "--folder", str(tmp_path))
    assert done.output.splitlines() == [f"login {login_of(service)}" for service in SERVICES]
    password = (tmp_path / "rating" / "postgres-password").read_text().strip()
    assert password not in done.output

    async def tries(connection: Any) -> None:
        await connection.execute("set role ringfence_rating")
        await connection.fetch("select from rating.ledger")
        await connection.execute("reset role")
        refused = ("set role ringfence_accounts", "set role postgres", "create role another")
        for statement in (*refused, "select from rating.ledger"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    connected(dsn, tries, user=login_of("rating"), password=password)


def test_the_operators_login_has_the_role_of_every_service_alone(dsn: str, tmp_path: Path) -> None:
    """It is created where its file exists; without it, the logins of services are unchanged."""
    words = ["create", "--only", "database", "--folder", str(tmp_path)]
    assert CliRunner().invoke(secrets_command, words).exit_code == 0
    done = run("logins", "--folder", str(tmp_path))
    assert done.output.splitlines()[-1] == "login ringfence_operator_login"
    password = (tmp_path / "operator" / "postgres-password").read_text().strip()

    async def tries(connection: Any) -> None:
        assert await connection.fetchval("select count(*) from public.ringfence_migration") > 0
        for statement in ("select from rating.ledger", "set role postgres", "create role another"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        for service in SERVICES:
            await connection.execute(f"set role {role_of(service)}")
            await connection.fetch("select from report.balance")

    connected(dsn, tries, user=login_of("operator"), password=password)


def test_a_changed_password_is_valid_after_the_next_run(dsn: str, tmp_path: Path) -> None:
    run("logins", "--folder", str(tmp_path))
    before = connected(dsn, lambda connection: connection.fetchval(_HASH))
    assert before.startswith("SCRAM-SHA-256$")
    file = tmp_path / "rating" / "postgres-password"
    file.unlink()
    file.write_text("another-password:'quoted'")
    assert run("logins", "--folder", str(tmp_path)).exit_code == 0
    assert connected(dsn, lambda connection: connection.fetchval(_HASH)) != before


def test_concurrent_creations_of_logins_are_serialized(dsn: str, tmp_path: Path) -> None:
    """As two migration jobs of a cluster: PostgreSQL refuses concurrent changes of a role."""

    async def at_once() -> list[list[str]]:
        found: list[list[str]] = await asyncio.gather(
            *(create_logins(dsn, tmp_path) for _ in range(8))
        )
        return found

    made = asyncio.run(at_once())
    assert made == [[login_of(service) for service in SERVICES]] * 8


def test_a_weak_password_is_refused_without_showing_it(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "rating").mkdir()
    (tmp_path / "rating" / "postgres-password").write_text("short-one")
    done = run("logins", "--folder", str(tmp_path))
    assert done.exit_code == 1
    assert "a password of 16 to 200 printable characters" in done.output
    assert "short-one" not in done.output
