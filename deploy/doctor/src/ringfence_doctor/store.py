"""Read-only queries of the doctor."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from ringfence.postgres.pool import role_of
from ringfence_doctor.examinations.dialled_numbers import Dialled

_LOST_LEGS = """
select r.server_id, count(*) filter (where l.originating_id is null) as unnamed,
    count(l.originating_id) as missing
from cdr_ingest.leg l join cdr_ingest.record r using (record_id)
where l.state = 'given-up' and l.noted_at >= now() - interval '7 days' and r.server_id = any($1)
group by r.server_id
"""
_DIALLED = """
select server_id, array_agg(call ->> 'destination_number') as numbers,
    array_agg(coalesce(call ->> 'lost_prefix', '')) as prefixes
from unnest($1::text[]) as s (server_id), lateral (
    select convert_from(p.value, 'UTF8')::json as call
    from cdr_ingest.record r join cdr_ingest.published_call p using (record_id)
    where r.server_id = s.server_id and r.started_at >= now() - interval '2 days'
        and r.disposition = 'published'
    order by r.started_at desc limit 1000) newest
where call ->> 'direction' = 'outbound'
group by server_id
"""
ROLES = ("cdr_ingest", "rating", "balance_watch", "suspender", "notifier", "accounts")


@dataclass(frozen=True)
class DatabaseState:
    """The server's version, the applied migrations, and the roles that the login may not use.

    `migrations` None: the login may not read which were applied. `superuser`: whether `login` is
    one.
    """

    version: str
    migrations: frozenset[str] | None
    roles_missing: tuple[str, ...]
    login: str
    superuser: bool


async def read_database_state(dsn: str, timeout_s: float) -> DatabaseState:
    """Read the state of a database. Raises asyncpg's errors, and OSError if it is unreachable."""
    connection = await asyncpg.connect(dsn, timeout=timeout_s, command_timeout=timeout_s)
    try:
        applied = await _applied_migrations(connection)
        roles = await connection.fetch(
            "select rolname from pg_roles where rolname like 'ringfence\\_%'"
            " and pg_has_role(current_user, oid, 'member')"
        )
        usable = {row["rolname"] for row in roles}
        missing = tuple(f"ringfence_{n}" for n in ROLES if f"ringfence_{n}" not in usable)
        version = await connection.fetchval("show server_version")
        login = await connection.fetchval("select current_user::text")
        superuser = await connection.fetchval("select current_setting('is_superuser') = 'on'")
        return DatabaseState(version, applied, missing, login, superuser)
    finally:
        await connection.close()


async def _applied_migrations(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> frozenset[str] | None:
    """The applied migrations; none without their table, None if the login may not read it."""
    readable = await connection.fetchval(
        "select has_table_privilege(to_regclass('public.ringfence_migration'), 'select')"
    )
    if readable is None:
        return frozenset()
    if not readable:
        return None
    rows = await connection.fetch("select name from public.ringfence_migration")
    return frozenset(row["name"] for row in rows)


@dataclass(frozen=True)
class MailAlarm:
    """An open alarm of the notifier about the mail server."""

    message: str
    what_to_do: str
    raised_at: datetime


async def read_mail_alarms(dsn: str, timeout_s: float) -> list[MailAlarm]:
    """The notifier's open alarms about the mail server. Raises asyncpg's errors and OSError."""
    role = {"role": role_of("cdr-ingest"), "default_transaction_read_only": "on"}
    connection = await asyncpg.connect(
        dsn, timeout=timeout_s, command_timeout=timeout_s, server_settings=role
    )
    try:
        rows = await connection.fetch(
            "select message, what_to_do, raised_at from report.alarm where service = 'notifier'"
            " and key like 'smtp-%' and ended_at is null order by raised_at"
        )
    finally:
        await connection.close()
    return [MailAlarm(*row) for row in rows]


@dataclass(frozen=True)
class IngestState:
    """What cdr-ingest has saved. `unknown` is the reason if it could not be read, else empty.

    `posted_at` is when the newest posted call of a server was accepted, if that was within a week.
    `legs` has how many of a server's newest thousand records are legs of other calls; a server
    without records of the last week is missing. `lost_legs` has how many legs of the last week name
    no call, and how many name one that did not come. `dialled` are the newest thousand numbers that
    were dialled within two days. `read_until` is the time up to which a feed
    (server id, tenant) was read.
    """

    posted_at: Mapping[str, datetime] = field(default_factory=dict)
    read_until: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    unknown: str = ""
    legs: Mapping[str, int] = field(default_factory=dict)
    lost_legs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    dialled: Mapping[str, tuple[Dialled, ...]] = field(default_factory=dict)


async def read_ingest_state(dsn: str, server_ids: Collection[str], timeout_s: float) -> IngestState:
    """What was ingested from these servers. Raises asyncpg's errors and OSError."""
    role = {"role": role_of("cdr-ingest"), "default_transaction_read_only": "on"}
    connection = await asyncpg.connect(
        dsn, timeout=timeout_s, command_timeout=timeout_s, server_settings=role
    )
    try:
        posted = await connection.fetch(
            "select server_id, accepted_at from unnest($1::text[]) as s (server_id), lateral ("
            "select accepted_at from cdr_ingest.record r where r.server_id = s.server_id"
            " and r.started_at >= now() - interval '7 days'"
            " and r.source in ('freeswitch-push', 'vodia-push')"
            " order by r.started_at desc limit 1) newest",
            list(server_ids),
        )
        legs = await connection.fetch(
            "select server_id, count(*) as records, count(originating_id) as legs"
            " from unnest($1::text[]) as s (server_id), lateral ("
            "select r.originating_id from cdr_ingest.record r where r.server_id = s.server_id"
            " and r.started_at >= now() - interval '7 days'"
            " order by r.started_at desc limit 1000) newest group by server_id",
            list(server_ids),
        )
        lost_legs = await connection.fetch(_LOST_LEGS, list(server_ids))
        dialled = await connection.fetch(_DIALLED, list(server_ids))
        lanes = await connection.fetch(
            "select server_id, lane, to_timestamp(read_until) as read_until"
            " from cdr_ingest.cursor where server_id = any($1)",
            list(server_ids),
        )
    finally:
        await connection.close()
    return IngestState(
        {row["server_id"]: row["accepted_at"] for row in posted},
        {(row["server_id"], row["lane"]): row["read_until"] for row in lanes},
        legs={row["server_id"]: row["legs"] for row in legs},
        lost_legs={row["server_id"]: (row["unnamed"], row["missing"]) for row in lost_legs},
        dialled={
            row["server_id"]: tuple(
                Dialled(*pair) for pair in zip(row["numbers"], row["prefixes"], strict=True)
            )
            for row in dialled
        },
    )


async def read_call_statistics(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> asyncpg.Record:
    """From a FusionPBX's own database: its clock, the role's rights, and the newest call."""
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
