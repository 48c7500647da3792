"""Reads every topic from now on. It is in no group and commits nothing: it only shows."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from console.feed.hub import Hub
from console.feed.words import Happening, happening_of
from console.web.formats import Formats
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence.loops import wait_or_stop
from ringfence.observe.health import Progress
from ringfence_contracts.topics import ALL_TOPICS

log = structlog.get_logger()
_READ_MS = 500
_MOST = 500
_PAUSE_S = 5.0
_WORDED = 5
"""Of the records of one read of a partition, so many are put into words."""


class FeedReader:
    """Reads the newest records of every topic, and gives each to the hub.

    A record that cannot be read is left out: the reader that it is meant for reports it. While the
    broker is away the pages work, without news.
    """

    def __init__(
        self, bootstrap: Bootstrap, hub: Hub, formats: Formats, progress: Progress
    ) -> None:
        self._bootstrap = bootstrap
        self._hub = hub
        self._formats = formats
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop` is set; begin again after a failure of the broker."""
        self._progress.pauses(_PAUSE_S * 4)
        while not stop.is_set():
            try:
                await self._read(stop)
            except (KafkaError, OSError) as error:
                log.warning("topics cannot be read", reason=repr(error))
                self._progress.turned()
                await wait_or_stop(stop, _PAUSE_S)

    async def _read(self, stop: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            *(topic.name for topic in ALL_TOPICS),
            **client_arguments(self._bootstrap),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=256 * 1024,
        )
        await start_client(consumer)
        self._hub.miss()
        try:
            while not stop.is_set():
                found = await consumer.getmany(timeout_ms=_READ_MS, max_records=_MOST)
                for happening in self._happenings(found.values()):
                    self._hub.publish(happening)
                self._progress.turned()
        finally:
            await consumer.stop()

    def _happenings(self, found: Iterable[Sequence[ConsumerRecord]]) -> Iterator[Happening]:
        """The newest events in words, and of the others once which topic and account they are of.

        Nobody can read thousands of lines a second.
        """
        others = set()
        for records in found:
            for record in records[:-_WORDED]:
                others.add((record.topic, (record.key or b"").decode("utf-8", "replace")))
            for record in records[-_WORDED:]:
                yield happening_of(self._formats, record.topic, record.key, record.value)
        for topic, account_id in others:
            yield Happening(topic, account_id)
