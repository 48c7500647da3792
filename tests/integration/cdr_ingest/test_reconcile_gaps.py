"""Calls that a PBX lists and polling missed are published as a gap and fetched."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.feed import Feed, PollInterval
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import LookbackSettings
from cdr_ingest.reconciliation.reconciler import Reconciler
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.sources.source import ALL_TENANTS
from cdr_ingest.store import IngestStore
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.topics import SOURCE_GAP_FOUND
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.clock import FixedClock
from tests.support.cdr_ingest import Ear, ear, rows
from tests.support.fusionpbx import NOON, Clock, outbound, server_of, simulated
from tests.support.narrow import present

HOUR_S = 3600
TEN = int(NOON) - 1200
"""The start of the simulated clock's hour, 10:00."""

LOOKBACK = LookbackSettings(look_back_s=2 * HOUR_S, sweep_every_s=600, lag_s=300, window_s=HOUR_S)


@dataclass
class PolledFeed:
    """The feed of one simulated PBX, polled and counted by the test; all clocks move together."""

    server_id: str
    simulator: FusionPbxSimulator
    pbx_clock: Clock
    clock: FixedClock
    poller: Poller
    reconciler: Reconciler
    feed: Feed
    relay: OutboxRelay
    heard: Ear
    dsn: str

    def advance(self, seconds: int) -> None:
        self.pbx_clock.at += seconds
        self.clock.move(seconds=seconds)

    async def poll_for(self, seconds: int) -> None:
        """Time passes, and the feed is polled every ten minutes."""
        for _ in range(seconds // 600):
            self.advance(600)
            await self.poller.poll()

    def place(self, **changed: Any) -> str:
        return str(self.simulator.pbx.place(outbound(**changed)).columns["xml_cdr_uuid"])

    async def count_all(self) -> None:
        """Count until no hour is due."""
        while await self.reconciler.run_once():
            await self.relay.relay_once()
        await self.relay.relay_once()

    async def gaps(self) -> list[Any]:
        found: list[Any] = await self.heard.events(SOURCE_GAP_FOUND, self.server_id)
        return found

    async def report(self, hour: int = TEN) -> tuple[Any, ...] | None:
        """The hour's row in the view that accounts reads: listed, ingested, healed, is counted."""
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
) -> AsyncIterator[PolledFeed]:
    clock, pbx_clock = FixedClock(datetime.fromtimestamp(NOON, UTC)), Clock()
    async with (
        simulated(monkeypatch, clock=pbx_clock) as simulator,
        await open_pool(dsn, service="cdr-ingest") as pool,
        open_publisher(bootstrap, source="cdr-ingest") as publisher,
        ear(bootstrap) as heard,
    ):
        source = FusionPbxSource(server_id, server_of(simulator.url))
        store, health = IngestStore(pool), Health()
        ingester, waiting = Ingester(store=store, publisher=publisher), UnconfirmedStore(pool)
        feed = Feed(
            name=ALL_TENANTS,
            source=source,
            polled_source=source,
            ingester=ingester,
            store=store,
            clock=clock,
            lookback=LOOKBACK,
            interval=PollInterval(poll_s=5, rest_s=15, backoff_max_s=60),
            record_timeout_s=60,
            batch_records=3,
            cooldown=Cooldown(),
            confirmer=RowConfirmer(
                source, ALL_TENANTS, ingester=ingester, store=waiting, clock=clock
            ),
        )
        outages = OutageWatch(server_id, feed.name, store=OutageStore(pool), clock=clock)
        poller = Poller(feed, outages=outages, progress=health.loop("poller"))
        hours, progress = ReconcileStore(pool), health.loop("reconciler")
        reconciler = Reconciler(feed, hours=hours, progress=progress)
        relay = OutboxRelay(pool, publisher, schema="cdr_ingest", progress=health.loop("outbox"))
        yield PolledFeed(
            server_id, simulator, pbx_clock, clock, poller, reconciler, feed, relay, heard, dsn
        )
        await source.aclose()


@pytest.fixture
async def polled(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> AsyncIterator[PolledFeed]:
    async with opened(
        monkeypatch, kafka_bootstrap, database, f"gap-{uuid.uuid4().hex[:8]}"
    ) as found:
        await found.poller.poll()
        yield found


async def test_an_hour_without_gaps_is_counted_and_publishes_no_event(polled: PolledFeed) -> None:
    calls = {polled.place(billsec=number) for number in range(7)}
    await polled.poll_for(2 * HOUR_S)
    await polled.count_all()
    assert await polled.report() == (7, 7, 0, True)
    assert await polled.gaps() == []
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(calls)


async def test_a_call_stored_too_late_for_polling_is_a_gap_and_is_fetched(
    polled: PolledFeed,
) -> None:
    """Its row appears five hours after its end, when no poll covers that time any more."""
    prompt = [polled.place() for _ in range(4)]
    late = [polled.place(billsec=90, shown_after_s=5 * HOUR_S) for _ in range(5)]
    await polled.poll_for(4 * HOUR_S)
    await polled.count_all()
    assert await polled.report() == (4, 4, 0, True)
    await polled.poll_for(4 * HOUR_S)
    assert set(await polled.heard.call_ids(polled.server_id)) == set(prompt), "polling misses them"
    await polled.count_all()
    (gap,) = await polled.gaps()
    assert (gap.listed, gap.ingested, gap.missing) == (9, 4, 5)
    assert (gap.hour.timestamp(), gap.lane) == (TEN, "*")
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(prompt + late)
    assert await polled.report() == (9, 4, 5, True)


async def test_a_closed_gap_is_published_once_and_a_new_gap_as_well(
    polled: PolledFeed,
) -> None:
    polled.place(shown_after_s=5 * HOUR_S)
    polled.place(shown_after_s=20 * HOUR_S)
    await polled.poll_for(9 * HOUR_S)
    await polled.count_all()
    assert len(await polled.gaps()) == 1
    await polled.poll_for(20 * HOUR_S)
    await polled.count_all()
    assert [(gap.listed, gap.ingested) for gap in await polled.gaps()] == [(1, 0), (2, 1)]
    assert await polled.report() == (2, 0, 2, True)


async def test_calls_that_polling_may_still_bring_are_no_gap(polled: PolledFeed) -> None:
    """A call longer than any before has just ended: the next sweep will find it."""
    polled.place(start_epoch=TEN, ring_s=0, billsec=2 * HOUR_S - 600)
    await polled.poll_for(2 * HOUR_S - 1800)
    polled.advance(1200)
    await polled.count_all()
    assert await polled.gaps() == []
    assert await polled.report() in [None, (0, 0, 0, True)]


async def test_hours_that_polling_has_not_passed_are_not_counted(polled: PolledFeed) -> None:
    polled.place()
    polled.advance(9 * HOUR_S)
    await polled.count_all()
    assert await polled.report() is None
    await polled.poller.poll()
    await polled.count_all()
    assert await polled.report() == (1, 1, 0, True)
    assert await polled.gaps() == []


async def test_calls_before_the_first_window_are_not_ingested(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> None:
    """A new installation reads one look-back; reconciliation does not read further back."""
    server_id = f"gap-{uuid.uuid4().hex[:8]}"
    async with opened(monkeypatch, kafka_bootstrap, database, server_id) as polled:
        old = polled.place(ends_at=TEN - 20 * HOUR_S)
        await polled.poller.poll()
        await polled.poll_for(9 * HOUR_S)
        await polled.count_all()
        assert old not in await polled.heard.call_ids(server_id)
        assert await polled.gaps() == []


async def test_a_kill_between_publishing_and_fetching_a_gap_repeats_both(
    polled: PolledFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [polled.place(shown_after_s=3 * HOUR_S) for _ in range(5)]
    await polled.poll_for(6 * HOUR_S)
    ingest = polled.feed.ingester.ingest
    published: list[int] = []

    async def cut_off(records: Sequence[Any]) -> int:
        if not published and any(record.source_call_id in late for record in records):
            published.append(await outbox(polled))
            raise Retry("killed here")
        return await ingest(records)

    monkeypatch.setattr(polled.feed.ingester, "ingest", cut_off)
    with pytest.raises(Retry):
        await polled.count_all()
    assert published == [1], "the gap is published before it is closed"
    assert present(await polled.report())[3] is False
    await polled.count_all()
    events = await polled.gaps()
    assert len(events) == 2
    assert len({r.event_id for r in polled.heard.heard if "gap-found" in r.topic}) == 1
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(late)
    assert await polled.report() == (5, 0, 5, True)


async def outbox(polled: PolledFeed) -> int:
    return len(await rows(polled.dsn, "select 1 from cdr_ingest.outbox"))


async def test_an_hour_that_cannot_be_listed_does_not_delay_the_others(
    polled: PolledFeed,
) -> None:
    polled.place()
    await polled.poll_for(3 * HOUR_S)
    polled.simulator.faults.planned = [Fault("status", "/app/xml_cdr", "500")]
    await polled.count_all()
    counted = await rows(polled.dsn, "select count(*) as n from report.reconciliation")
    polled.advance(700)
    await polled.poller.poll()
    await polled.count_all()
    assert (await rows(polled.dsn, "select count(*) as n from report.reconciliation"))[0]["n"] > (
        counted[0]["n"]
    )
    assert await polled.report() == (1, 1, 0, True)


async def test_a_large_gap_is_closed_in_several_rounds(
    polled: PolledFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdr_ingest.reconciliation.reconciler.MAX_FETCHED", 4)
    late = [polled.place(shown_after_s=3 * HOUR_S) for _ in range(10)]
    await polled.poll_for(6 * HOUR_S)
    await polled.count_all()
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(late)
    assert await polled.report() == (10, 0, 10, True)
    assert [gap.missing for gap in await polled.gaps()] == [10, 6, 2]


async def test_unreadable_rows_wait_and_are_not_counted(polled: PolledFeed) -> None:
    polled.place(direction="sideways", shown_after_s=3 * HOUR_S)
    await polled.poll_for(6 * HOUR_S)
    await polled.count_all()
    assert await polled.gaps() == []
    assert await polled.report() == (0, 0, 0, True)
    waiting = await rows(polled.dsn, "select reason, billsec from report.unconfirmed_row")
    assert [tuple(row) for row in waiting] == [("unreadable", 60)]
