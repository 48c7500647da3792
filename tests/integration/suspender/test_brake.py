"""The brake: cutting pauses when too many clients begin a funds hold; released or undone once."""

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
async def office(database: str, pool: Pool) -> SuspenderHarness:
    """Eight live clients with funds; more than three holds in ten minutes are too many."""
    office = SuspenderHarness(database, pool, limits=THREE)
    await office.send(*(profile(1, client) for client in CLIENTS))
    return office


async def is_on(office: SuspenderHarness) -> bool:
    (row,) = await office.sql("select * from report.brake")
    return row["on_since"] is not None


async def brake_alarms(office: SuspenderHarness) -> list[str]:
    return [state for key, _, state in await office.alarms() if key == "brake"]


async def hold(office: SuspenderHarness, clients: list[str], **fields: object) -> None:
    await office.send(*(office.next_zero(client, **fields) for client in clients))


async def test_more_holds_than_the_limit_pause_suspensions_and_raise_one_alarm(
    office: SuspenderHarness,
) -> None:
    await hold(office, CLIENTS[:3])
    assert not await is_on(office)
    await hold(office, CLIENTS[3:4])
    assert await is_on(office)
    await hold(office, CLIENTS[4:6])
    assert await brake_alarms(office) == ["raised"]
    assert await office.work.servers_with_work() == []
    await office.work_done()
    assert office.panel.switched == []


async def test_restores_and_orders_by_hand_go_on_while_it_is_on(office: SuspenderHarness) -> None:
    await hold(office, CLIENTS[:1])
    await office.work_done()
    await hold(office, CLIENTS[1:4])
    await office.restored(CLIENTS[0])
    await office.profile(2, CLIENTS[1], orders=(order("manual"),))
    await office.profile(2, CLIENTS[7], orders=(order("whmcs", f"svc-{CLIENTS[7]}"),))
    await office.work_done()
    assert office.panel.off == {"svc-c-1", "svc-c-7"}
    # A restore goes beside suspensions, in no order.
    assert office.panel.switched[0] == "svc-c-0 off"
    assert sorted(office.panel.switched[1:]) == ["svc-c-0 on", "svc-c-1 off", "svc-c-7 off"]


async def test_a_share_of_the_clients_counts_where_it_is_larger(database: str, pool: Pool) -> None:
    office = SuspenderHarness(database, pool, limits=BrakeLimits(3, 50, WINDOW))
    await office.send(*(profile(1, client) for client in CLIENTS))
    await hold(office, CLIENTS[:4])
    assert not await is_on(office)  # 4 of 8 are not more than half
    await hold(office, CLIENTS[4:5])
    assert await is_on(office)


async def test_a_limit_of_zero_disables_the_brake(database: str, pool: Pool) -> None:
    office = SuspenderHarness(database, pool, limits=BrakeLimits(0, 0, WINDOW))
    await office.send(*(profile(1, client) for client in CLIENTS))
    await hold(office, CLIENTS)
    assert not await is_on(office)


async def test_holds_from_before_the_window_do_not_count(office: SuspenderHarness) -> None:
    await hold(office, CLIENTS[:3])
    assert isinstance(office.clock, FixedClock)
    office.clock.move(minutes=10, seconds=1)
    await hold(office, CLIENTS[3:6])
    assert not await is_on(office)


@pytest.mark.parametrize("kind", ["opening", "shadow", "metered", "ended"])
async def test_holds_that_suspend_nobody_do_not_count(office: SuspenderHarness, kind: str) -> None:
    if kind == "opening":
        await hold(office, CLIENTS, mail_owed=False)
    elif kind == "shadow":
        await office.send(*(profile(2, client, mode="shadow") for client in CLIENTS[1:]))
        await hold(office, CLIENTS)
    elif kind == "metered":
        metered = [
            profile(2, client, services=products(f"svc-{client}", prepaid=False))
            for client in CLIENTS
        ]
        await office.send(*metered)
        await hold(office, CLIENTS)
    else:
        for client in CLIENTS:
            await office.zero(client)
            await office.restored(client)
    assert not await is_on(office)


async def test_held_clients_that_go_live_within_the_window_count(
    office: SuspenderHarness,
) -> None:
    await office.send(*(profile(2, client, mode="shadow") for client in CLIENTS))
    await hold(office, CLIENTS)
    await office.send(*(profile(3, client) for client in CLIENTS))
    assert await is_on(office)


@asynccontextmanager
async def locked(
    office: SuspenderHarness, statement: str
) -> AsyncIterator[tuple[asyncpg.Connection, Callable[[], Awaitable[bool]]]]:
    """Hold the rows that `statement` locks; also says whether somebody waits for them."""
    connection = await asyncpg.connect(office.dsn)
    pid = connection.get_server_pid()

    async def is_awaited() -> bool:
        query = "select from pg_stat_activity where $1 = any(pg_blocking_pids(pid))"
        return bool(await office.sql(query, pid))

    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection, is_awaited
    finally:
        await connection.close()


async def test_replicas_that_decide_at_the_same_time_count_each_others_holds(
    office: SuspenderHarness,
) -> None:
    """Two holds in each batch; a batch that waits for the brake sees those of the one before."""
    batches = [[office.next_zero(c) for c in CLIENTS[n : n + 2]] for n in (0, 2)]
    async with locked(office, "select from suspender.brake for update") as (_, is_awaited):
        running = [asyncio.create_task(office.send(*batch)) for batch in batches]
        await until(is_awaited)
    await asyncio.gather(*running)
    assert await is_on(office)
    assert await brake_alarms(office) == ["raised"]


# --- what the alarm says ---


async def test_the_alarm_names_debts_as_the_common_cause(office: SuspenderHarness) -> None:
    await hold(office, CLIENTS[:3], reason="outstanding")
    await hold(office, CLIENTS[3:4])
    (alarm,) = await office.sql("select * from report.alarm")
    assert alarm["message"] == (
        "4 of 8 live prepaid clients began a funds hold within 10 minutes. Most common cause:"
        " debts: 3 of 4 owe more than their credit. Cutting for funds is paused; restoring and"
        " orders go on."
    )
    assert "ringfence brake release" in alarm["what_to_do"]
    assert "ringfence brake undo" in alarm["what_to_do"]
    assert alarm["severity"] == "critical"


async def test_the_alarm_names_the_tariff_version_that_charged_most_clients(
    office: SuspenderHarness,
) -> None:
    for client, version in zip(CLIENTS[:4], (7, 7, 7, 6), strict=True):
        await charge(office, client, version, NOON)
        await charge(office, client, 5, NOON - timedelta(hours=2))  # before the window
    await hold(office, CLIENTS[:4])
    (row,) = await office.sql("select cause from report.brake")
    assert row["cause"] == (
        "credit: 4 of 4 have used it up, 3 of them with charges by tariff north, version 7"
    )


async def charge(office: SuspenderHarness, client: str, version: int, at: datetime) -> None:
    """A charge as it is in the ledger, as far as the alarm asks for it."""
    why = {"explanation": {"tariff_id": "north", "tariff_version": version}}
    entry = uuid4()
    await office.sql(
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
    office: SuspenderHarness,
) -> None:
    await hold(office, CLIENTS[:5])
    await office.command("brake.release", reason="they are broke")
    assert await office.answers() == [("done", "brake released: 5 cuts that waited go on")]
    assert await brake_alarms(office) == ["raised", "ended"]
    await office.work_done()
    assert len(office.panel.off) == 5
    assert isinstance(office.clock, FixedClock)
    office.clock.move(seconds=1)
    await hold(office, CLIENTS[5:])
    assert not await is_on(office)
    assert [event.zero_mail for event in await office.suspensions()] == [True] * 5


async def test_undo_restores_suspended_clients_and_ignores_their_holds(
    office: SuspenderHarness,
) -> None:
    await hold(office, CLIENTS[:3])
    await office.work_done()
    await hold(office, CLIENTS[3:5])
    await office.command("brake.undo")
    ((state, words),) = await office.answers()
    assert state == "done"
    assert words.startswith("brake undone: 5 clients are no longer held")
    assert await brake_alarms(office) == ["raised", "ended"]
    await office.work_done()
    assert office.panel.off == set()
    assert office.panel.switched[:3] == [f"svc-c-{n} off" for n in range(3)]
    # Whatever else happens to the client, this hold does not count again.
    await office.profile(2, CLIENTS[0], orders=(order("manual"),))
    await office.profile(3, CLIENTS[0])
    assert await office.wanted("svc-c-0") == "active"
    rows = await office.sql("select held, hold, undone_hold from report.hold where held")
    assert {tuple(row) for row in rows} == {(True, 1, 1)}
    await office.restored(CLIENTS[0])
    await office.zero(CLIENTS[0])
    assert await office.wanted("svc-c-0") == "suspended"
    assert not await is_on(office)


async def test_undo_excludes_holds_from_before_the_window_and_of_new_clients(
    office: SuspenderHarness,
) -> None:
    await hold(office, CLIENTS[:1])
    assert isinstance(office.clock, FixedClock)
    office.clock.move(hours=1)
    await hold(office, CLIENTS[1:2], mail_owed=False)
    await hold(office, CLIENTS[2:6])
    await office.command("brake.undo")
    wanted = [await office.wanted(f"svc-{client}") for client in CLIENTS[:6]]
    assert wanted == ["suspended", "suspended", "active", "active", "active", "active"]


async def test_undo_keeps_what_orders_hold_off(office: SuspenderHarness) -> None:
    await office.profile(2, CLIENTS[0], orders=(order("manual"),))
    await hold(office, CLIENTS[:4])
    await office.command("brake.undo")
    row = await office.row("svc-c-0")
    assert (row["wanted"], row["holds"]) == ("suspended", ["manual"])


async def test_a_redelivered_command_is_carried_out_once(office: SuspenderHarness) -> None:
    request_id = uuid4()
    await hold(office, CLIENTS[:4])
    await office.command("brake.release", request_id)
    assert isinstance(office.clock, FixedClock)
    office.clock.move(seconds=1)
    await hold(office, CLIENTS[4:])
    assert await is_on(office)
    await office.command("brake.release", request_id)
    await office.command("brake.undo", request_id)
    assert await is_on(office)
    assert len(await office.answers()) == 1


async def test_two_replicas_that_get_a_command_carry_it_out_once(office: SuspenderHarness) -> None:
    await hold(office, CLIENTS[:4])
    request_id = UUID(int=7)
    await asyncio.gather(*(office.command("brake.undo", request_id) for _ in range(4)))
    assert [state for state, _ in await office.answers()] == ["done"]
    assert await brake_alarms(office) == ["raised", "ended"]


async def test_a_command_without_a_brake_is_refused_with_a_reason(office: SuspenderHarness) -> None:
    await office.command("brake.release")
    await office.command("brake.undo")
    assert (
        await office.answers()
        == [
            ("refused", "the brake is not on: nothing waits for it"),
        ]
        * 2
    )


async def test_an_undo_is_retried_if_another_client_is_held_during_it(
    office: SuspenderHarness,
) -> None:
    await hold(office, CLIENTS[:4])
    request_id = UUID(int=9)
    row = f"select from suspender.account where account_id = '{CLIENTS[0]}' for update"
    async with locked(office, row) as (_, is_awaited):
        undoing = asyncio.create_task(office.command("brake.undo", request_id))
        await until(is_awaited)
        await office.zero(CLIENTS[4])
    with pytest.raises(Retry):
        await undoing
    await office.command("brake.undo", request_id)
    assert {await office.wanted(f"svc-{client}") for client in CLIENTS[:5]} == {"active"}


async def test_a_hold_that_is_decided_while_the_brake_is_released_counts_afterwards(
    database: str, pool: Pool
) -> None:
    office = SuspenderHarness(database, pool, limits=THREE, clock=SystemClock())
    await office.send(*(profile(1, client) for client in CLIENTS))
    await hold(office, CLIENTS[:4])
    async with locked(office, "select from suspender.brake for update") as (
        releasing,
        is_awaited,
    ):
        holding = asyncio.create_task(hold(office, CLIENTS[4:]))
        await until(is_awaited)
        await releasing.execute(
            "update suspender.brake set on_since = null, counted_from = clock_timestamp()"
        )
    await holding
    assert await is_on(office)


async def test_the_metrics_show_the_brake_and_who_is_held(office: SuspenderHarness) -> None:
    await hold(office, CLIENTS[:4])
    await office.decider.show()
    assert REGISTRY.get_sample_value("ringfence_suspender_brake") == 1
    assert REGISTRY.get_sample_value("ringfence_suspender_clients_held") == 4
    await office.command("brake.undo")
    await office.decider.show()
    assert REGISTRY.get_sample_value("ringfence_suspender_brake") == 0
    assert REGISTRY.get_sample_value("ringfence_suspender_clients_held") == 0
