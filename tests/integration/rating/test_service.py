"""The running service: an unclaimed payment raises an alarm and is posted when accounts has it."""

import asyncio
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from rating.service import run
from rating.settings import Settings
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import PAYMENT_RECEIVED, RATING_ALARM
from ringfence_testing.records import NOON
from ringfence_testing.store_claims import insert_payments
from ringfence_testing.wait import until
from tests.support.rating import payment


async def test_a_payment_that_is_held_later_is_posted_and_its_alarm_raised_and_ended(
    database: str, kafka_bootstrap: str
) -> None:
    paid = payment("late", 5_000_000, f"claims-{uuid4().hex[:12]}")
    settings = Settings(postgres_dsn=SecretStr(database), kafka_bootstrap=kafka_bootstrap)
    stop, connection = asyncio.Event(), await asyncpg.connect(database)
    running = asyncio.create_task(run(settings, Health(), stop))
    alarms = AIOKafkaConsumer(
        RATING_ALARM.name, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await alarms.start()
    try:
        async with open_publisher(kafka_bootstrap, source="accounts") as publisher:
            await publisher.publish(
                [
                    Outgoing(
                        topic=PAYMENT_RECEIVED,
                        key=paid.account_id,
                        value=paid.to_json(),
                        event_id=paid.payment_id,
                        time=NOON,
                        source="accounts",
                    )
                ]
            )
        raised = await _alarm(alarms, paid.account_id)
        assert (raised.state, raised.key) == ("raised", "payment-unclaimed")
        await insert_payments(connection, [paid])
        posted = "select exists (select from rating.ledger where entry_id = $1)"
        await until(
            lambda: connection.fetchval(posted, paid.payment_id), timeout_s=60, what="it is posted"
        )
        ended = await _alarm(alarms, paid.account_id)
        assert (ended.state, ended.alarm_id) == ("ended", raised.alarm_id)
    finally:
        stop.set()
        await running
        await alarms.stop()
        await connection.close()


async def _alarm(consumer: AIOKafkaConsumer, account_id: str) -> Alarm:
    """The next alarm of this account; other tests share the topic."""
    async with asyncio.timeout(60):
        async for record in consumer:
            alarm = Alarm.model_validate_json(record.value)
            if alarm.account_id == account_id:
                return alarm
    raise AssertionError("the topic ended")
