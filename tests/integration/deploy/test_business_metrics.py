"""Clients, services, money and requests as metrics, counted on a real database by their owners."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from balance_watch.counts import ClientCounts
from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from rating.audit.money_counts import MoneyCounts
from rating.audit.store_money import MoneyStore
from rating.unrated.replayer import Replayer
from rating.unrated.store import ReplayStore
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing, Received
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_CHANGED,
    BALANCE_LOW,
    PAYMENT_RECEIVED,
)
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.records import NOON, account, call, received
from ringfence_testing.wait import until
from suspender.upkeep.counts import ServiceCounts
from suspender.upkeep.store_counts import CountStore
from tests.support.accounts import running_api
from tests.support.notifier import NotifierHarness as MailOffice
from tests.support.notifier import account as mailed
from tests.support.notifier import low
from tests.support.rating import Bench, open_bench, payment
from tests.support.suspender import SuspenderHarness as SwitchOffice
from tests.support.upkeep import SuspenderTables

PAGE = Path(__file__).parents[3] / "docs" / "dashboards.md"


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"ringfence_{name}", labels)


def balance(account_id: str, micro: int) -> Received:
    change = BalanceChanged(
        account_id=account_id,
        version=1,
        balance_micro=micro,
        from_version=0,
        from_balance_micro=0,
        currency="CAD",
        cause="charge",
        cause_id=derive("call", account_id),
        occurred_at=NOON,
    )
    return received(BALANCE_CHANGED, change, derive("balance", account_id))


async def test_clients_are_counted_by_level_and_mode(database: str) -> None:
    async with await open_pool(database, service="balance-watch") as pool:
        watch = BalanceWatch(store=WatchStore(pool))
        modes = {"rich": "live", "poor": "live", "spent": "live", "tried": "shadow", "new": "live"}
        balances = {"rich": 90_000_000, "poor": 5_000_000, "spent": -1, "tried": -1}
        await watch.handle(
            [received(ACCOUNT_CHANGED, account(who, mode=mode)) for who, mode in modes.items()]
        )
        await watch.handle([balance(who, micro) for who, micro in balances.items()])
        counts = ClientCounts(WatchStore(pool))
        await counts.count()
        await pool.execute("delete from balance_watch.account where account_id = 'poor'")
        assert sample("clients", level="low", mode="live") == 1
        await counts.count()
    found = {
        (level, mode): sample("clients", level=level, mode=mode)
        for level in ("ok", "low", "exhausted", "unknown")
        for mode in ("live", "shadow")
    }
    one = {("ok", "live"), ("exhausted", "live"), ("exhausted", "shadow"), ("unknown", "live")}
    assert found == {key: float(key in one) for key in found}
    assert sample("clients_without_funds", mode="live") == 1
    assert sample("clients_without_funds", mode="shadow") == 1


async def test_services_are_counted_by_what_keeps_them_off(database: str) -> None:
    async with await open_pool(database, service="suspender") as pool:
        rows = SuspenderTables(database, pool)

        async def service(who: str, **columns: Any) -> None:
            await rows.service(who, account(who).services[0], **columns)

        await service("a", holds=["funds"], would="suspended")
        await service("b", holds=["funds", "manual"], would="suspended")
        await service("c", holds=["whmcs"], would="suspended")
        await service("on", off=False, would="active")
        await service("tried", off=False, would="suspended", holds=["funds"], live=False)
        await service("gone", holds=["funds"], departed=True)
        await service("waits", due=True, holds=["forced"], confirmed="active", would="suspended")
        await service("paid", off=False, due=True, confirmed="suspended", would="active")
        await ServiceCounts(CountStore(pool)).count()
    by_reason = {
        reason: sample("services_off_by_reason", reason=reason)
        for reason in ("funds", "manual", "forced", "whmcs")
    }
    assert by_reason == {"funds": 2, "manual": 1, "forced": 0, "whmcs": 1}
    assert sample("services") == 7
    assert sample("services_off") == 4, "the one that is to be on again is still off"
    assert sample("services_would_be_off") == 1
    assert sample("services_open", wanted="suspended") == 1
    assert sample("services_open", wanted="active") == 1


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


def posted(kind: str, way: str) -> float:
    return sample("ledger_micro_total", kind=kind, currency="CAD", way=way) or 0


async def test_redelivered_postings_are_counted_once(bench: Bench) -> None:
    before = posted("charge", "out"), posted("top-up", "in"), posted("adjustment", "out")
    entries = sample("ledger_entries_total", kind="charge", currency="CAD") or 0
    paid = payment("1", 5_000_000), payment("2", -1_000_000, kind="adjustment")
    for _ in range(2):
        await bench.pay(*paid)
        await bench.rate(call(1), call(2, billsec=120))
    after = posted("charge", "out"), posted("top-up", "in"), posted("adjustment", "out")
    assert [new - old for new, old in zip(after, before, strict=True)] == [
        30_000,
        5_000_000,
        1_000_000,
    ]
    assert sample("ledger_entries_total", kind="charge", currency="CAD") == entries + 2


async def test_a_replayed_call_and_a_payment_claimed_late_are_counted(bench: Bench) -> None:
    charged, topped_up = posted("charge", "out"), posted("top-up", "in")
    await bench.rate(call(1, extension="2999"))
    await bench.receive_payments(payment("late", 7_000_000))
    assert (posted("charge", "out"), posted("top-up", "in")) == (charged, topped_up)
    await bench.save_accounts(account(version=2, extensions=()))
    assert await bench.replay() == 1
    await bench.hold(payment("late", 7_000_000))
    await bench.worker.post_claimed(UUID(int=0))
    assert posted("charge", "out") == charged + 10_000
    assert posted("top-up", "in") == topped_up + 7_000_000


async def test_balances_and_debts_are_summed_by_currency(bench: Bench) -> None:
    await bench.save_accounts(
        *(account(who, tenant=f"{who}.example") for who in ("owes", "more", "has"))
    )
    await bench.pay(
        payment("1", -1_500_000, "owes", kind="adjustment"),
        payment("2", -500_000, "more", kind="adjustment"),
        payment("3", 9_000_000, "has"),
    )
    await MoneyCounts(MoneyStore(bench.pool)).count()
    assert sample("exposure_micro", currency="CAD") == 2_000_000
    assert sample("prepaid_micro", currency="CAD") == 9_000_000
    assert sample("clients_in_debt", currency="CAD") == 2
    assert sample("ledger_micro_total", kind="reversal", currency="CAD", way="in") is not None


async def test_a_dead_call_counts_until_it_is_settled(bench: Bench) -> None:
    charged, waiting = call(1), call(2, extension="2999")
    counts = MoneyCounts(MoneyStore(bench.pool))
    await counts.count()
    assert sample("dead_calls") == 0
    await bench.store.record_dead_calls(
        [(c.call_id, "no JSON", "{") for c in (charged, waiting, call(3))]
    )
    await bench.sql("update rating.dead_call set died_at = now() - interval '1 hour'")
    await counts.count()
    assert sample("dead_calls") == 3
    assert (sample("dead_oldest_seconds") or 0) >= 3600
    await bench.rate(charged, waiting)
    await counts.count()
    assert sample("dead_calls") == 1


async def test_unrated_calls_show_their_talk_time_and_age_by_reason(bench: Bench) -> None:
    await bench.rate(call(1, extension="2999"), call(2, extension="2999", billsec=90))
    await bench.sql("update rating.unrated set queued_at = now() - interval '2 hours'")
    (reason,) = {row["reason"] for row in await bench.sql("select reason from rating.unrated")}
    store = ReplayStore(bench.pool)
    replayer = Replayer(rating=bench.worker, store=store, progress=Progress("replay"))
    stop = asyncio.Event()
    running = asyncio.create_task(replayer.run(stop))
    await until(lambda: sample("unrated_talk_seconds", reason=reason) == 150)
    stop.set()
    await running
    assert (sample("unrated_age_seconds", reason=reason) or 0) >= 7200


def mails(outcome: str) -> float:
    return sample("mails_total", template="Low Balance Alert", outcome=outcome) or 0


async def test_mails_are_counted_by_state_and_outcome(database: str, inbox: Inbox) -> None:
    outcomes = ("sent", "failed", "deferred", "dropped")
    before, timed = [mails(each) for each in outcomes], sample("mail_seconds_count") or 0
    async with await open_pool(database, service="notifier", size=10) as pool:
        harness = MailOffice(pool, inbox.port)
        await harness.handle(BALANCE_LOW, low())
        harness.clock.move(seconds=90)
        await harness.recovery().recover()
        assert sample("mails_unsent", state="waiting") == 1
        assert sample("mail_oldest_unsent_seconds", state="waiting") == 90
        assert sample("mails_unsent", state="in-doubt") == 0
        await harness.handle(ACCOUNT_CHANGED, mailed())
        inbox.refuse(550, times=1)
        async with harness.at_work():
            await harness.wait_for_states("failed")
            await harness.handle(BALANCE_LOW, low(2), UUID(int=2))
            await harness.wait_for_states("failed", "sent")
            await harness.handle(ACCOUNT_CHANGED, mailed(2, client={"wants_mail": False}))
            await harness.handle(BALANCE_LOW, low(3), UUID(int=3))
            await harness.wait_for_states("dropped", "failed", "sent")
        await harness.recovery().recover()
    after = [mails(each) for each in outcomes]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 0, 1]
    assert sample("mail_seconds_count") == timed + 1
    assert sample("mails_unsent", state="waiting") == 0
    assert sample("mail_oldest_unsent_seconds", state="waiting") == 0


async def test_reactions_are_timed_and_attempts_counted_by_result(database: str) -> None:
    def attempts(wanted: str, result: str) -> float:
        labels = {"server": "pbx1", "wanted": wanted, "result": result}
        return sample("suspender_actions_total", **labels) or 0

    def timed(wanted: str) -> float:
        return sample("suspender_reaction_seconds_count", wanted=wanted) or 0

    kinds = ("suspended", "active")
    before = [(attempts(each, "confirmed"), timed(each)) for each in kinds]
    failed = attempts("suspended", "failed")
    async with await open_pool(database, service="suspender", size=10) as pool:
        harness = SwitchOffice(database, pool)
        await harness.profile()
        await harness.zero()
        harness.fake_pbx.refuses = "not today"
        async with harness.working():
            await harness.until_attempted("svc-1001", 1)
            harness.fake_pbx.refuses = ""
            await harness.until_confirmed("svc-1001")
            await harness.restored()
            await harness.until_confirmed("svc-1001")
    after = [(attempts(each, "confirmed"), timed(each)) for each in kinds]
    assert after == [(done + 1, count + 1) for done, count in before]
    assert attempts("suspended", "failed") > failed


async def test_requests_count_under_their_template_and_never_under_their_path(
    database: str,
) -> None:
    secret = f"client-{uuid4().hex}"
    labels = {"method": "GET", "route": "/clients/{account_id}", "status": "404"}
    refused = {"method": "GET", "route": "none", "status": "401"}
    before = [sample("api_requests_total", **each) or 0 for each in (labels, refused)]
    async with running_api(database) as api:
        await api.http.get(f"/v1/clients/{secret}")
        await api.http.get(f"/v1/clients/{secret}", headers={"Authorization": "Bearer wrong"})
        await api.http.request("PROPFIND", f"/v1/{secret}")
    after = [sample("api_requests_total", **each) or 0 for each in (labels, refused)]
    assert after == [each + 1 for each in before]
    shown = [
        value
        for family in REGISTRY.collect()
        if family.name.startswith("ringfence_api")
        for found in family.samples
        for value in found.labels.values()
    ]
    assert "other" in shown
    assert not any(secret in value or "PROPFIND" in value for value in shown)


async def test_the_script_of_the_page_shows_what_is_on_a_topic(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in script.splitlines() if line]) <= 10
    (tmp_path / "watch.py").write_text(script)
    paid = payment("watched", 1_000_000, f"watched-{uuid4().hex[:8]}")
    event = Outgoing(
        topic=PAYMENT_RECEIVED,
        key=paid.account_id,
        value=paid.to_json(),
        event_id=paid.payment_id,
        time=NOON,
        source="accounts",
    )
    async with open_publisher(kafka_bootstrap, source="accounts") as publisher:
        await publisher.publish([event])
    process = await create_subprocess_exec(
        sys.executable,
        str(tmp_path / "watch.py"),
        PAYMENT_RECEIVED.name,
        env={"RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        wanted = f"{PAYMENT_RECEIVED.name} {paid.account_id} {paid.to_json().decode()}\n"
        async for line in process.stdout:
            if line.decode() == wanted:
                break
        else:
            raise AssertionError("the script ended")
    finally:
        process.kill()
        await process.wait()
