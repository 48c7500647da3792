"""Migrations: in order, each once and in one transaction; an applied one never changes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from ringfence.postgres.migrate import MigrationChanged, migrate

MIGRATIONS = Path(__file__).parents[3] / "deploy/migrations"


@pytest.fixture
async def connection(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A look into the database, as its owner."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.sql").write_text(text)
    return tmp_path


async def test_files_are_applied_in_order_and_once(
    database: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        _9002_second="insert into public.numbers values (2)",
        _9001_first="create table public.numbers (n int); insert into public.numbers values (1)",
    )
    assert await migrate(database, files) == ["_9001_first.sql", "_9002_second.sql"]
    folder(tmp_path, _9003_third="insert into public.numbers values (3)")
    assert await migrate(database, files) == ["_9003_third.sql"]
    assert await migrate(database, files) == []
    rows = await connection.fetch("select n from public.numbers order by n")
    assert [row["n"] for row in rows] == [1, 2, 3]


async def test_a_failing_file_is_rolled_back_and_earlier_ones_stay(
    database: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        _9001_good="create table public.good (n int)",
        _9002_bad="create table public.half (n int); select * from public.nowhere",
    )
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate(database, files)
    assert await connection.fetchval("select to_regclass('public.good')") is not None
    assert await connection.fetchval("select to_regclass('public.half')") is None
    folder(tmp_path, _9002_bad="create table public.half (n int)")
    assert await migrate(database, files) == ["_9002_bad.sql"]


async def test_a_file_and_its_row_are_one_transaction(
    database: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    """The file inserts its own row, so the second insert fails and rolls back both."""
    taken = "insert into public.ringfence_migration (name, sha256) values ('_9001_a.sql', '')"
    files = folder(tmp_path, _9001_a=f"create table public.half (n int); {taken}")
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(database, files)
    assert await connection.fetchval("select to_regclass('public.half')") is None


async def test_an_applied_file_that_was_edited_is_refused(database: str, tmp_path: Path) -> None:
    files = folder(tmp_path, _9001_first="create table public.first (n int)")
    await migrate(database, files)
    folder(tmp_path, _9001_first="create table public.first (n bigint)")
    with pytest.raises(MigrationChanged, match=r"_9001_first\.sql was applied with other content"):
        await migrate(database, files)


async def test_two_at_once_take_turns(
    database: str, connection: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    """Every replica may migrate at its start."""
    text = "create table public.once (n int); insert into public.once values (1)"
    files = folder(tmp_path, _9001_once=text)
    applied = await asyncio.gather(*(migrate(database, files) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], ["_9001_once.sql"]]
    assert await connection.fetchval("select count(*) from public.once") == 1


async def test_the_products_own_migrations_have_nothing_left_to_apply(database: str) -> None:
    assert await migrate(database, MIGRATIONS) == []


async def test_a_service_s_role_can_write_in_no_other_schema(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """By the privileges that the database reports, only a schema's role writes its tables."""
    strangers = await connection.fetch(
        "select r.rolname, n.nspname || '.' || c.relname as relation"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " cross join pg_roles r"
        " where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
        " and c.relkind in ('r', 'p', 'v', 'm') and r.rolname like 'ringfence\\_%'"
        " and r.rolname <> 'ringfence_' || n.nspname"
        " and has_table_privilege(r.oid, c.oid, 'insert, update, delete, truncate')"
    )
    assert [tuple(row) for row in strangers] == []


async def test_nobody_may_change_or_remove_a_ledger_row(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    may = await connection.fetchval(
        "select has_table_privilege('ringfence_rating', 'rating.ledger', 'update')"
        " or has_table_privilege('ringfence_rating', 'rating.ledger', 'delete')"
        " or has_table_privilege('ringfence_rating', 'rating.ledger', 'truncate')"
    )
    assert may is False
    for statement in ("update rating.ledger set amount_micro = 0", "delete from rating.ledger"):
        async with connection.transaction():
            await connection.execute("set local role ringfence_rating")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(statement)
