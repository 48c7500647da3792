"""The brake pauses suspensions when too many funds holds begin; it is released or undone once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ringfence.clock import SystemClock
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import Retry
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON
from ringfence_testing.wait import until
from suspender.rules.brake import BegunHold, BrakeLimits, CommonTariff, cause_in_words
from tests.support.suspender import SuspenderHarness, order, products, profile

WINDOW = timedelta(minutes=10)
THREE = BrakeLimits(3, 10, WINDOW)
CLIENTS = [f"c-{number}" for number in range(8)]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield pool


@pytest.fixture
async def harness(database: str, pool: Pool) -> SuspenderHarness:
    """Eight live clients with funds; more than three holds in ten minutes are too many."""
    harness = SuspenderHarness(database, pool, limits=THREE)
    await harness.send(*(profile(1, client) for client in CLIENTS))
    return harness


async def is_on(harness: SuspenderHarness) -> bool:
    (row,) = await harness.sql("select * from report.brake")
    return row["on_since"] is not None


async def brake_alarms(harness: SuspenderHarness) -> list[str]:
    return [state for key, _, state in await harness.alarms() if key == "brake"]


async def hold(harness: SuspenderHarness, clients: list[str], **fields: object) -> None:
    await harness.send(*(harness.next_zero(client, **fields) for client in clients))


async def test_more_holds_than_the_limit_pause_suspensions_and_raise_one_alarm(
    harness: SuspenderHarness,
) -> None:
    await hold(harness, CLIENTS[:3])
    assert not await is_on(harness)
    await hold(harness, CLIENTS[3:4])
    assert await is_on(harness)
    await hold(harness, CLIENTS[4:6])
    assert await brake_alarms(harness) == ["raised"]
    assert await harness.work.servers_with_work() == []
    await harness.work_done()
    assert harness.fake_pbx.switched == []


async def test_restores_and_orders_by_hand_go_on_while_it_is_on(harness: SuspenderHarness) -> None:
    await hold(harness, CLIENTS[:1])
    await harness.work_done()
    await hold(harness, CLIENTS[1:4])
    await harness.restored(CLIENTS[0])
    await harness.profile(2, CLIENTS[1], orders=(order("manual"),))
    await harness.profile(2, CLIENTS[7], orders=(order("whmcs", f"svc-{CLIENTS[7]}"),))
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-c-1", "svc-c-7"}
    # Restores and suspensions run at the same time, in any order.
    assert harness.fake_pbx.switched[0] == "svc-c-0 off"
    assert sorted(harness.fake_pbx.switched[1:]) == ["svc-c-0 on", "svc-c-1 off", "svc-c-7 off"]


async def test_a_share_of_the_clients_counts_where_it_is_larger(database: str, pool: Pool) -> None:
    harness = SuspenderHarness(database, pool, limits=BrakeLimits(3, 50, WINDOW))
    await harness.send(*(profile(1, client) for client in CLIENTS))
    await hold(harness, CLIENTS[:4])
    assert not await is_on(harness)  # 4 of 8 are not more than half
    await hold(harness, CLIENTS[4:5])
    assert await is_on(harness)


async def test_a_limit_of_zero_disables_the_brake(database: str, pool: Pool) -> None:
    harness = SuspenderHarness(database, pool, limits=BrakeLimits(0, 0, WINDOW))
    await harness.send(*(profile(1, client) for client in CLIENTS))
    await hold(harness, CLIENTS)
    assert not await is_on(harness)


async def test_holds_from_before_the_window_do_not_count(harness: SuspenderHarness) -> None:
    await hold(harness, CLIENTS[:3])
    assert isinstance(harness.clock, FixedClock)
    harness.clock.move(minutes=10, seconds=1)
    await hold(harness, CLIENTS[3:6])
    assert not await is_on(harness)


@pytest.mark.parametrize("kind", ["opening", "shadow", "metered", "ended"])
async def test_holds_that_suspend_nobody_do_not_count(harness: SuspenderHarness, kind: str) -> None:
    if kind == "opening":
        await hold(harness, CLIENTS, mail_owed=False)
    elif kind == "shadow":
        await harness.send(*(profile(2, client, mode="shadow") for client in CLIENTS[1:]))
        await hold(harness, CLIENTS)
    elif kind == "metered":
        metered = [
            profile(2, client, services=products(f"svc-{client}", prepaid=False))
            for client in CLIENTS
        ]
        await harness.send(*metered)
        await hold(harness, CLIENTS)
    else:
        for client in CLIENTS:
            await harness.zero(client)
            await harness.restored(client)
    assert not await is_on(harness)


async def test_held_clients_that_go_live_within_the_window_count(
    harness: SuspenderHarness,
) -> None:
    await harness.send(*(profile(2, client, mode="shadow") for client in CLIENTS))
    await hold(harness, CLIENTS)
    await harness.send(*(profile(3, client) for client in CLIENTS))
    assert await is_on(harness)


@asynccontextmanager
async def locked(
    harness: SuspenderHarness, statement: str
) -> AsyncIterator[tuple[asyncpg.Connection, Callable[[], Awaitable[bool]]]]:
    """Hold the rows that `statement` locks; yields a check whether a connection waits for them."""
    connection = await asyncpg.connect(harness.dsn)
    pid = connection.get_server_pid()

    async def is_awaited() -> bool:
        query = "select from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
        return bool(await harness.sql(query, pid))

    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection, is_awaited
    finally:
        await connection.close()


async def test_replicas_that_decide_at_the_same_time_count_each_others_holds(
    harness: SuspenderHarness,
) -> None:
    """Two holds in each batch; a batch that waits for the brake sees those of the one before."""
    batches = [[harness.next_zero(c) for c in CLIENTS[n : n + 2]] for n in (0, 2)]
    async with locked(harness, "select from suspender.brake for update") as (_, is_awaited):
        running = [asyncio.create_task(harness.send(*batch)) for batch in batches]
        await until(is_awaited)
    await asyncio.gather(*running)
    assert await is_on(harness)
    assert await brake_alarms(harness) == ["raised"]


# --- the text of the alarm ---


async def test_the_alarm_names_debts_as_the_common_cause(harness: SuspenderHarness) -> None:
    await hold(harness, CLIENTS[:3], reason="outstanding")
    await hold(harness, CLIENTS[3:4])
    (alarm,) = await harness.sql("select * from report.alarm")
    assert alarm["message"] == (
        "4 of 8 live prepaid clients began a funds hold within 10 minutes. Most common cause:"
        " debts: 3 of 4 owe more than their credit. Cutting for funds is paused; restoring and"
        " orders go on."
    )
    assert "ringfence brake release" in alarm["what_to_do"]
    assert "ringfence brake undo" in alarm["what_to_do"]
    assert alarm["severity"] == "critical"


async def test_the_alarm_names_the_tariff_version_that_charged_most_clients(
    harness: SuspenderHarness,
) -> None:
    for client, version in zip(CLIENTS[:4], (7, 7, 7, 6), strict=True):
        await charge(harness, client, version, NOON)
        await charge(harness, client, 5, NOON - timedelta(hours=2))  # before the window
    await hold(harness, CLIENTS[:4])
    (row,) = await harness.sql("select cause from report.brake")
    assert row["cause"] == (
        "credit: 4 of 4 have used it up, 3 of them with charges by tariff north, version 7"
    )


async def charge(harness: SuspenderHarness, client: str, version: int, at: datetime) -> None:
    """Write a charge into the ledger, with the fields that the alarm reads."""
    why = {"explanation": {"tariff_id": "north", "tariff_version": version}}
    entry = uuid4()
    await harness.sql(
        "insert into rating.ledger (entry_id, account_id, version, kind, amount_micro,"
        " balance_after_micro, occurred_at, posted_at, cause_id, input_hash, explanation)"
        " select $1, $2, coalesce(max(version), 0) + 1, 'charge', -1, -1, $3, $3, $1, '', $4"
        " from rating.ledger where account_id = $2",
        entry, client, at, json.dumps(why),
    )  # fmt: skip


def test_the_cause_is_described_without_a_charge() -> None:
    begun = [BegunHold("a", "credit"), BegunHold("b", "outstanding")]
    assert cause_in_words(begun, None) == (
        "credit: 1 of 2 have used it up, without a charge lately"
    )
    assert "tariff t, version 2" in cause_in_words(begun, CommonTariff("t", "2", 1))


# --- commands ---


async def test_release_resumes_waiting_suspensions_and_restarts_the_count(
    harness: SuspenderHarness,
) -> None:
    await hold(harness, CLIENTS[:5])
    await harness.command("brake.release", reason="they are broke")
    assert await harness.answers() == [("done", "brake released: 5 cuts that waited go on")]
    assert await brake_alarms(harness) == ["raised", "ended"]
    await harness.work_done()
    assert len(harness.fake_pbx.off) == 5
    assert isinstance(harness.clock, FixedClock)
    harness.clock.move(seconds=1)
    await hold(harness, CLIENTS[5:])
    assert not await is_on(harness)
    assert [event.zero_mail for event in await harness.suspensions()] == [True] * 5


async def test_undo_restores_suspended_clients_and_ignores_their_holds(
    harness: SuspenderHarness,
) -> None:
    await hold(harness, CLIENTS[:3])
    await harness.work_done()
    await hold(harness, CLIENTS[3:5])
    await harness.command("brake.undo")
    ((state, words),) = await harness.answers()
    assert state == "done"
    assert words.startswith("brake undone: 5 clients are no longer held")
    assert await brake_alarms(harness) == ["raised", "ended"]
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert harness.fake_pbx.switched[:3] == [f"svc-c-{n} off" for n in range(3)]
    # Later events of the client do not make this hold count again.
    await harness.profile(2, CLIENTS[0], orders=(order("manual"),))
    await harness.profile(3, CLIENTS[0])
    assert await harness.wanted("svc-c-0") == "active"
    rows = await harness.sql("select held, hold, undone_hold from report.hold where held")
    assert {tuple(row) for row in rows} == {(True, 1, 1)}
    await harness.restored(CLIENTS[0])
    await harness.zero(CLIENTS[0])
    assert await harness.wanted("svc-c-0") == "suspended"
    assert not await is_on(harness)


async def test_undo_excludes_holds_from_before_the_window_and_of_new_clients(
    harness: SuspenderHarness,
) -> None:
    await hold(harness, CLIENTS[:1])
    assert isinstance(harness.clock, FixedClock)
    harness.clock.move(hours=1)
    await hold(harness, CLIENTS[1:2], mail_owed=False)
    await hold(harness, CLIENTS[2:6])
    await harness.command("brake.undo")
    wanted = [await harness.wanted(f"svc-{client}") for client in CLIENTS[:6]]
    assert wanted == ["suspended", "suspended", "active", "active", "active", "active"]


async def test_undo_keeps_what_orders_hold_off(harness: SuspenderHarness) -> None:
    await harness.profile(2, CLIENTS[0], orders=(order("manual"),))
    await hold(harness, CLIENTS[:4])
    await harness.command("brake.undo")
    row = await harness.row("svc-c-0")
    assert (row["wanted"], row["holds"]) == ("suspended", ["manual"])


async def test_a_redelivered_command_is_carried_out_once(harness: SuspenderHarness) -> None:
    request_id = uuid4()
    await hold(harness, CLIENTS[:4])
    await harness.command("brake.release", request_id)
    assert isinstance(harness.clock, FixedClock)
    harness.clock.move(seconds=1)
    await hold(harness, CLIENTS[4:])
    assert await is_on(harness)
    await harness.command("brake.release", request_id)
    await harness.command("brake.undo", request_id)
    assert await is_on(harness)
    assert len(await harness.answers()) == 1


async def test_two_replicas_that_get_a_command_carry_it_out_once(harness: SuspenderHarness) -> None:
    await hold(harness, CLIENTS[:4])
    request_id = UUID(int=7)
    await asyncio.gather(*(harness.command("brake.undo", request_id) for _ in range(4)))
    assert [state for state, _ in await harness.answers()] == ["done"]
    assert await brake_alarms(harness) == ["raised", "ended"]


async def test_a_command_without_a_brake_is_refused_with_a_reason(
    harness: SuspenderHarness,
) -> None:
    await harness.command("brake.release")
    await harness.command("brake.undo")
    assert (
        await harness.answers()
        == [
            ("refused", "the brake is not on: nothing waits for it"),
        ]
        * 2
    )


async def test_an_undo_is_retried_if_another_client_is_held_during_it(
    harness: SuspenderHarness,
) -> None:
    await hold(harness, CLIENTS[:4])
    request_id = UUID(int=9)
    row = f"select from suspender.account where account_id = '{CLIENTS[0]}' for update"
    async with locked(harness, row) as (_, is_awaited):
        undoing = asyncio.create_task(harness.command("brake.undo", request_id))
        await until(is_awaited)
        await harness.zero(CLIENTS[4])
    with pytest.raises(Retry):
        await undoing
    await harness.command("brake.undo", request_id)
    assert {await harness.wanted(f"svc-{client}") for client in CLIENTS[:5]} == {"active"}


async def test_a_hold_that_is_decided_while_the_brake_is_released_counts_afterwards(
    database: str, pool: Pool
) -> None:
    harness = SuspenderHarness(database, pool, limits=THREE, clock=SystemClock())
    await harness.send(*(profile(1, client) for client in CLIENTS))
    await hold(harness, CLIENTS[:4])
    async with locked(harness, "select from suspender.brake for update") as (
        releasing,
        is_awaited,
    ):
        holding = asyncio.create_task(hold(harness, CLIENTS[4:]))
        await until(is_awaited)
        await releasing.execute(
            "update suspender.brake set on_since = null, counted_from = clock_timestamp()"
        )
    await holding
    assert await is_on(harness)


async def test_the_metrics_show_the_brake_and_who_is_held(harness: SuspenderHarness) -> None:
    await hold(harness, CLIENTS[:4])
    await harness.decider.show()
    assert REGISTRY.get_sample_value("ringfence_suspender_brake") == 1
    assert REGISTRY.get_sample_value("ringfence_suspender_clients_held") == 4
    await harness.command("brake.undo")
    await harness.decider.show()
    assert REGISTRY.get_sample_value("ringfence_suspender_brake") == 0
    assert REGISTRY.get_sample_value("ringfence_suspender_clients_held") == 0
