"""Cdr-ingest's whole way: PBXs in, completed calls out, each once.

FusionPBX ─▶ poll a window ─▶ read rows ─┬─▶ new?   ─▶ call.completed
(one lane per tenant, or all)            ├─▶ broken ─▶ dead letter with its reason
                                         └─▶ noted as accepted, cursor moved
"""

import asyncio
from collections.abc import Iterator

from cdr_ingest.intake import Intake
from cdr_ingest.poller import Poller, lanes_of
from cdr_ingest.settings import Settings
from cdr_ingest.sources import Source, open_sources
from cdr_ingest.store import IngestStore
from cdr_ingest.window import Reach
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.pbx.servers import FusionPbxServer, load_servers
from ringfence.postgres.pool import open_pool
from ringfence.process import run_loops

NAME = "cdr-ingest"


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Fetch calls until told to stop."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.kafka_bootstrap
    servers = load_servers(settings.servers_file)
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        open_sources(servers) as sources,
    ):
        store = IngestStore(pool)
        intake = Intake(store=store, publisher=publisher)
        pollers = [
            poller
            for server_id, server in servers.fusionpbx.items()
            for poller in pollers_of(sources[server_id], server, intake, store, settings, health)
        ]
        await run_loops(stop, *(poller.run for poller in pollers))


def pollers_of(
    source: Source,
    server: FusionPbxServer,
    intake: Intake,
    store: IngestStore,
    settings: Settings,
    health: Health,
) -> Iterator[Poller]:
    """A poller for each lane of a server; each fails and recovers on its own."""
    reach = Reach(
        look_back_s=server.lookback_s,
        sweep_every_s=settings.cdr_ingest_sweep_s,
        lag_s=settings.cdr_ingest_lag_s,
        window_s=settings.cdr_ingest_window_s,
    )
    for lane in lanes_of(server.tenants, server.all_tenants):
        yield Poller(
            source=source,
            lane=lane,
            intake=intake,
            store=store,
            clock=SystemClock(),
            reach=reach,
            poll_s=server.poll_s,
            batch_records=settings.cdr_ingest_batch_records,
            backoff_max_s=settings.cdr_ingest_backoff_max_s,
            progress=health.loop(f"{source.server_id} {lane}"),
        )
