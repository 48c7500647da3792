"""Anti-entropy on a real database: what is published again, when, and when it is given up."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from accounts.anti_entropy.store import owner as accounts_owner
from balance_watch.anti_entropy.store import OWNER as BALANCE_WATCH
from cdr_ingest.anti_entropy.pruning import CallPruning
from cdr_ingest.anti_entropy.store import PublishedCallStore
from cdr_ingest.anti_entropy.store import owner as ingest_owner
from cdr_ingest.ingest import Ingester, call_completed
from cdr_ingest.store import IngestStore
from rating.anti_entropy.store import OWNER as RATING
from ringfence.anti_entropy.broker import PublishedLater
from ringfence.anti_entropy.loop import AntiEntropy, Owner
from ringfence.anti_entropy.store import CopyStore
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import ACCOUNT_CHANGED, PAYMENT_RECEIVED
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import call, read
from ringfence_testing.store_claims import insert_payments
from tests.support.anti_entropy import Broker

START = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
KEPT = timedelta(hours=48)
CLIENT = '{"first_name": "Anna", "email": "anna@example.com"}'


class Installation:
    """A database, and owners that look at it when the test says so."""

    def __init__(self, dsn: str, connection: Any) -> None:
        self.dsn = dsn
        self.sql = connection
        self.clock = FixedClock(START)
        self.broker = Broker()
        self.pools: list[Pool] = []

    async def starts(self, owner: Owner) -> AntiEntropy:
        """A process of the owner, which looks every 20 s."""
        pool = await open_pool(self.dsn, service=owner.service)
        self.pools.append(pool)
        return AntiEntropy(
            owner,
            store=CopyStore(pool, owner.alarms.schema),
            publisher=self.broker,
            broker=self.broker,
            clock=self.clock,
            progress=Progress("anti-entropy"),
            every_s=20,
        )

    async def look(self, *loops: AntiEntropy, times: int = 1) -> None:
        for _ in range(times):
            self.clock.move(seconds=20)
            for loop in loops:
                await loop.look()

    async def paid(self, key: str = "k", received_at: datetime | None = None) -> PaymentReceived:
        payment = PaymentReceived(
            payment_id=derive("payment", "anna", key),
            account_id="anna",
            kind="top-up",
            amount_micro=5_000_000,
            currency="CAD",
            reference="",
            received_at=received_at or self.clock.now(),
        )
        await insert_payments(self.sql, [payment])
        await self.sql.execute("update accounts.account set client = $1", CLIENT)
        return payment

    async def posted(self, payment: PaymentReceived) -> None:
        """Rating has a payment in its ledger."""
        await self.sql.execute(
            "insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
            " balance_after_micro, cause_id, occurred_at, input_hash, explanation)"
            " values ('anna', 1, $1, 'top-up', 5000000, 5000000, $1, now(), '', '{}')",
            payment.payment_id,
        )

    async def alarms(self) -> list[tuple[str, bool]]:
        rows = await self.sql.fetch(
            "select subject, ended_at is null as open from report.alarm"
            " where key = 'not-delivered' order by raised_at"
        )
        return [(row["subject"], row["open"]) for row in rows]


@pytest.fixture
async def installation(database: str) -> AsyncIterator[Installation]:
    connection = await asyncpg.connect(database)
    made = Installation(database, connection)
    yield made
    for pool in made.pools:
        await pool.close()
    await connection.close()


async def accounts_starts(installation: Installation) -> AntiEntropy:
    """accounts, with all profiles at their readers."""
    return await installation.starts(accounts_owner(installation.clock))


async def readers_know(installation: Installation, account_id: str = "anna") -> None:
    """All four readers have the profile that accounts has."""
    for statement in (
        "insert into rating.profile (account_id, version, profile)"
        " select account_id, version, '{}' from accounts.account where account_id = $1",
        "insert into suspender.account (account_id, profile_version)"
        " select account_id, version from accounts.account where account_id = $1",
        "insert into balance_watch.account (account_id, currency, outstanding_micro,"
        " profile_version, balance_micro, balance_version)"
        " select account_id, 'CAD', 0, version, 0, 0 from accounts.account where account_id = $1",
        "insert into notifier.account (account_id, version, first_name, last_name, company_name,"
        " email, wants_mail, low_balance_threshold) select account_id, version, '', '', '', '',"
        " true, '' from accounts.account where account_id = $1",
    ):
        await installation.sql.execute(statement, account_id)


async def test_a_payment_is_published_again_at_the_second_look_that_misses_it(
    installation: Installation,
) -> None:
    accounts = await accounts_starts(installation)
    payment = await installation.paid()
    await readers_know(installation)
    await installation.look(accounts)
    assert installation.broker.published == []
    await installation.look(accounts)
    (event,) = installation.broker.published
    assert event.event_id == derive(PAYMENT_RECEIVED.name, payment.payment_id)
    assert read(event) == payment
    await installation.posted(payment)
    await installation.look(accounts, times=30)
    assert len(installation.broker.published) == 1
    assert await installation.sql.fetchval("select count(*) from accounts.missing_copy") == 0


async def test_what_is_in_flight_is_not_published_again(installation: Installation) -> None:
    """The reader is behind: it has not read what was on the topic at the look before."""
    accounts = await accounts_starts(installation)
    installation.broker.is_read = False
    await installation.paid()
    await readers_know(installation)
    await installation.look(accounts, times=100)
    assert installation.broker.published == []
    assert await installation.alarms() == []
    installation.broker.is_read = True
    await installation.look(accounts)
    assert len(installation.broker.published) == 1


async def test_a_record_that_arrives_in_time_is_never_noted(installation: Installation) -> None:
    accounts = await accounts_starts(installation)
    await installation.look(accounts)
    payment = await installation.paid()
    await readers_know(installation)
    await installation.posted(payment)
    await installation.look(accounts, times=2)
    assert installation.broker.published == []


async def test_what_stays_missing_is_published_less_and_less_and_alarmed(
    installation: Installation,
) -> None:
    accounts = await accounts_starts(installation)
    payment = await installation.paid()
    await readers_know(installation)
    await installation.look(accounts, times=3 * 60)  # an hour
    assert 3 <= len(installation.broker.published) <= 5
    subject = f"{PAYMENT_RECEIVED.name}/rating"
    assert await installation.alarms() == [(subject, True)]
    text = await installation.sql.fetchval("select message from report.alarm")
    assert str(payment.payment_id) in text
    await installation.posted(payment)
    await installation.look(accounts)
    assert await installation.alarms() == [(subject, False)]


async def test_what_was_written_while_the_owner_did_not_run_is_compared(
    installation: Installation,
) -> None:
    accounts = await accounts_starts(installation)
    await installation.look(accounts)
    await installation.paid(received_at=installation.clock.now() + timedelta(hours=1))
    await readers_know(installation)
    installation.clock.move(hours=5)
    again = await accounts_starts(installation)
    await installation.look(again, times=2)
    assert len(installation.broker.of(PAYMENT_RECEIVED)) == 1


async def test_everything_is_compared_each_night(installation: Installation) -> None:
    """A payment that was entered with an instant long ago, such as a claimed one."""
    accounts = await accounts_starts(installation)
    await installation.look(accounts, times=10)
    await installation.paid(received_at=START - timedelta(days=40))
    await readers_know(installation)
    await installation.look(accounts, times=3)
    assert installation.broker.published == []
    installation.clock.set(START + timedelta(hours=15, minutes=1))  # after 03:00
    await installation.look(accounts, times=2)
    assert len(installation.broker.published) == 1


async def test_a_reader_that_was_restored_is_compared_from_then_on(
    installation: Installation,
) -> None:
    """Rating comes back from a backup of two hours ago, and starts before accounts looks."""
    accounts, rating = await accounts_starts(installation), await installation.starts(RATING)
    await installation.look(rating, accounts, times=3)
    backup = installation.clock.now()
    payment = await installation.paid(received_at=backup + timedelta(minutes=10))
    await readers_know(installation)
    await installation.posted(payment)
    installation.clock.move(hours=2)
    await installation.look(rating, accounts, times=3)
    assert installation.broker.published == []
    await installation.sql.execute("truncate rating.ledger")
    await installation.sql.execute("update rating.look set looked_at = $1", backup)
    restarted = await installation.starts(RATING)
    await installation.look(restarted, accounts, times=3)
    assert [event.event_id for event in installation.broker.published] == [
        derive(PAYMENT_RECEIVED.name, payment.payment_id)
    ]


async def test_an_owner_behind_its_readers_continues_above_them_with_an_alarm(
    installation: Installation,
) -> None:
    await installation.paid()
    await readers_know(installation)
    await installation.sql.execute("update suspender.account set profile_version = 41")
    accounts = await accounts_starts(installation)
    await installation.look(accounts)
    version = "select version from accounts.account where account_id = 'anna'"
    assert await installation.sql.fetchval(version) == 42
    queued = await installation.sql.fetchrow(
        "select * from accounts.outbox where topic = $1", ACCOUNT_CHANGED.name
    )
    assert queued["event_id"] == derive(ACCOUNT_CHANGED.name, "anna", 42)
    (alarm,) = await installation.sql.fetch("select * from report.alarm where key = 'restored'")
    assert alarm["subject"] == "accounts"
    assert "payments claim" in alarm["what_to_do"]
    who = "select changed_by from accounts.account_change where version = 42"
    assert await installation.sql.fetchval(who) == "ringfence"


async def test_an_owner_behind_its_topics_continues_above_them(
    installation: Installation,
) -> None:
    """The whole database is of last night: no reader is ahead, but the topics are."""
    await installation.paid()
    await readers_know(installation)
    await installation.look(await accounts_starts(installation))
    installation.broker.later = PublishedLater({"anna": 7, "gone": 3}, 12)
    installation.clock.move(days=1)
    again = await accounts_starts(installation)
    await installation.look(again, times=2)
    assert installation.broker.asked_after[-1] == START + timedelta(seconds=20, minutes=2)
    version = "select version from accounts.account where account_id = 'anna'"
    assert await installation.sql.fetchval(version) == 8
    message = await installation.sql.fetchval("select message from report.alarm")
    assert "gone" in message


async def test_a_restored_balance_continues_above_and_the_gap_is_accounted_for(
    installation: Installation,
) -> None:
    payment = await installation.paid()
    await readers_know(installation)
    await installation.posted(payment)
    await installation.sql.execute(
        "insert into rating.account (account_id, currency, balance_micro, version, settled)"
        " values ('anna', 'CAD', 5000000, 1, 1)"
    )
    await installation.sql.execute(
        "update balance_watch.account set balance_version = 9, balance_micro = -3000000"
    )
    rating = await installation.starts(RATING)
    await installation.look(rating)
    row = await installation.sql.fetchrow("select version, balance_micro from rating.account")
    assert tuple(row) == (10, 5_000_000)
    assert await installation.sql.fetch("select * from rating.drift_i1") == []
    value = await installation.sql.fetchval("select value from rating.outbox where topic like 'b%'")
    assert b'"version":10,"balance_micro":5000000' in value


async def test_the_same_version_with_another_balance_continues_above(
    installation: Installation,
) -> None:
    payment = await installation.paid()
    await readers_know(installation)
    await installation.posted(payment)
    await installation.sql.execute(
        "insert into rating.account (account_id, currency, balance_micro, version, settled)"
        " values ('anna', 'CAD', 5000000, 1, 1)"
    )
    await installation.sql.execute(
        "update balance_watch.account set balance_version = 1, balance_micro = 7"
    )
    rating = await installation.starts(RATING)
    await installation.look(rating)
    assert await installation.sql.fetchval("select version from rating.account") == 3
    await installation.sql.execute(
        "update balance_watch.account set balance_version = 3, balance_micro = 5000000"
    )
    await installation.look(rating, times=3)
    assert await installation.sql.fetchval("select version from rating.account") == 3


async def test_restored_crossings_continue_above_with_the_state_of_now(
    installation: Installation,
) -> None:
    """The suspender holds anna by hold 4; balance-watch, restored, knows that she has funds."""
    await installation.paid()
    await readers_know(installation)
    await installation.sql.execute(
        "update balance_watch.account set balance_version = 2, balance_micro = 5000000,"
        " level = 'ok', funds = 'free', crossings = 3, holds = 2"
    )
    await installation.sql.execute(
        "update suspender.account set crossing = 6, held = true, hold = 4"
    )
    watch = await installation.starts(BALANCE_WATCH)
    await installation.look(watch)
    row = await installation.sql.fetchrow("select crossings, holds from balance_watch.account")
    assert tuple(row) == (7, 4)
    queued = await installation.sql.fetchrow(
        "select topic, value from balance_watch.outbox where topic like 'balance.%'"
    )
    assert queued["topic"] == "balance.restored.v1"
    assert b'"crossing":7' in queued["value"]
    assert b'"level_before":"exhausted"' in queued["value"]


async def test_a_lost_call_is_published_again_with_its_bytes(installation: Installation) -> None:
    pool = await open_pool(installation.dsn, service="cdr-ingest")
    installation.pools.append(pool)
    lost, kept = call(1), call(2)
    ingester = Ingester(store=IngestStore(pool), publisher=_as_publisher(installation.broker))
    await ingester.ingest([lost, kept])
    await installation.sql.execute(
        "insert into rating.dead_call (call_id, reason, record) values ($1, 'r', '')", kept.call_id
    )
    installation.clock.set(await installation.sql.fetchval("select now()"))
    installation.broker.published.clear()
    ingest = await installation.starts(ingest_owner(KEPT))
    await installation.look(ingest, times=2)
    assert installation.broker.published == [call_completed(lost)]
    pruning = CallPruning(
        PublishedCallStore(pool), kept=KEPT, clock=installation.clock, progress=Progress("pruning")
    )
    assert await pruning.prune() == 0
    installation.clock.move(hours=50)
    assert await pruning.prune() == 2


def _as_publisher(broker: Broker) -> Any:
    """A publisher that cannot fail."""

    class Publisher:
        async def publish(self, events: Sequence[Outgoing]) -> None:
            await broker.publish(events)

        async def park_source_rows(self, rows: Any) -> None:
            assert list(rows) == []

    return Publisher()
