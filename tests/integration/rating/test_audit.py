"""`ringfence verify`, the metrics of drift, and I7: the topics alone give the same balances."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from click.testing import CliRunner
from prometheus_client import REGISTRY

from rating.audit.command import verify as verify_command
from rating.audit.finding import Check
from rating.audit.loop import DRIFT, Audit
from rating.audit.replay_topics import check_rebuilt
from rating.audit.store import AuditStore
from rating.audit.store_replay import RebuildStore
from rating.rerating.plan import RerateOrder
from rating.unrated.replayer import Replayer
from rating.unrated.store import ReplayStore
from ringfence.kafka.admin import create_topics
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence.postgres.outbox import OutboxRelay
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import CALL_RATED, PARTITIONS, PAYMENT_RECEIVED
from ringfence_local.embedded.kafka import Kafka
from ringfence_testing.records import NOON, account, call
from ringfence_testing.wait import until
from tests.support.rating import Bench, open_bench, payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
_numbers = count(1)


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


class LedgerWithTopics:
    """Rating with its topics, for one account of its own: other tests use other accounts."""

    def __init__(self, bench: Bench, bootstrap: str) -> None:
        self.bench = bench
        self.bootstrap = bootstrap
        self.name = f"audit-{uuid4().hex[:12]}"

    def call(self, number: int = 1, **fields: Any) -> CallCompleted:
        """A call of this account, under an id that no other test's call has."""
        fields = {"tenant": f"{self.name}.example", **fields}
        return call(source_call_id=f"{self.name}-{number}", **fields)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        async with open_publisher(self.bootstrap, source="rating") as publisher:
            await publisher.publish(events)

    async def relay(self) -> None:
        async with open_publisher(self.bootstrap, source="rating") as publisher:
            relay = OutboxRelay(
                self.bench.pool, publisher, schema="rating", progress=Progress("test")
            )
            while await relay.relay_once():
                pass

    async def top_up(
        self, amount_micro: int, *, post: bool = True, hold: bool = True, **fields: Any
    ) -> None:
        paid = payment(str(next(_numbers)), amount_micro, self.name, **fields)
        event = Outgoing(
            topic=PAYMENT_RECEIVED,
            key=self.name,
            value=paid.to_json(),
            event_id=paid.payment_id,
            time=NOON,
            source="accounts",
        )
        await self.publish([event, event])
        if hold:
            await self.bench.hold(paid)
        if post:
            await self.bench.receive_payments(paid)

    async def check(self, wait_s: float = 0) -> Check:
        async with self.bench.pool.acquire() as connection:
            return await check_rebuilt(
                RebuildStore(connection), self.bootstrap, wait_s=wait_s, on_progress=lambda *_: None
            )


@pytest.fixture
async def ledger(bench: Bench, kafka_bootstrap: str) -> LedgerWithTopics:
    ledger = LedgerWithTopics(bench, kafka_bootstrap)
    await bench.save_accounts(account(ledger.name, tenant=f"{ledger.name}.example"))
    await ledger.top_up(5_000_000)
    calls = [ledger.call(n) for n in range(3)]
    await ledger.publish((await bench.rate(*calls)).publish)
    await ledger.publish((await bench.rate(*calls)).publish)
    return ledger


async def test_topics_with_records_published_twice_give_the_same_balances(
    ledger: LedgerWithTopics,
) -> None:
    check = await ledger.check()
    assert (check.holds, check.differences) == (True, [])
    assert check.counted.endswith("2 accounts")


async def test_topics_give_the_same_balances_after_rerating_replay_and_undo(
    ledger: LedgerWithTopics,
) -> None:
    bench = ledger.bench
    await bench.rate(ledger.call(9, extension="2999"))
    await bench.save_accounts(
        account(ledger.name, version=2, tenant=f"{ledger.name}.example", extensions=())
    )
    await bench.replay()
    await bench.publish_tariff(DEARER, version=2)
    order = RerateOrder("north", 2, "2026-11-01", "2026-12-01")
    run, _ = await bench.rerating().apply(order)
    assert not (await ledger.check()).holds, "the outbox still has unpublished events"
    await ledger.relay()
    assert (await ledger.check()).holds
    await bench.rerating().undo(run.run_id)
    await ledger.relay()
    assert (await ledger.check()).differences == []
    assert await bench.balance(ledger.name) == 5_000_000 - 4 * 10_000


async def test_a_charge_that_was_never_published_is_found(ledger: LedgerWithTopics) -> None:
    await ledger.bench.rate(ledger.call(7))
    (difference,) = (await ledger.check()).differences
    assert f"account {ledger.name}" in difference
    says = "the topics come to 4970000, the ledger to 4960000; 1 entries were not published"
    assert says in difference


async def test_a_published_payment_that_was_never_posted_is_found_after_the_wait(
    ledger: LedgerWithTopics,
) -> None:
    await ledger.top_up(1_000_000, post=False)
    (difference,) = (await ledger.check()).differences
    assert "1 published ones are not posted" in difference


async def test_a_payment_that_rating_rejected_does_not_count(ledger: LedgerWithTopics) -> None:
    await ledger.top_up(1_000_000, currency="EUR")
    await ledger.top_up(-1_000_000, hold=False)
    assert (await ledger.check()).holds


async def test_a_payment_that_accounts_does_not_hold_does_not_count(
    ledger: LedgerWithTopics,
) -> None:
    await ledger.top_up(1_000_000, hold=False)
    assert (await ledger.check()).holds
    assert await ledger.bench.value("select count(*) from rating.unclaimed") == 1


async def test_a_record_in_flight_gets_time_to_arrive(ledger: LedgerWithTopics) -> None:
    outcome = await ledger.bench.rate(ledger.call(8))

    async def late() -> None:
        await asyncio.sleep(1)
        await ledger.publish(outcome.publish)

    check, _ = await asyncio.gather(ledger.check(wait_s=20), late())
    assert check.holds


async def test_a_balance_written_by_hand_is_found(ledger: LedgerWithTopics) -> None:
    await ledger.bench.sql(
        "update rating.account set balance_micro = 7 where account_id = $1", ledger.name
    )
    assert len((await ledger.check()).differences) == 1


async def test_verify_prints_i7_as_text_and_json(
    ledger: LedgerWithTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only I12 differs, and so the exit code is 1: no other service has its copies here."""
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", ledger.bootstrap)
    arguments = ["--dsn", ledger.bench.dsn, "--wait=0", "--replay"]
    text, printed = [
        await asyncio.to_thread(CliRunner().invoke, verify_command, [*arguments, *more])
        for more in ([], ["--json"])
    ]
    report = orjson.loads(printed.stdout)
    assert [check["name"] for check in report["checks"]] == [
        "I1", "I2", "I3", "I4", "I8", "I10", "I11", "I12", "I7",
    ]  # fmt: skip
    assert [check["name"] for check in report["checks"] if not check["holds"]] == ["I12"]
    assert (report["holds"], printed.exit_code, text.exit_code) == (False, 1, 1)
    assert report["sums"][0]["charges_micro"] == 30_000
    (row,) = [line for line in text.output.splitlines() if "I7 " in line]
    assert "holds" in row


async def test_verify_fails_if_a_reversal_gives_back_too_much(ledger: LedgerWithTopics) -> None:
    await ledger.bench.sql(
        "insert into rating.ledger select account_id, version + 1, gen_random_uuid(), 'reversal',"
        " 20000, balance_after_micro + 20000, cause_id, entry_id, occurred_at, posted_at,"
        " input_hash, '{}' from rating.ledger where version = 4"
    )
    await ledger.bench.sql(
        "update rating.account set version = 5, balance_micro = balance_micro + 20000"
        " where version = 4"
    )
    result = await asyncio.to_thread(
        CliRunner().invoke, verify_command, ["--dsn", ledger.bench.dsn, "--wait=0"]
    )
    assert result.exit_code == 1
    assert "it gives back 20000 of -10000" in result.output


def auditing(ledger: LedgerWithTopics, *, behind: Callable[[], bool] = lambda: False) -> Audit:
    return Audit(
        store=AuditStore(ledger.bench.pool),
        every_s=300,
        progress=Progress("audit"),
        behind=behind,
        poll_s=0.01,
        lasting_s=0,
    )


def drift_of_i1() -> float | None:
    return REGISTRY.get_sample_value("ringfence_drift", {"invariant": "I1"})


async def test_nothing_is_counted_while_there_is_a_backlog(ledger: LedgerWithTopics) -> None:
    await ledger.bench.sql("update rating.account set balance_micro = 7")
    DRIFT.labels("I1").set(0)
    asked = []

    def behind() -> bool:
        asked.append(drift_of_i1())
        return len(asked) < 3

    stop = asyncio.Event()
    running = asyncio.create_task(auditing(ledger, behind=behind).run(stop))
    await until(lambda: drift_of_i1() == 2, timeout_s=20)
    stop.set()
    await running
    assert asked == [0, 0, 0]


async def test_drift_is_a_metric_and_one_replica_counts_at_a_time(ledger: LedgerWithTopics) -> None:
    audit = auditing(ledger)
    names = ("I1", "I2", "I3", "I4", "I8", "I10", "I11")
    counted = await audit.audit_once() or {}
    assert {name: counted[name] for name in names} == dict.fromkeys(names, 0)
    await ledger.bench.sql("update rating.account set balance_micro = 7")
    await audit.audit_once()
    assert drift_of_i1() == 2
    async with ledger.bench.pool.acquire() as other, other.transaction():
        await other.execute("select pg_advisory_xact_lock(hashtext('rating.audit'))")
        assert await audit.audit_once() is None


async def test_the_queue_is_a_metric(bench: Bench) -> None:
    await bench.rate(call(1, extension="2999"), call(2, extension="2998"))
    replayer = Replayer(
        rating=bench.worker, store=ReplayStore(bench.pool), progress=Progress("replay")
    )
    stop = asyncio.Event()
    running = asyncio.create_task(replayer.run(stop))
    labels = {"reason": "unknown-product"}
    for _ in range(500):
        if REGISTRY.get_sample_value("ringfence_unrated_calls", labels) == 2:
            break
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert REGISTRY.get_sample_value("ringfence_unrated_calls", labels) == 2


async def test_i7_is_unknown_if_a_topic_lost_its_beginning(bench: Bench, tmp_path: Path) -> None:
    """On a broker of its own, for what it drops is gone for all who share it."""
    kafka = Kafka(tmp_path / "kafka")
    await asyncio.to_thread(kafka.start)
    try:
        await create_topics(kafka.bootstrap)
        ledger = LedgerWithTopics(bench, kafka.bootstrap)
        await ledger.publish((await bench.rate(call())).publish)
        assert (await ledger.check()).holds
        await _drop_beginning(kafka.bootstrap)
        check = await ledger.check()
    finally:
        await asyncio.to_thread(kafka.stop)
    assert not check.holds
    assert check.found == 0
    assert check.unknown == (
        "the beginning is past its retention: 1 records of call.rated.v1 are gone"
    )


async def _drop_beginning(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for partition in range(PARTITIONS):
            place = TopicPartition(CALL_RATED.name, partition)
            await admin.delete_records({place: RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()
