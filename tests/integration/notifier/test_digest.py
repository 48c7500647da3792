"""The daily digest: read from a real database, queued once, sent to a real SMTP server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from notifier.form.layout import Layout
from notifier.operator.digest import DAILY_DIGEST
from notifier.operator.digest_loop import DigestLoop
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool, open_pool
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.clock import FixedClock
from tests.support.notifier import NotifierHarness

DUE = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
"""07:00 in Toronto."""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def owner(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that may write to the tables of other services."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def loop(pool: Pool, clock: FixedClock, recipient: str = "ops@example.net") -> DigestLoop:
    return DigestLoop(
        pool,
        recipient=recipient,
        at=time(7, 0),
        zone="America/Toronto",
        language="en",
        layout=Layout(company="Maple Voice"),
        clock=clock,
        wake=asyncio.Event(),
        progress=Health().loop("digest"),
    )


async def fill(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """A day of a small telephone company."""
    clients = [
        ("ada", "Ada", "Moreau", "Moreau & Daughters", -40_000, "exhausted"),
        ("ben", "Ben", "Ito", "", 4_500_000, "low"),
        ("cem", "Cem", "Kaya", "", 80_000_000, "ok"),
    ]
    for account_id, first, last, company, micro, level in clients:
        await owner.execute(
            "insert into notifier.account (account_id, version, first_name, last_name,"
            " company_name, email, wants_mail, low_balance_threshold)"
            " values ($1, 1, $2, $3, $4, 'x@example.net', true, '15')",
            account_id, first, last, company,
        )  # fmt: skip
        await owner.execute(
            "insert into rating.account (account_id, currency, balance_micro, version)"
            " values ($1, 'CAD', $2, 0)", account_id, micro,
        )  # fmt: skip
        await owner.execute(
            "insert into balance_watch.account (account_id, currency, outstanding_micro,"
            " profile_version, balance_micro, balance_version, level)"
            " values ($1, 'CAD', 0, 1, $2, 1, $3)", account_id, micro, level,
        )  # fmt: skip
    await owner.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted, mode,"
        " confirmed, live) values ('ada', 's-1', 'pbx-1', 'fusionpbx', 'suspended', 'auto',"
        " 'suspended', true)"
    )
    await owner.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted, mode,"
        " would, live) values ('cem', 's-2', 'pbx-1', 'fusionpbx', 'active', 'auto',"
        " 'suspended', false)"
    )
    entries = [
        ("cem", 1, "top-up", 50_000_000, DUE - timedelta(hours=2)),
        ("cem", 2, "charge", -1_250_000, DUE - timedelta(hours=1)),
        ("ada", 1, "charge", -2_000_000, DUE - timedelta(hours=1)),
        ("ada", 2, "charge", -9_000_000, DUE - timedelta(hours=25)),
        ("ada", 3, "top-up", 7_000_000, DUE),
    ]
    for account_id, version, kind, micro, at in entries:
        await owner.execute(
            "insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
            " balance_after_micro, cause_id, occurred_at, posted_at, input_hash, explanation)"
            " values ($1, $2, $3, $4, $5, 0, $3, $6, $6, '', '{}')",
            account_id, version, uuid4(), kind, micro, at,
        )  # fmt: skip
    await owner.execute(
        "insert into rating.unrated (call_id, server_id, tenant, reason, detail, billsec,"
        " started_at, input_hash, call, queued_at)"
        " values ($1, 'pbx-1', 't', 'no-tariff', 'none', 90, $2, '', '{}', $2)",
        uuid4(), DUE - timedelta(hours=3),
    )  # fmt: skip
    await owner.execute("insert into rating.dead_call values ($1, 'no duration', '{}')", uuid4())
    await owner.execute(
        "insert into rating.alarm (alarm_id, key, subject, severity, message, what_to_do,"
        " raised_at) values ($1, 'exposure', 'ben', 'critical', 'Ben calls <abroad>', 'Look.', $2)",
        uuid4(), DUE - timedelta(hours=3),
    )  # fmt: skip
    await owner.execute(
        "insert into notifier.message (message_id, account_id, template, kind, cause_id, state,"
        " recipient, subject, text_body, html_body, occurred_at, created_at, due_at, last_error,"
        " correlation_id, balance_micro) values ($1, 'ben', 'Low Balance Alert', 'low', $1,"
        " 'failed', 'x@example.net', '', '', '', $2, $2, $2, '550 no such user', '', 0)",
        UUID(int=9), DUE - timedelta(hours=4),
    )  # fmt: skip


async def test_a_digest_reports_the_current_state_and_the_last_day(
    pool: Pool, owner: "asyncpg.Connection[asyncpg.Record]", inbox: Inbox
) -> None:
    await fill(owner)
    assert await loop(pool, FixedClock(DUE)).add_if_due()
    harness = NotifierHarness(pool, inbox.port)
    harness.clock.set(DUE)
    async with harness.at_work():
        await harness.wait_for_states("failed", "sent")
    (mail,) = inbox.messages()
    body = mail.get_body(("plain",))
    assert body is not None
    text = str(body.get_content())
    assert mail["To"] == "ops@example.net"
    assert str(mail["Subject"]) == (
        "Daily digest, January 15, 2026: 1 off, 1 low, 1 alarm, 1 unrated"
    )
    for line in (
        "From 2026-01-14 07:00:00 EST to 2026-01-15 07:00:00 EST.",
        "Alarms open: 1 (ringfence alarms)",
        "Unrated calls: 1 (2 minutes of talk, the oldest since 2026-01-15 04:00:00 EST;"
        " ringfence unrated)",
        "Dead calls: 1 (records that cannot be rated; ringfence verify)",
        "Mails failed or in doubt: 1 (ringfence mails)",
        "- exposure ben: Ben calls <abroad>",
        "Switched off now: 1",
        "- Ada Moreau (Moreau & Daughters) (ada): -$0.04",
        "In shadow mode, 1 client would be off: see ringfence mode.",
        "Low now: 1",
        "- Ben Ito (ben): $4.50",
        "Money (CAD)",
        "Money in: $50.00",
        "Charged: $3.25 for 2 calls",
        "Failed: 1",
        "- Low Balance Alert to Ben Ito (ben): failed: 550 no such user",
    ):
        assert line in text.splitlines(), f"{line}\n\n{text}"
    assert "Cem" not in text
    html = mail.get_body(("html",))
    assert html is not None
    assert "Ben calls &lt;abroad&gt;" in str(html.get_content())


async def test_a_digest_of_an_empty_installation_says_so(pool: Pool) -> None:
    assert await loop(pool, FixedClock(DUE)).add_if_due()
    text = await pool.fetchval("select text_body from notifier.message")
    assert "Nothing needs you" in text
    assert "Switched off now: nobody" in text
    assert "Money: nothing was posted" in text


async def test_a_digest_is_queued_once_a_day_by_any_replica(pool: Pool) -> None:
    clock = FixedClock(DUE - timedelta(seconds=1) - timedelta(hours=12))
    one, other = loop(pool, clock), loop(pool, clock)
    clock.set(DUE - timedelta(seconds=1))
    assert not await one.add_if_due(), "yesterday's is too late, and today's is not due"
    clock.set(DUE)
    assert sorted(await asyncio.gather(one.add_if_due(), other.add_if_due())) == [False, True]
    assert not await one.add_if_due()
    clock.set(DUE + timedelta(days=1, hours=3))
    assert await other.add_if_due(), "late, after a time down"
    names = await pool.fetch("select template, kind, account_id from notifier.message")
    assert [tuple(row) for row in names] == [(DAILY_DIGEST, "digest", None)] * 2
