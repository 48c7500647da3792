"""SQL migrations: files `NNNN_what.sql`, in order, each once and in its own transaction."""

import hashlib
from pathlib import Path

import asyncpg

from ringfence.postgres.refusal import explained_refusal
from ringfence_contracts.errors import RingfenceError

LOCK = 0x72696E67
"""The key of the advisory lock: commands that prepare a database run one after another."""


class MigrationChanged(RingfenceError):
    """The file of an applied migration has changed."""


async def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply the files of `folder` that the database lacks; returns their names.

    Raises MigrationChanged if the file of an applied migration was edited (add a new file instead),
    and DatabaseRefuses if TLS or the login fails.
    """
    files = _read(folder)
    with explained_refusal(dsn):
        connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK)
        await connection.execute(
            "create table if not exists public.ringfence_migration"
            " (name text primary key, sha256 text not null, applied_at timestamptz default now())"
        )
        known = {
            row["name"]: row["sha256"]
            for row in await connection.fetch("select name, sha256 from public.ringfence_migration")
        }
        return [name for name, text in files.items() if await _apply(connection, name, text, known)]
    finally:
        await connection.close()


def _read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, text: str, known: dict[str, str]
) -> bool:
    digest = hashlib.sha256(text.encode()).hexdigest()
    if name in known:
        if known[name] != digest:
            raise MigrationChanged(f"{name} was applied with other content; add a new file")
        return False
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute(
            "insert into public.ringfence_migration (name, sha256) values ($1, $2)",
            name,
            digest,
        )
    return True
