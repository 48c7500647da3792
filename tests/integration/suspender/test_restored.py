"""A restored suspender: what it switched off since the backup is read again at the PBX."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

import pytest

from ringfence.anti_entropy.broker import PublishedLater
from ringfence.anti_entropy.loop import AntiEntropy
from ringfence.anti_entropy.store import CopyStore
from ringfence.clock import SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_contracts.topics import SERVICE_RESTORED, SERVICE_SUSPENDED
from suspender.anti_entropy.store import OWNER
from suspender.rules.elements import Element
from tests.support.anti_entropy import Broker
from tests.support.suspender import SuspenderHarness

Confirmation = TypeVar("Confirmation", ServiceSuspended, ServiceRestored)
TRUNK = Element("gateway", "", "trunk-1")
PRODUCT = {"suspend_by": "gateway", "gateway_ids": ("trunk-1",)}


class Restored(SuspenderHarness):
    """The suspender of a backup, which knows the client's trunk as on."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        super().__init__(dsn, pool)
        self._pool = pool

    async def looks(self, *events: ServiceSuspended | ServiceRestored) -> None:
        """It starts, with these events on its topics from after its last look."""
        broker = Broker()
        loop = AntiEntropy(
            OWNER,
            store=CopyStore(self._pool, "suspender"),
            publisher=broker,
            broker=broker,
            clock=SystemClock(),
            progress=Progress("anti-entropy"),
            every_s=20,
        )
        numbers: dict[str, int] = {}
        for event in events:
            is_off = isinstance(event, ServiceSuspended)
            read = OWNER.continuation
            assert read is not None
            topic = SERVICE_SUSPENDED if is_off else SERVICE_RESTORED
            key, number = read.numbers[topic](event.model_dump(mode="json"))
            numbers[key] = max(number, numbers.get(key, 0))
        broker.later = PublishedLater(numbers, len(events))
        await self.sql("insert into suspender.look values (1, now() - interval '1 day')")
        await loop.look()

    async def event(self, kind: type[Confirmation], minutes: int) -> Confirmation:
        """A confirmation from after the backup."""
        row = await self.row()
        facts = {
            "account_id": "1001", "service_id": "svc-1001", "server_id": "pbx1", "mode": "auto",
            "cause_id": "5f0c1d52-6f0e-5b6e-9a53-0b9a4f6f7a11", "zero_mail": False,
            "balance_micro": 0, "outstanding_micro": 0, "currency": "CAD", "evidence": "read back",
            "confirmed_at": (row["confirmed_at"] or row["wanted_at"]) + timedelta(minutes=minutes),
        }  # fmt: skip
        return kind.model_validate(facts)

    async def restored_alarms(self) -> list[str]:
        rows = await self.sql("select message from report.alarm where key = 'restored'")
        return [row["message"] for row in rows]


@pytest.fixture
async def suspender(database: str) -> AsyncIterator[Restored]:
    async with await open_pool(database, service="suspender") as pool:
        made = Restored(database, pool)
        await made.profile(service=PRODUCT)
        await made.work_done()
        yield made


async def test_what_was_cut_since_the_backup_is_switched_on_again(suspender: Restored) -> None:
    """Nothing is on record, and the client is to be on: he would have stayed off for good."""
    suspender.fake_pbx.off_now.add(TRUNK)
    await suspender.looks(await suspender.event(ServiceSuspended, 5))
    await suspender.work_done()
    assert suspender.fake_pbx.off == set()
    (message,) = await suspender.restored_alarms()
    assert "1 services were switched off since then" in message


async def test_what_is_held_gets_its_record_and_is_released_later(suspender: Restored) -> None:
    suspender.fake_pbx.off_now.add(TRUNK)
    await suspender.looks(await suspender.event(ServiceSuspended, 5))
    await suspender.zero()
    await suspender.work_done()
    assert suspender.fake_pbx.off == {"trunk-1"}
    assert await suspender.on_record() == {"trunk-1": True}
    await suspender.restored()
    await suspender.work_done()
    assert suspender.fake_pbx.off == set()


async def test_what_others_switched_off_is_left_alone(suspender: Restored) -> None:
    """The last event says that it was on, or the event is older than what is known."""
    suspender.fake_pbx.off_now.add(TRUNK)
    off, on = (
        await suspender.event(ServiceSuspended, 5),
        await suspender.event(ServiceRestored, 6),
    )
    await suspender.looks(off, on)
    await suspender.work_done()
    assert suspender.fake_pbx.off == {"trunk-1"}
    assert await suspender.restored_alarms() == []


async def test_an_event_that_is_older_than_the_database_says_nothing(suspender: Restored) -> None:
    """After an ordinary restart, the outbox publishes what was written before."""
    suspender.fake_pbx.off_now.add(TRUNK)
    await suspender.looks(await suspender.event(ServiceSuspended, -5))
    await suspender.work_done()
    assert suspender.fake_pbx.off == {"trunk-1"}
    assert await suspender.restored_alarms() == []
