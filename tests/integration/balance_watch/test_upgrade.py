"""An installation from before holds were kept: who was off for funds is held after the upgrade."""

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from ringfence.postgres.migrate import migrate
from ringfence.postgres.pool import open_pool
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import ACCOUNT_CHANGED
from ringfence_testing.records import account, received
from tests.support.narrow import present

MIGRATIONS = Path(__file__).parents[3] / "deploy" / "migrations"
UNIT = 1_000_000
OLD = """
insert into balance_watch.account (account_id, currency, threshold_micro, outstanding_micro,
    profile_version, balance_micro, balance_version, level, crossings)
values ($1, 'CAD', 15000000, $2, 1, $3, 1, $4, 1)
"""


@pytest.fixture
async def old(postgres_server: str, tmp_path: Path) -> AsyncIterator[str]:
    """The DSN of a database as it was before the first migration of holds."""
    name = f"ringfence_test_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(postgres_server)
    await server.execute(f'create database "{name}" template template0')
    before = tmp_path / "before"
    before.mkdir()
    for file in MIGRATIONS.glob("00*.sql"):
        shutil.copy(file, before)
    dsn = urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    try:
        await migrate(dsn, before)
        yield dsn
    finally:
        await server.execute(f'drop database "{name}" with (force)')
        await server.close()


async def upgrade(dsn: str, **accounts: tuple[int, int, str]) -> dict[str, Any]:
    """Accounts (outstanding, balance, level), product off where the name begins with `off`."""
    connection = await asyncpg.connect(dsn)
    try:
        for name, (outstanding, balance, level) in accounts.items():
            await connection.execute(OLD, name, outstanding * UNIT, balance * UNIT, level)
            await connection.execute(
                "insert into suspender.service (account_id, service_id, server_id, kind, wanted,"
                " mode) values ($1, 'svc', 'pbx1', 'fusionpbx', $2, 'auto')",
                name, "suspended" if name.startswith("off") else "active",
            )  # fmt: skip
        await migrate(dsn, MIGRATIONS)
        drift = await connection.fetch("select * from rating.drift_i11_pairs")
        assert [dict(row) for row in drift] == []
        rows = await connection.fetch("select * from report.level")
        return {row["account_id"]: row for row in rows}
    finally:
        await connection.close()


async def test_exhausted_accounts_become_held_and_others_keep_their_level(old: str) -> None:
    found = await upgrade(
        old,
        off_broke=(0, -1, "exhausted"),
        off_debts=(30, 20, "exhausted"),
        off_between=(10, 20, "ok"),
        on_between=(10, 20, "ok"),
        on_low=(0, 10, "low"),
        on_free=(0, 50, "ok"),
    )
    assert {name: (row["level"], row["held"], row["hold"]) for name, row in found.items()} == {
        "off_broke": ("exhausted", True, 1),
        "off_debts": ("exhausted", True, 1),
        "off_between": ("exhausted", True, 1),
        "on_between": ("ok", False, 0),
        "on_low": ("low", False, 0),
        "on_free": ("ok", False, 0),
    }
    assert found["on_low"]["stay"]


async def test_a_migrated_hold_ends_like_any_other(old: str) -> None:
    await upgrade(old, off_between=(10, 20, "ok"))
    async with await open_pool(old, service="balance-watch") as pool:
        watch = BalanceWatch(store=WatchStore(pool))
        paid = account("off_between", version=2)
        outcome = await watch.handle([received(ACCOUNT_CHANGED, paid, derive("profile", 2))])
        assert [event.topic.name for event in outcome.publish] == ["balance.restored.v1"]
        row = await pool.fetchrow("select held, pairs from balance_watch.account")
    assert tuple(present(row)) == (False, 2)
