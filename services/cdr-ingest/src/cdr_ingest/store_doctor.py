"""What `ringfence doctor` asks of the database; nothing is written."""

from dataclasses import dataclass

import asyncpg

ROLES = ("cdr_ingest", "rating", "balance_watch", "suspender", "notifier", "accounts")


@dataclass(frozen=True)
class DatabaseState:
    """The server's version, the migrations that were applied, the roles that we may not use."""

    version: str
    migrations: frozenset[str]
    roles_missing: tuple[str, ...]


async def look(dsn: str, timeout_s: float) -> DatabaseState:
    """How a database stands. Raises asyncpg's errors and OSError where it can not be had."""
    connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
    try:
        applied: list[asyncpg.Record] = []
        if await connection.fetchval("select to_regclass('public.ringfence_migration')"):
            applied = await connection.fetch("select name from public.ringfence_migration")
        roles = await connection.fetch(
            "select rolname from pg_roles where rolname like 'ringfence\\_%'"
            " and pg_has_role(current_user, oid, 'member')"
        )
        usable = {row["rolname"] for row in roles}
        missing = tuple(f"ringfence_{n}" for n in ROLES if f"ringfence_{n}" not in usable)
        version = await connection.fetchval("show server_version")
        return DatabaseState(version, frozenset(row["name"] for row in applied), missing)
    finally:
        await connection.close()


async def look_at_calls(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> asyncpg.Record:
    """Of a FusionPBX's own database: its clock, what the role may do, and the newest row."""
    found = await connection.fetchrow(
        "select now() as now, max(start_epoch)::bigint as newest,"
        " has_table_privilege('v_xml_cdr', 'insert, update, delete, truncate') as writes,"
        " exists (select from pg_indexes where tablename = 'v_xml_cdr'"
        " and indexdef like '%(insert_date%') as indexed,"
        " (select count(distinct domain_name) from v_xml_cdr"
        " where start_epoch >= extract(epoch from now()) - 86400) as tenants"
        " from v_xml_cdr where start_epoch >= extract(epoch from now()) - 7 * 86400"
    )
    assert found is not None, "an aggregate has one row"
    return found
