"""What a PBX lists and polling missed is told, fetched and kept, hour by hour."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller, PollInterval
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import LookbackSettings
from cdr_ingest.reconciliation.reconciler import Reconciler
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.store import IngestStore
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.topics import SOURCE_GAP_FOUND
from ringfence_simulators.fusionpbx.app import Simulator
from ringfence_simulators.fusionpbx.faults import Fault
from ringfence_testing.clock import FixedClock
from tests.support.cdr_ingest import Ear, ear, rows
from tests.support.fusionpbx import NOON, Clock, outbound, server_of, simulated
from tests.support.narrow import present

HOUR_S = 3600
TEN = int(NOON) - 1200
"""The hour in which the simulated clock stands begins: 10:00."""

REACH = LookbackSettings(look_back_s=2 * HOUR_S, sweep_every_s=600, lag_s=300, window_s=HOUR_S)


@dataclass
class Lane:
    """A lane of one simulated PBX, polled and counted by hand; all clocks move together."""

    server_id: str
    simulator: Simulator
    pbx_clock: Clock
    clock: FixedClock
    poller: Poller
    reconciler: Reconciler
    intake: Ingester
    relay: OutboxRelay
    heard: Ear
    dsn: str

    def pass_(self, seconds: int) -> None:
        self.pbx_clock.at += seconds
        self.clock.move(seconds=seconds)

    async def poll_for(self, seconds: int) -> None:
        """Time passes, and the lane is polled every ten minutes."""
        for _ in range(seconds // 600):
            self.pass_(600)
            await self.poller.poll()

    def place(self, **changed: Any) -> str:
        return str(self.simulator.pbx.place(outbound(**changed)).columns["xml_cdr_uuid"])

    async def count_all(self) -> None:
        """Count until no hour is due."""
        while await self.reconciler.turn():
            await self.relay.relay_once()
        await self.relay.relay_once()

    async def gaps(self) -> list[Any]:
        found: list[Any] = await self.heard.events(SOURCE_GAP_FOUND, self.server_id)
        return found

    async def report(self, hour: int = TEN) -> tuple[Any, ...] | None:
        """The hour's row as the front door sees it: listed, ingested, healed, whether counted."""
        found = await rows(
            self.dsn,
            "select listed, ingested, healed, checked_at is not null as done"
            " from report.reconciliation where hour = $1",
            datetime.fromtimestamp(hour, UTC),
        )
        return tuple(found[0]) if found else None


@asynccontextmanager
async def opened(
    monkeypatch: pytest.MonkeyPatch, bootstrap: str, dsn: str, server_id: str
) -> AsyncIterator[Lane]:
    clock, pbx_clock = FixedClock(datetime.fromtimestamp(NOON, UTC)), Clock()
    async with (
        simulated(monkeypatch, clock=pbx_clock) as simulator,
        await open_pool(dsn, service="cdr-ingest") as pool,
        open_publisher(bootstrap, source="cdr-ingest") as publisher,
        ear(bootstrap) as heard,
    ):
        source = FusionPbxSource(server_id, server_of(simulator.url))
        store, health, hold = IngestStore(pool), Health(), Cooldown()
        intake = Ingester(store=store, publisher=publisher)
        shared: dict[str, Any] = {
            "source": source,
            "lane": "*",
            "intake": intake,
            "store": store,
            "clock": clock,
        }
        shared |= {"reach": REACH, "batch_records": 3, "hold": hold}
        poller = Poller(
            **shared,
            pace=PollInterval(5, 15, 60, 60),
            outages=OutageWatch(server_id, "*", store=OutageStore(pool), clock=clock),
            progress=health.loop("poller"),
        )
        reconciler = Reconciler(
            **shared,
            hours=ReconcileStore(pool),
            patience_s=60,
            progress=health.loop("reconciler"),
        )
        relay = OutboxRelay(pool, publisher, schema="cdr_ingest", progress=health.loop("outbox"))
        yield Lane(
            server_id, simulator, pbx_clock, clock, poller, reconciler, intake, relay, heard, dsn
        )
        await source.aclose()


@pytest.fixture
async def lane(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> AsyncIterator[Lane]:
    async with opened(
        monkeypatch, kafka_bootstrap, database, f"gap-{uuid.uuid4().hex[:8]}"
    ) as found:
        await found.poller.poll()
        yield found


async def test_an_hour_without_gaps_is_counted_and_nothing_is_told(lane: Lane) -> None:
    calls = {lane.place(billsec=number) for number in range(7)}
    await lane.poll_for(2 * HOUR_S)
    await lane.count_all()
    assert await lane.report() == (7, 7, 0, True)
    assert await lane.gaps() == []
    assert sorted(await lane.heard.call_ids(lane.server_id)) == sorted(calls)


async def test_a_call_that_was_written_down_too_late_is_told_and_fetched(lane: Lane) -> None:
    """Its row appears five hours after its end, when no poll looks there any more."""
    prompt = [lane.place() for _ in range(4)]
    late = [lane.place(billsec=90, shown_after_s=5 * HOUR_S) for _ in range(5)]
    await lane.poll_for(4 * HOUR_S)
    await lane.count_all()
    assert await lane.report() == (4, 4, 0, True)
    await lane.poll_for(4 * HOUR_S)
    assert set(await lane.heard.call_ids(lane.server_id)) == set(prompt), "polling misses them"
    await lane.count_all()
    (gap,) = await lane.gaps()
    assert (gap.listed, gap.ingested, gap.missing) == (9, 4, 5)
    assert (gap.hour.timestamp(), gap.lane) == (TEN, "*")
    assert sorted(await lane.heard.call_ids(lane.server_id)) == sorted(prompt + late)
    assert await lane.report() == (9, 4, 5, True)


async def test_a_closed_gap_is_not_told_again_a_new_one_is(lane: Lane) -> None:
    lane.place(shown_after_s=5 * HOUR_S)
    lane.place(shown_after_s=20 * HOUR_S)
    await lane.poll_for(9 * HOUR_S)
    await lane.count_all()
    assert len(await lane.gaps()) == 1
    await lane.poll_for(20 * HOUR_S)
    await lane.count_all()
    assert [(gap.listed, gap.ingested) for gap in await lane.gaps()] == [(1, 0), (2, 1)]
    assert await lane.report() == (2, 0, 2, True)


async def test_calls_that_polling_may_still_bring_are_no_gap(lane: Lane) -> None:
    """One just ended, longer than any before: the next sweep will find it."""
    lane.place(start_epoch=TEN, ring_s=0, billsec=2 * HOUR_S - 600)
    await lane.poll_for(2 * HOUR_S - 1800)
    lane.pass_(1200)
    await lane.count_all()
    assert await lane.gaps() == []
    assert await lane.report() in [None, (0, 0, 0, True)]


async def test_while_a_lane_is_behind_its_hours_are_not_counted(lane: Lane) -> None:
    lane.place()
    lane.pass_(9 * HOUR_S)
    await lane.count_all()
    assert await lane.report() is None
    await lane.poller.poll()
    await lane.count_all()
    assert await lane.report() == (1, 1, 0, True)
    assert await lane.gaps() == []


async def test_calls_from_before_our_time_stay_unbilled(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> None:
    """A fresh installation reads one look-back, and reconciliation does not go beyond."""
    server_id = f"gap-{uuid.uuid4().hex[:8]}"
    async with opened(monkeypatch, kafka_bootstrap, database, server_id) as lane:
        old = lane.place(ends_at=TEN - 20 * HOUR_S)
        await lane.poller.poll()
        await lane.poll_for(9 * HOUR_S)
        await lane.count_all()
        assert old not in await lane.heard.call_ids(server_id)
        assert await lane.gaps() == []


async def test_whoever_is_stopped_between_telling_and_fetching_does_both_again(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [lane.place(shown_after_s=3 * HOUR_S) for _ in range(5)]
    await lane.poll_for(6 * HOUR_S)
    take = lane.intake.take
    told: list[int] = []

    async def cut_off(records: Sequence[Any]) -> int:
        if not told and any(record.source_call_id in late for record in records):
            told.append(await outbox(lane))
            raise Retry("killed here")
        return await take(records)

    monkeypatch.setattr(lane.intake, "take", cut_off)
    with pytest.raises(Retry):
        await lane.count_all()
    assert told == [1], "told before it is closed"
    assert present(await lane.report())[3] is False
    await lane.count_all()
    events = await lane.gaps()
    assert len(events) == 2
    assert len({r.event_id for r in lane.heard.heard if "gap-found" in r.topic}) == 1
    assert sorted(await lane.heard.call_ids(lane.server_id)) == sorted(late)
    assert await lane.report() == (5, 0, 5, True)


async def outbox(lane: Lane) -> int:
    return len(await rows(lane.dsn, "select 1 from cdr_ingest.outbox"))


async def test_an_hour_that_can_not_be_listed_is_put_off_and_the_others_go_on(lane: Lane) -> None:
    lane.place()
    await lane.poll_for(3 * HOUR_S)
    lane.simulator.faults.planned = [Fault("status", "/app/xml_cdr", "500")]
    await lane.count_all()
    counted = await rows(lane.dsn, "select count(*) as n from report.reconciliation")
    lane.pass_(700)
    await lane.poller.poll()
    await lane.count_all()
    assert (await rows(lane.dsn, "select count(*) as n from report.reconciliation"))[0]["n"] > (
        counted[0]["n"]
    )
    assert await lane.report() == (1, 1, 0, True)


async def test_a_large_gap_is_closed_in_several_turns(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdr_ingest.reconciliation.reconciler.MAX_FETCHED", 4)
    late = [lane.place(shown_after_s=3 * HOUR_S) for _ in range(10)]
    await lane.poll_for(6 * HOUR_S)
    await lane.count_all()
    assert sorted(await lane.heard.call_ids(lane.server_id)) == sorted(late)
    assert await lane.report() == (10, 0, 10, True)
    assert [gap.missing for gap in await lane.gaps()] == [10, 6, 2]


async def test_rows_that_can_not_be_read_are_parked_and_counted_as_no_call(lane: Lane) -> None:
    lane.place(direction="sideways", shown_after_s=3 * HOUR_S)
    await lane.poll_for(6 * HOUR_S)
    await lane.count_all()
    assert await lane.gaps() == []
    assert await lane.report() == (0, 0, 0, True)
    dead = await rows(lane.dsn, "select 1 from cdr_ingest.record where disposition = 'dead'")
    assert len(dead) == 1
