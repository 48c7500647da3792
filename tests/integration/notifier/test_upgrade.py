"""Mails of the version before derived ids: migrated, and sent at most once."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from notifier.owed.notice import zero_mail
from ringfence.postgres.migrate import migrate
from ringfence.postgres.pool import open_pool
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_LOW, SERVICE_SUSPENDED
from ringfence_local.mail.inbox import Inbox
from tests.support.notifier import NOON, NotifierHarness, account, low, suspended

MIGRATIONS = Path(__file__).parents[3] / "deploy" / "migrations"
FIRST_NEW = "0114"
LOW, ZERO = "Low Balance Alert", "VoIP Zero Balance"
ROWS = {
    # account: state before, template, state now
    "due": ("pending", LOW, "waiting"),
    "unknown": ("waiting", LOW, "waiting"),
    "done": ("sent", LOW, "sent"),
    "doubtful": ("in-doubt", LOW, "in-doubt"),
    "refused": ("failed", LOW, "failed"),
    "opted-out": ("skipped", LOW, "dropped"),
    "overtaken": ("superseded", LOW, "dropped"),
    "cut": ("pending", ZERO, "waiting"),
}


@pytest.fixture
async def earlier_database(postgres_server: str, tmp_path: Path) -> AsyncIterator[str]:
    """The DSN of a database of the earlier version with mails in it, migrated to this one."""
    name = f"ringfence_test_{uuid4().hex[:12]}"
    dsn = urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < FIRST_NEW:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    server = await asyncpg.connect(postgres_server)
    try:
        await server.execute(f'create database "{name}" template template0')
        await migrate(dsn, tmp_path)
        connection = await asyncpg.connect(dsn)
        for number, (account_id, (state, template, _)) in enumerate(ROWS.items(), start=1):
            await _insert(connection, number, account_id, state, template)
        await connection.close()
        await migrate(dsn, MIGRATIONS)
        yield dsn
    finally:
        await server.execute(f'drop database if exists "{name}" with (force)')
        await server.close()


async def _insert(
    connection: "asyncpg.Connection[asyncpg.Record]",
    number: int,
    account_id: str,
    state: str,
    template: str,
) -> None:
    notice = zero_mail(suspended(account_id=account_id, hold=1), "")
    assert notice is not None
    await connection.execute(
        "insert into notifier.message (message_id, account_id, template, cause_id, state,"
        " recipient, subject, text_body, html_body, balance_micro, outstanding_micro, currency,"
        " crossing, occurred_at, next_attempt_at, created_at, last_error, correlation_id)"
        " values ($1, $2, $3, $4, $5, 'ada@example.net', 's', 't', 'h', 8000000, 0, 'CAD', $6,"
        " $7, $7, $7, '', 'thread-1')",
        notice.message_id if template == ZERO else uuid4(),
        account_id,
        template,
        UUID(int=number),
        state,
        1 if template == LOW else None,
        NOON,
    )


async def test_each_mail_keeps_its_state_and_is_not_sent_a_second_time(
    earlier_database: str, inbox: Inbox
) -> None:
    pool = await open_pool(earlier_database, service="notifier", size=8)
    harness = NotifierHarness(pool, inbox.port)
    try:
        rows = {row["account_id"]: row for row in await harness.rows()}
        assert {name: row["state"] for name, row in rows.items()} == {
            name: now for name, (_, _, now) in ROWS.items()
        }
        assert {row["kind"] for row in rows.values()} == {"low", "zero"}
        async with harness.at_work():
            for number, (account_id, (_, template, _)) in enumerate(ROWS.items(), start=1):
                changed = account().model_copy(update={"account_id": account_id})
                await harness.handle(ACCOUNT_CHANGED, changed)
                # The last events are consumed again after the upgrade, now with their numbers.
                if template == LOW:
                    event = low(1, stay=1, account_id=account_id)
                    await harness.handle(BALANCE_LOW, event, UUID(int=number))
                else:
                    cut = suspended(account_id=account_id, hold=1)
                    await harness.handle(SERVICE_SUSPENDED, cut, uuid4())
            await harness.wait_for_states(
                "sent", "sent", "sent", "sent", "in-doubt", "failed", "dropped", "dropped"
            )
        assert len(inbox.messages()) == 3
    finally:
        await pool.close()
