"""Every table is kept for a reason or pruned after a horizon, and only what is past is pruned."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from accounts.store import PRUNED as ACCOUNTS
from balance_watch.store import PRUNED as BALANCE_WATCH
from cdr_ingest.store import PRUNED as CDR_INGEST
from notifier.store import PRUNED as NOTIFIER
from rating.store import PRUNED as RATING
from ringfence.observe.health import Progress
from ringfence.postgres import pruning
from ringfence.postgres.pool import Pool, open_pool
from ringfence.postgres.pruning import PruneRule, PruneStore, Pruning, alarm_rule
from ringfence.settings import CommonSettings
from ringfence_testing.clock import FixedClock
from suspender.store import PRUNED as SUSPENDER

RULES: dict[str, tuple[PruneRule, ...]] = {
    schema: (*rules, alarm_rule(schema))
    for schema, rules in {
        "accounts": ACCOUNTS,
        "balance_watch": BALANCE_WATCH,
        "cdr_ingest": CDR_INGEST,
        "notifier": NOTIFIER,
        "rating": RATING,
        "suspender": SUSPENDER,
    }.items()
}
ROLES = {schema: schema.replace("_", "-") for schema in RULES}
DOCUMENT = Path(__file__).parents[3] / "docs" / "retention.md"
_ROW = re.compile(r"^\| `(\w+\.\w+)` \| (kept|emptied|bounded|pruned) \| (.+) \|$", re.M)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEPT = timedelta(days=400)
OLD, YOUNG = NOW - timedelta(days=401), NOW - timedelta(days=399)
UNIQUE = "gen_random_uuid()"


def documented() -> dict[str, tuple[str, str]]:
    """The tables of the document: what becomes of their rows, and why or when."""
    rows = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len({table for table, _, _ in rows}) == len(rows), "a table has two rows"
    return {table: (outcome, why) for table, outcome, why in rows}


async def test_every_table_is_documented(database: str) -> None:
    connection = await asyncpg.connect(database)
    found = await connection.fetch(
        "select relnamespace::regnamespace::text || '.' || relname as name from pg_class"
        " where relkind in ('r', 'p') and relnamespace::regnamespace::text = any($1)",
        list(RULES),
    )
    await connection.close()
    assert {row["name"] for row in found} == documented().keys()


def test_what_is_pruned_by_the_horizon_is_what_the_document_says() -> None:
    by_horizon = {
        table
        for table, (outcome, why) in documented().items()
        if outcome == "pruned" and "RINGFENCE_KEPT_DAYS" in why
    }
    assert by_horizon == {rule.table for rules in RULES.values() for rule in rules}
    default = CommonSettings.model_fields["kept_days"].default
    assert f"`RINGFENCE_KEPT_DAYS` ({default} days" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("schema", RULES)
async def test_a_service_may_delete_by_its_rules_and_finds_the_rows_by_an_index(
    database: str, schema: str
) -> None:
    async with await open_pool(database, service=ROLES[schema]) as pool:
        store = PruneStore(pool, schema)
        for rule in RULES[schema]:
            assert await store.prune(rule, NOW) == 0
            indexed = await pool.fetchval(
                "select bool_or(a.attname = $2) from pg_index i join pg_class c"
                " on c.oid = i.indexrelid join pg_am m on m.oid = c.relam and m.amname = 'btree'"
                " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
                " where i.indrelid = $1::text::regclass",
                rule.table,
                rule.instant,
            )
            assert indexed, f"{rule.table} ({rule.instant}) has no index that begins with it"


@pytest.fixture
async def ingest(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="cdr-ingest") as pool:
        yield pool


async def accept(pool: Pool, count: int, at: datetime) -> None:
    await pool.execute(
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition,"
        " accepted_at) select gen_random_uuid(), 'pbx', 't', 's', 'published', $2"
        " from generate_series(1, $1)",
        count,
        at,
    )


def loop_of(pool: Pool, *, behind: bool = False) -> Pruning:
    return Pruning(
        PruneStore(pool, "cdr_ingest"),
        RULES["cdr_ingest"],
        kept=KEPT,
        progress=Progress("pruning"),
        behind=lambda: behind,
        clock=FixedClock(NOW),
    )


async def test_rows_are_pruned_in_batches_until_only_young_ones_are_left(
    ingest: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 3)
    await accept(ingest, 5, OLD)
    await accept(ingest, 2, YOUNG)
    loop = loop_of(ingest)
    assert [await loop.prune() for _ in range(3)] == [3, 2, 0]
    (left,) = await ingest.fetch("select count(*), min(accepted_at) from cdr_ingest.record")
    assert tuple(left) == (2, YOUNG)


async def test_nothing_is_pruned_during_a_backlog_or_by_a_second_replica(
    ingest: Pool, database: str
) -> None:
    await accept(ingest, 1, OLD)
    assert await loop_of(ingest, behind=True).prune() == 0
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock(hashtext('cdr_ingest.prune'))")
        assert await loop_of(ingest).prune() == 0
    await other.close()
    assert await loop_of(ingest).prune() == 1


async def left_of(database: str, schema: str, statement: str, query: str) -> list[object]:
    """What a query finds after the rows of `statement` were pruned by the schema's rules."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        statement.replace("OLDER", f"'{OLD - timedelta(days=1)}'").replace("OLD", f"'{OLD}'")
    )
    async with await open_pool(database, service=ROLES[schema]) as pool:
        for rule in RULES[schema]:
            await PruneStore(pool, schema).prune(rule, NOW - KEPT)
    found = [row[0] for row in await connection.fetch(query)]
    await connection.close()
    return found


async def test_the_newest_crossings_of_an_account_are_kept(database: str) -> None:
    rows = ", ".join(
        f"({UNIQUE}, '{account}', 'balance.{topic}.v1', '{{}}', {at}, '')"
        for account, topic, at in (
            ("1001", "zero", "OLDER"),
            ("1001", "restored", "OLD"),
            ("1002", "zero", "OLDER"),
            ("1002", "low", "OLD"),
        )
    )
    left = await left_of(
        database,
        "balance_watch",
        f"insert into balance_watch.crossing values {rows}",
        "select account_id || topic from balance_watch.crossing order by 1",
    )
    assert left == ["1001balance.restored.v1", "1002balance.low.v1", "1002balance.zero.v1"]


async def test_mails_that_are_owed_or_about_the_newest_hold_are_kept(database: str) -> None:
    rows = ", ".join(
        f"({UNIQUE}, '1001', 'T', {UNIQUE}, '{state}', 'a', '{name}', '', '', OLD, null, OLD,"
        f" 'x', '', 'zero', {number}, OLD)"
        for name, state, number in (
            ("first", "sent", 1),
            ("owed", "waiting", 2),
            ("newest", "sent", 3),
            ("digest", "sent", "null"),
        )
    )
    left = await left_of(
        database,
        "notifier",
        "insert into notifier.message (message_id, account_id, template, cause_id, state,"
        " recipient, subject, text_body, html_body, occurred_at, next_attempt_at, created_at,"
        f" last_error, correlation_id, kind, number, due_at) values {rows}",
        "select subject from notifier.message order by 1",
    )
    assert left == ["newest", "owed"]


async def test_a_dead_call_is_kept_while_its_acceptance_is(database: str) -> None:
    accepted = "00000000-0000-0000-0000-000000000001"
    left = await left_of(
        database,
        "rating",
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition)"
        f" values ('{accepted}', 'pbx', 't', 's', 'published');"
        "insert into rating.dead_call values"
        f" ('{accepted}', 'accepted', '', OLD), ({UNIQUE}, 'alone', '', OLD)",
        "select reason from rating.dead_call",
    )
    assert left == ["accepted"]
