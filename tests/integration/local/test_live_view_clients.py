"""Which clients the live view shows first, and what it says of each, by the report views."""

from dataclasses import dataclass

import asyncpg

from ringfence_local.demo.store import (
    count_clients,
    count_open_alarms,
    count_unrated,
    read_clients,
)


@dataclass(frozen=True)
class Case:
    """An account as the services have it; amounts in units."""

    account_id: str
    balance: int
    level: str
    wanted: str = "active"
    confirmed: str = "active"
    open: bool = False
    attempts: int = 0
    last_error: str = ""
    live: bool = True
    would: str = "active"
    prepaid: bool = True
    service: bool = True


CASES = (
    Case("ok-rich", 90, "ok"),
    Case("ok-poor", 16, "ok"),
    Case("no-product", 17, "ok", service=False),
    Case("low", 3, "low"),
    Case("lower", -2, "low"),
    Case("metered", -5, "exhausted", prepaid=False),
    Case("switching", -1, "exhausted", wanted="suspended", open=True),
    Case("exempt", -1, "exhausted"),
    Case("shadow", -1, "exhausted", live=False, would="suspended"),
    Case("off", -1, "exhausted", wanted="suspended", confirmed="suspended"),
    Case("failed", -1, "exhausted", wanted="suspended", open=True, attempts=2, last_error="no"),
)
EXPECTED = [
    ("failed", "failed"), ("off", "off"), ("shadow", "would be off"), ("exempt", "exhausted"),
    ("switching", "switching"), ("metered", "metered"), ("lower", "low"), ("low", "low"),
    ("ok-poor", "ok"), ("no-product", "ok"), ("ok-rich", "ok"),
]  # fmt: skip


async def enter(connection: asyncpg.Connection, case: Case) -> None:
    micro = case.balance * 1_000_000
    await connection.execute(
        "insert into rating.account (account_id, currency, balance_micro) values ($1, 'CAD', $2)",
        case.account_id, micro,
    )  # fmt: skip
    await connection.execute(
        "insert into balance_watch.account (account_id, currency, threshold_micro,"
        " outstanding_micro, profile_version, balance_micro, balance_version, level, held)"
        " values ($1, 'CAD', 15000000, 0, 1, $2, 1, $3, $4)",
        case.account_id, micro, case.level, case.level == "exhausted",
    )  # fmt: skip
    if not case.service:
        return
    await connection.execute(
        "insert into accounts.account (account_id, version, currency, time_zone, client, profile,"
        " changed_at) values ($1, 1, 'CAD', 'UTC', '{}', '{}', now())",
        case.account_id,
    )
    await connection.execute(
        "insert into accounts.product (service_id, account_id, fields, service, changed_by,"
        " changed_at) values ($1, $1, '{}', json_build_object('prepaid', $2::boolean), 'x', now())",
        case.account_id, case.prepaid,
    )  # fmt: skip
    await connection.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted, mode,"
        " wanted_seq, confirmed, confirmed_seq, attempts, last_error, live, would)"
        " values ($1, $1, 'pbx1', 'fusionpbx', $2, 'auto', 2, $3, $4, $5, $6, $7, $8)",
        case.account_id, case.wanted, case.confirmed, 1 if case.open else 2, case.attempts,
        case.last_error, case.live, case.would,
    )  # fmt: skip


async def test_who_needs_help_is_read_first_then_by_credit(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await read_clients(connection, 10) == []
        for case in CASES:
            await enter(connection, case)
        found = await read_clients(connection, 20)
        assert [(each.account_id, each.kind) for each in found] == EXPECTED
        assert [each.account_id for each in await read_clients(connection, 2)] == ["failed", "off"]
        failed, off, *_ = found
        assert (failed.last_error, failed.wanted_off) == ("no", True)
        assert (off.balance_micro, off.held, off.threshold_micro) == (-1_000_000, True, 15_000_000)
        counts = await count_clients(connection)
        assert (sum(counts.values()), counts["low"], counts["ok"]) == (len(CASES), 2, 3)
        assert (await count_unrated(connection), await count_open_alarms(connection)) == (0, 0)
    finally:
        await connection.close()
