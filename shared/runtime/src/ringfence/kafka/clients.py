"""Starts clients of the brokers within a bound."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

START_S = 120.0
"""Within this a client has started, on a slow machine too."""


async def start_client(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Start a client, which is stopped if that fails. Raises KafkaError, TimeoutError.

    A broker that is starting may answer before it lists itself: a client that has asked it then
    knows no broker, closes its connection, and waits for ever.
    """
    try:
        await asyncio.wait_for(client.start(), START_S)
    except BaseException:
        await client.stop()
        raise
