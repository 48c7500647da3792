"""The feed of a simulated FusionPBX whose clocks a test moves."""

from collections.abc import AsyncIterator
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
from ringfence_contracts.topics import SOURCE_GAP_FOUND
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.clock import FixedClock
from tests.support.cdr_ingest import Ear, ear, rows
from tests.support.fusionpbx import NOON, Clock, outbound, server_of, simulated


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

    async def poll_for(self, seconds: int, *, every_s: int = 600) -> None:
        """Time passes, and the feed is polled."""
        for _ in range(seconds // every_s):
            self.advance(every_s)
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

    async def report(self, hour: int) -> tuple[Any, ...] | None:
        """The hour's row in the view that accounts reads: listed, ingested, healed, is counted."""
        found = await rows(
            self.dsn,
            "select listed, ingested, healed, checked_at is not null as done"
            " from report.reconciliation where hour = $1",
            datetime.fromtimestamp(hour, UTC),
        )
        return tuple(found[0]) if found else None


@asynccontextmanager
async def polled_feed(
    monkeypatch: pytest.MonkeyPatch,
    bootstrap: str,
    dsn: str,
    server_id: str,
    *,
    lookback: LookbackSettings,
) -> AsyncIterator[PolledFeed]:
    """A feed that was not polled yet; the caller says when time passes."""
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
            lookback=lookback,
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
