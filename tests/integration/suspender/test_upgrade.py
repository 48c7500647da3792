"""Rows of the version before holds were kept: taken over by the migration, decided at once."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from ringfence.postgres.migrate import migrate
from ringfence.postgres.pool import open_pool
from ringfence_contracts.topics import BALANCE_RESTORED
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON, account, received
from tests.support.narrow import expect
from tests.support.suspender import SuspenderHarness, restored

MIGRATIONS = Path(__file__).parents[3] / "deploy" / "migrations"
FIRST_NEW = "0100"
CLIENTS = {
    # credit, debts, level; wanted, wanted_seq, mode, zero_mail, confirmed_seq
    "broke": ((-5, 0, "exhausted"), ("suspended", 1, "auto", True, 1)),
    "by-hand": ((50, 0, "ok"), ("suspended", 1, "manual", False, 1)),
    "debts": ((50, 20, "ok"), ("suspended", 1, "auto", True, 1)),
    "fine": ((50, 0, "ok"), ("active", 0, "met", False, 0)),
    "pending": ((-5, 0, "exhausted"), ("suspended", 1, "auto", True, 0)),
}


@pytest.fixture
async def earlier_database(postgres_server: str, tmp_path: Path) -> AsyncIterator[str]:
    """The DSN of a database of the earlier version with clients in it, migrated to this one."""
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
        for account_id, (money, service) in CLIENTS.items():
            await _insert(connection, account_id, money, service)
        await connection.close()
        await migrate(dsn, MIGRATIONS)
        yield dsn
    finally:
        await server.execute(f'drop database if exists "{name}" with (force)')
        await server.close()


async def _insert(connection: Any, account_id: str, money: Any, service: Any) -> None:
    credit, debts, level = money
    manual = "Yes" if account_id == "by-hand" else "None"
    event = account(
        account_id,
        extensions=(f"svc-{account_id}",),
        outstanding_micro=debts,
        profile={"manual_voip_suspend": manual, "voip_suspended": "Yes", "voip_suspended_by": "us"},
    )
    new = ("orders", "mode", "leave_off", "accepted", "credit_limit_micro")
    profile = {k: v for k, v in event.model_dump(mode="json").items() if k not in new}
    await connection.execute(
        "insert into balance_watch.account values ($1, 'CAD', null, $2, 1, $3, 4, $4, 1)",
        account_id, debts, credit, level,
    )  # fmt: skip
    await connection.execute(
        "insert into suspender.account values ($1, $2, 1, $3, 1)",
        account_id, json.dumps(profile), credit,
    )  # fmt: skip
    wanted, wanted_seq, mode, zero_mail, confirmed_seq = service
    await connection.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted,"
        " wanted_seq, mode, cause_id, zero_mail, confirmed, confirmed_seq, evidence)"
        " values ($1, 'svc-' || $1, 'pbx1', 'fusionpbx', $2, $3, $4, $5, $6, $7, $8, 'read back')",
        account_id, wanted, wanted_seq, mode, uuid4(), zero_mail,
        wanted if confirmed_seq else None, confirmed_seq,
    )  # fmt: skip


async def test_rows_of_an_earlier_version_are_migrated_and_decided_at_once(
    earlier_database: str,
) -> None:
    """Held and off, held for debts within the credit, on, and by hand: each goes on rightly."""
    async with await open_pool(earlier_database, service="suspender", size=8) as pool:
        harness = SuspenderHarness(earlier_database, pool)
        assert await harness.on_record() == {
            "svc-broke": True,
            "svc-by-hand": True,
            "svc-debts": True,
            "svc-pending": False,
        }
        rows = await harness.sql("select * from suspender.account order by account_id")
        found = {row["account_id"]: (row["held"], row["hold"], row["mail_owed"]) for row in rows}
        assert found == {
            "broke": (True, 1, False),
            "by-hand": (False, 0, True),
            "debts": (True, 1, False),
            "fine": (False, 0, True),
            "pending": (True, 1, True),
        }
        expect(FixedClock, harness.clock).set(NOON + timedelta(days=3650))
        assert await harness.decider.decide_due() == 5
        assert await harness.decider.decide_due() == 0
        wanted = {
            row["service_id"]: row["wanted"]
            for row in await harness.sql("select service_id, wanted from suspender.service")
        }
        assert wanted == {
            "svc-broke": "suspended",
            "svc-by-hand": "suspended",
            "svc-debts": "suspended",
            "svc-fine": "active",
            "svc-pending": "suspended",
        }
        await harness.work_done()
        assert harness.fake_pbx.switched == ["svc-pending off"]
        mails = {e.account_id: e.zero_mail for e in await harness.suspensions()}
        assert mails == {"broke": False, "by-hand": False, "debts": False, "pending": True}
        await harness.send(received(BALANCE_RESTORED, restored(9, "debts", hold=1)))
        assert await harness.wanted("svc-debts") == "active"
        await harness.work_done()
        assert harness.fake_pbx.switched == ["svc-pending off", "svc-debts on"]
        assert "svc-debts" not in await harness.on_record()
