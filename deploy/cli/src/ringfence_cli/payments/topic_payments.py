"""Reads all payments of the topic from its beginning."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import click
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence_cli.connection import EXIT_UNREACHABLE, fail
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.money import format_micro
from ringfence_contracts.topics import PAYMENT_RECEIVED

_AT_ONCE = 5_000
_REPORTED_EVERY = 100_000
_START_S = 15


class TopicPayments(NamedTuple):
    """The payments of the topic by id, and the count of records that are not payments."""

    payments: dict[str, dict[str, Any]]
    unreadable: int

    def by_account(self) -> dict[str, list[dict[str, Any]]]:
        """The payments of each account."""
        found: dict[str, list[dict[str, Any]]] = {}
        for payment in self.payments.values():
            found.setdefault(payment["account_id"], []).append(payment)
        return found


def read_topic(bootstrap: Bootstrap) -> TopicPayments:
    """Read every payment up to the present end of the topic. Ends the command without a broker."""
    try:
        return asyncio.run(_read(bootstrap))
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        fail(
            f"{PAYMENT_RECEIVED.name} cannot be read at {bootstrap} ({type(error).__name__}):"
            " name another broker by --bootstrap, or start this one",
            EXIT_UNREACHABLE,
        )


async def _read(bootstrap: Bootstrap) -> TopicPayments:
    consumer = AIOKafkaConsumer(
        PAYMENT_RECEIVED.name,
        **client_arguments(bootstrap),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        await asyncio.wait_for(consumer.start(), _START_S)
        return await _read_to_the_end(consumer)
    finally:
        await consumer.stop()


async def _read_to_the_end(consumer: AIOKafkaConsumer) -> TopicPayments:
    partitions: list[TopicPartition] = sorted(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    found = TopicPayments({}, 0)
    read = 0
    total = sum(ends.values())
    while behind := [p for p in partitions if await consumer.position(p) < ends[p]]:
        polled = await consumer.getmany(*behind, timeout_ms=1_000, max_records=_AT_ONCE)
        values = [record.value for records in polled.values() for record in records]
        found = _with(found, values)
        before, read = read, read + len(values)
        if read // _REPORTED_EVERY > before // _REPORTED_EVERY:
            click.echo(f"read: {read:,} records, up to {total:,}", err=True)
    click.echo(f"read: {read:,} records of {PAYMENT_RECEIVED.name}", err=True)
    return found


def _with(found: TopicPayments, values: Iterable[bytes | None]) -> TopicPayments:
    unreadable = found.unreadable
    for value in values:
        try:
            payment = PaymentReceived.model_validate_json(value or b"")
        except ValidationError:
            unreadable += 1
            continue
        as_sent = payment.model_dump(mode="json")
        as_sent["amount"] = format_micro(payment.amount_micro)
        # The first record of a payment counts; later ones are duplicates.
        found.payments.setdefault(str(payment.payment_id), as_sent)
    return TopicPayments(found.payments, unreadable)
