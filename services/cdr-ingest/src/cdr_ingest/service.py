"""Cdr-ingest's whole way: PBXs in, completed calls out, each once.

FusionPBX ─▶ poll a window ─▶ read rows ─┬─▶ new?   ─▶ call.completed
Vodia     ─▶ page until known            ├─▶ broken ─▶ dead letter with its reason
(one lane per tenant, or all)            └─▶ noted as accepted, cursor moved
FreeSWITCH ─▶ posts a record ─▶ read it ─▶ the same, in batches ─▶ answered once it is safe
"""

import asyncio
from collections.abc import Iterator

from cdr_ingest.intake import Intake
from cdr_ingest.poller import Poller, lanes_of
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Limits, Receiver
from cdr_ingest.retention import RetentionWatch
from cdr_ingest.settings import Settings
from cdr_ingest.sources import Source, open_sources
from cdr_ingest.store import IngestStore
from cdr_ingest.window import Reach
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Health
from ringfence.pbx.servers import FusionPbxServer, Servers, VodiaServer, load_servers
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
        open_sources(servers, known=IngestStore(pool).accepted) as sources,
    ):
        store = IngestStore(pool)
        intake = Intake(store=store, publisher=publisher)
        pollers = [
            poller
            for server_id, server in (servers.fusionpbx | servers.vodia).items()
            for poller in pollers_of(sources[server_id], server, intake, store, settings, health)
        ]
        receivers = receivers_of(servers, intake, settings, health)
        loops = [*(poller.run for poller in pollers), *(receiver.run for receiver in receivers)]
        await run_loops(stop, *loops)


def receivers_of(
    servers: Servers, intake: Intake, settings: Settings, health: Health
) -> Iterator[Receiver]:
    """The receiver of what servers post, if any of them may."""
    if servers.pushing:
        collector = Collector(
            take=intake.take,
            progress=health.loop("posts"),
            batch_records=settings.cdr_ingest_batch_records,
            places=settings.cdr_ingest_push_posts,
        )
        yield Receiver(
            servers=servers.pushing,
            collector=collector,
            host=settings.cdr_ingest_push_host,
            port=settings.cdr_ingest_push_port,
            limits=Limits(
                body_bytes=settings.cdr_ingest_push_body_bytes,
                posts=settings.cdr_ingest_push_posts,
                answer_s=settings.cdr_ingest_push_answer_s,
            ),
        )


def pollers_of(
    source: Source,
    server: FusionPbxServer | VodiaServer,
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
        window_s=_window_s(server, settings),
    )
    everything = isinstance(server, FusionPbxServer) and server.all_tenants
    for lane in lanes_of(server.tenants, everything):
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
            retention=retention_of(source.server_id, server, lane),
        )


def _window_s(server: FusionPbxServer | VodiaServer, settings: Settings) -> int:
    """Vodia's list is read page by page: once, however long a span is asked for."""
    return 10**9 if isinstance(server, VodiaServer) else settings.cdr_ingest_window_s


def retention_of(
    server_id: str, server: FusionPbxServer | VodiaServer, lane: str
) -> RetentionWatch | None:
    """A watch over calls that a server will forget; a FusionPBX keeps them for as long as told."""
    if not isinstance(server, VodiaServer):
        return None
    return RetentionWatch(
        server_id, lane, retention_s=server.retention_s, margin_s=server.retention_margin_s
    )
