"""Payments are read from the topic, as after a restore of accounts."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer

from ringfence_cli.payments.topic_payments import read_topic
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.topics import PAYMENT_RECEIVED


def payment(account_id: str, payment_id: UUID, micro: int = 20_000_000) -> PaymentReceived:
    return PaymentReceived(
        payment_id=payment_id,
        account_id=account_id,
        kind="top-up",
        amount_micro=micro,
        currency="CAD",
        reference="receipt",
        received_at=datetime(2026, 11, 1, 12, 0, tzinfo=UTC),
    )


async def publish(bootstrap: str, account_id: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(PAYMENT_RECEIVED.name, value, key=account_id.encode())


async def test_each_payment_of_the_topic_is_found_once(kafka_bootstrap: str) -> None:
    anna, bert = f"anna-{uuid4().hex[:8]}", f"bert-{uuid4().hex[:8]}"
    first, second = uuid4(), uuid4()
    once = payment(anna, first).to_json()
    before = (await asyncio.to_thread(read_topic, kafka_bootstrap)).unreadable
    await publish(kafka_bootstrap, anna, once, once, b"no payment")
    await publish(kafka_bootstrap, bert, payment(bert, second, 5_500_000).to_json())
    read = await asyncio.to_thread(read_topic, kafka_bootstrap)
    found = read.by_account()
    assert [(each["payment_id"], each["amount"]) for each in found[anna]] == [(str(first), "20.00")]
    assert [(each["payment_id"], each["amount"]) for each in found[bert]] == [(str(second), "5.50")]
    assert read.unreadable == before + 1


async def test_an_unreachable_broker_ends_with_what_to_do(
    free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(read_topic, f"127.0.0.1:{free_port}")
    assert ended.value.code == 3
    assert "--bootstrap" in capsys.readouterr().err
