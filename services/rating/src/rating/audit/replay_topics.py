"""I7: the topics alone, replayed from their beginning, give the same balances.

Payments and calls are read up to the topics' ends at the beginning of the check, and posted into an
empty table by their entries' ids, so a record that was published twice counts once. Records in
flight get time to arrive: the topics are read further, and compared with the ledger again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from rating.audit.finding import Check, OnProgress
from rating.audit.store_replay import AccountDifference, RebuildStore, ReplayedEntry
from rating.posting.batch import read_batch
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence.kafka.clients import start_client
from ringfence_contracts.records import Received, as_received
from ringfence_contracts.topics import CALL_RATED, PAYMENT_RECEIVED

_TOPICS = (PAYMENT_RECEIVED.name, CALL_RATED.name)
_MAX_POLLED = 500
"""Few, because rating may go on in the same process."""

_POLL_EVERY_S = 0.5


class ExpiredRecords(NamedTuple):
    """The number of records that a topic no longer has, because its retention deleted them."""

    topic: str
    records: int


async def check_rebuilt(
    store: RebuildStore, bootstrap: Bootstrap, *, wait_s: float, on_progress: OnProgress
) -> Check:
    """Rebuild all balances from the topics and compare.

    Records in flight get `wait_s` seconds to arrive.
    """
    check = Check("I7", "the topics, replayed into an empty table, give the same balances")
    consumer = AIOKafkaConsumer(
        *_TOPICS,
        **client_arguments(bootstrap),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await start_client(consumer)
    try:
        reading = _Reading(consumer)
        await store.begin()
        await reading.read_to_the_ends(store, on_progress)
        found = await store.compare()
        deadline = asyncio.get_running_loop().time() + wait_s
        while found and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_EVERY_S)
            await reading.read_to_the_ends(store, on_progress)
            found = await store.compare()
        lost = await reading.lost()
    finally:
        await consumer.stop()
    _conclude(check, found, lost, await store.accounts(), reading.records)
    return check


def _conclude(
    check: Check,
    found: Sequence[AccountDifference],
    lost: Sequence[ExpiredRecords],
    accounts: int,
    records: int,
) -> None:
    check.counted = f"{records} records, {accounts} accounts"
    if lost:
        gone = ", ".join(f"{each.records} records of {each.topic}" for each in lost)
        check.unknown = f"the beginning is past its retention: {gone} are gone"
        return
    for row in found:
        check.differs(
            f"account {row.account_id}: the topics come to {row.replayed_micro}, the ledger to"
            f" {row.ledger_micro}; {row.not_published} entries were not published, {row.not_posted}"
            f" published ones are not posted, {row.otherwise} differ"
        )


class _Reading:
    """Reads the topics' partitions from their beginning."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._partitions = sorted(consumer.assignment())
        self.records = 0

    async def read_to_the_ends(self, store: RebuildStore, on_progress: OnProgress) -> None:
        """Read up to the topics' current ends."""
        ends = await self._consumer.end_offsets(self._partitions)
        while behind := await self._behind(ends):
            polled = await self._consumer.getmany(*behind, timeout_ms=1000, max_records=_MAX_POLLED)
            batch = [record for records in polled.values() for record in as_received(records)]
            await store.post(list(postings(batch)))
            self.records += len(batch)
            left = sum([max(0, ends[p] - await self._consumer.position(p)) for p in behind])
            on_progress("records of the topics", self.records, self.records + left)

    async def _behind(self, ends: Mapping[TopicPartition, int]) -> list[TopicPartition]:
        return [p for p, end in ends.items() if await self._consumer.position(p) < end]

    async def lost(self) -> list[ExpiredRecords]:
        """The records that retention has deleted so far."""
        gone = dict.fromkeys(_TOPICS, 0)
        for partition, first in (await self._consumer.beginning_offsets(self._partitions)).items():
            gone[partition.topic] += first
        return [ExpiredRecords(topic, records) for topic, records in gone.items() if records]


def postings(batch: Sequence[Received]) -> Iterator[ReplayedEntry]:
    """The ledger's entries according to these records."""
    payments = [received for received in batch if received.topic == PAYMENT_RECEIVED.name]
    for item in read_batch(payments).payments:
        p = item.payment
        yield ReplayedEntry(p.payment_id, p.account_id, p.amount_micro, p.currency, is_payment=True)
    for received in batch:
        if received.topic == CALL_RATED.name:
            yield from _of_call(orjson.loads(received.value))


def _of_call(payload: Mapping[str, Any]) -> Iterator[ReplayedEntry]:
    if payload["outcome"] != "rated":
        return
    account_id, currency = payload["account_id"], payload["currency"]
    yield ReplayedEntry(UUID(payload["entry_id"]), account_id, -payload["cost_micro"], currency)
    replaces = payload.get("replaces")
    if replaces:
        reversal_id = UUID(replaces["reversal_id"])
        yield ReplayedEntry(reversal_id, account_id, replaces["cost_micro"], currency)
