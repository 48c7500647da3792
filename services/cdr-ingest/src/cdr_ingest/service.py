"""Cdr-ingest's whole way: PBXs in, completed calls out, each once.

FusionPBX ─▶ poll a window ─▶ read rows ─┬─▶ new?   ─▶ call.completed
Vodia     ─▶ page until known            ├─▶ broken ─▶ dead letter with its reason
(one lane per tenant, or all)            └─▶ noted as accepted, cursor moved
          ─▶ list an hour again ─▶ missing? ─▶ source.gap-found, and the same way in
          ─▶ can not be read ─▶ source.failed; read again ─▶ source.recovered (by the outbox)
Les.net   ─▶ fetch a file if it changed ─▶ believe it? ─▶ the same way in, or refused whole
FreeSWITCH ─▶ posts a record ─▶ read it ─▶ the same, in batches ─▶ answered once it is safe
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.lesnet.wiring import open_lesnet
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller, PollInterval, lanes_of
from cdr_ingest.polling.retention import RetentionWatch
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import LookbackSettings
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Receiver, ReceiverLimits
from cdr_ingest.reconciliation.reconciler import Reconciler
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.settings import Settings
from cdr_ingest.sources.source import Source
from cdr_ingest.store import IngestStore
from cdr_ingest.wiring import open_sources
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.health import STALL_S, Health
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.process import require_stores
from ringfence_pbx.servers import FusionPbxServer, Servers, VodiaServer, load_servers

NAME = "cdr-ingest"
_TO_BE_SET = (
    "name servers in RINGFENCE_SERVERS_FILE, each with its tenants (Les.net: links) or with push, "
    "and restart; docs/servers.md"
)
log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Fetch calls until told to stop."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    servers = load_servers(settings.servers_file)
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        open_sources(servers, known=IngestStore(pool).accepted) as sources,
    ):
        require_stores(health, pool, publisher)
        store = IngestStore(pool)
        intake = Ingester(store=store, publisher=publisher)
        outages, hours = OutageStore(pool), ReconcileStore(pool)
        lanes = [
            loop
            for server_id, server in (servers.fusionpbx | servers.vodia).items()
            for lane in lanes_of_server(sources[server_id], server, settings)
            for loop in (
                poller_of(lane, intake, store, outages, health),
                reconciler_of(lane, intake, store, hours, health),
            )
        ]
        relay = OutboxRelay(pool, publisher, schema="cdr_ingest", progress=health.loop("outbox"))
        receivers = list(receivers_of(servers, intake, settings, health))
        if not (lanes or receivers or any(server.links for server in servers.lesnet.values())):
            # No error: where servers are named later, restarting until then would help nobody.
            log.warning("nothing to read from", servers=sorted(servers.servers), do=_TO_BE_SET)
        batch = settings.cdr_ingest_batch_records
        async with open_lesnet(
            servers.lesnet, intake=intake, pool=pool, batch_records=batch, health=health
        ) as lesnet:
            await run_together(stop, *(loop.run for loop in (*lanes, *lesnet, *receivers, relay)))


def receivers_of(
    servers: Servers, intake: Ingester, settings: Settings, health: Health
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
            limits=ReceiverLimits(
                body_bytes=settings.cdr_ingest_push_body_bytes,
                posts=settings.cdr_ingest_push_posts,
                answer_s=settings.cdr_ingest_push_answer_s,
            ),
        )


@dataclass(frozen=True)
class Lane:
    """One lane of a server, and what its loops share."""

    source: Source
    name: str
    server: FusionPbxServer | VodiaServer
    settings: Settings
    reach: LookbackSettings
    hold: Cooldown

    @property
    def polled(self) -> Source:
        """The source as it is polled: a database by when its rows were written."""
        if isinstance(self.source, FusionPbxDatabaseSource):
            return self.source.by_arrival
        return self.source

    @property
    def patience_s(self) -> float:
        """How long one record may take to come: a login and a long list, each at its slowest."""
        return 10 * self.server.timeout_s


def lanes_of_server(
    source: Source, server: FusionPbxServer | VodiaServer, settings: Settings
) -> Iterator[Lane]:
    """The lanes of a server; each fails and recovers on its own."""
    reach = LookbackSettings(
        look_back_s=server.lookback_s,
        sweep_every_s=settings.cdr_ingest_sweep_s,
        lag_s=settings.cdr_ingest_lag_s,
        window_s=_window_s(server, settings),
        by_arrival=isinstance(source, FusionPbxDatabaseSource),
    )
    hold = Cooldown()
    everything = isinstance(server, FusionPbxServer) and server.all_tenants
    for name in lanes_of(server.tenants, everything):
        yield Lane(source, name, server, settings, reach, hold)


def poller_of(
    lane: Lane, intake: Ingester, store: IngestStore, outages: OutageStore, health: Health
) -> Poller:
    """What brings a lane's new calls."""
    server_id, settings, clock = lane.source.server_id, lane.settings, SystemClock()
    return Poller(
        source=lane.polled,
        lane=lane.name,
        intake=intake,
        store=store,
        clock=clock,
        reach=lane.reach,
        pace=PollInterval(
            poll_s=lane.server.poll_s,
            rest_s=rest_s_of(lane.server),
            backoff_max_s=settings.cdr_ingest_backoff_max_s,
            patience_s=lane.patience_s,
        ),
        batch_records=settings.cdr_ingest_batch_records,
        outages=OutageWatch(server_id, lane.name, store=outages, clock=clock),
        hold=lane.hold,
        progress=health.loop(f"{server_id} {lane.name}", stall_s=STALL_S + lane.patience_s),
        retention=retention_of(server_id, lane.server, lane.name),
    )


def reconciler_of(
    lane: Lane, intake: Ingester, store: IngestStore, hours: ReconcileStore, health: Health
) -> Reconciler:
    """What looks for calls that the poller missed."""
    name = f"{lane.source.server_id} {lane.name} reconciliation"
    return Reconciler(
        source=lane.source,
        lane=lane.name,
        intake=intake,
        store=store,
        hours=hours,
        clock=SystemClock(),
        reach=lane.reach,
        patience_s=lane.patience_s,
        batch_records=lane.settings.cdr_ingest_batch_records,
        hold=lane.hold,
        progress=health.loop(name, stall_s=STALL_S + lane.patience_s),
    )


def rest_s_of(server: FusionPbxServer | VodiaServer) -> float:
    """How rarely a lane at rest is asked, in seconds: three times more rarely, unless told."""
    told = server.poll_rest_s if isinstance(server, FusionPbxServer) else None
    return told if told is not None else 3 * server.poll_s


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
