"""The background of the pages of topics, without brokers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
)

from console.feed.broker_problem import broker_problem
from console.feed.topics import TopicLooks, TopicWatch
from ringfence.kafka.brokers import Brokers
from ringfence.observe.health import Progress
from ringfence_testing.wait import until


async def test_no_failure_ends_the_console(tmp_path: Path) -> None:
    """Not even one that no client of Kafka announces: here a file of authorities that is gone."""
    brokers = Brokers("127.0.0.1:1", protocol="SSL", ca_file=tmp_path / "none.pem")
    watch, stop = TopicWatch(), asyncio.Event()
    looks = asyncio.create_task(TopicLooks(brokers, watch, Progress("topics")).run(stop))
    await until(lambda: bool(watch.problem) or looks.done())
    assert not looks.done()
    assert "cannot ask the brokers: RINGFENCE_KAFKA_CA_FILE" in watch.problem
    stop.set()
    await asyncio.wait_for(looks, 5)


async def test_at_rest_the_offsets_are_read_again_when_somebody_asks() -> None:
    watch = TopicWatch()
    waiting = asyncio.create_task(watch.pause())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    watch.ask()
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GroupAuthorizationFailedError(), "Run `ringfence topics acls --apply`"),
        (GroupCoordinatorNotAvailableError(), "The console asks again by itself"),
        (KafkaConnectionError(), "Kafka does not answer at kafka:9092 (KafkaConnectionError)."),
        (TimeoutError(), "Start it, or correct RINGFENCE_KAFKA_BOOTSTRAP"),
    ],
)
async def test_a_problem_says_what_to_do(error: Any, words: str) -> None:
    assert words in await broker_problem("kafka:9092", error)
