"""balance-watch as a consumer of records that it rejects, for tests of what is done with them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from structlog.testing import capture_logs

from ringfence.kafka.failures.keeper import FailureKeeper, keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Progress
from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import open_pool
from ringfence_contracts.records import Outcome, Outgoing, Received, Rejected
from ringfence_contracts.topics import BALANCE_CHANGED, WATCH_ALARM
from ringfence_testing.records import NOON

WRONG = b'{"account_id": "acme-1001", "version": -1}'


@dataclass
class Consumer:
    """balance-watch as its processor sees it: a handler that rejects while the test says so."""

    rejects: bool = True
    handled: list[Received] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)
    parked: int = 0

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        if self.rejects:
            return Outcome(reject=[Rejected(r, "version: got -1, expected more") for r in batch])
        self.handled += batch
        event = Outgoing(BALANCE_CHANGED, "acme-1001", b"{}", batch[0].event_id, NOON, "test")
        return Outcome(publish=[event])

    async def publish(self, events: Sequence[Outgoing]) -> None:
        self.published += events

    async def park(self, rejected: Sequence[Rejected], consumer: str) -> None:
        self.parked += len(rejected)


@dataclass
class Watch:
    """The consumer, its processor, and the keeper of its failures."""

    consumer: Consumer
    processor: RecordProcessor[Sequence[Received]]
    failures: FailureKeeper

    async def dies(self, offset: int = 7, value: bytes = WRONG) -> None:
        """A record that the consumer rejects."""
        headers = (("ce_id", b"5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11"), ("x", b"\xff"))
        record = Received(BALANCE_CHANGED.name, 3, offset, b"acme-1001", value, headers)
        await self.processor.process([record])


@asynccontextmanager
async def watching(database: str) -> AsyncIterator[Watch]:
    """balance-watch, which looks for requests as in service."""
    alarms, consumer, stop = (
        Alarms(WATCH_ALARM, schema="balance_watch"),
        Consumer(),
        asyncio.Event(),
    )
    async with await open_pool(database, service="balance-watch") as pool:
        failures = keep_failures(pool, alarms, group="balance-watch", progress=Progress("failures"))
        processor = RecordProcessor(
            consumer.handle, cast(Publisher, consumer), consumer="balance-watch", failures=failures
        )
        with capture_logs():  # the commands' output is read from the same process
            running = asyncio.create_task(failures.run(stop))
            try:
                yield Watch(consumer, processor, failures)
            finally:
                stop.set()
                await running
