"""The cdr-ingest service: reads ended calls from PBXs and publishes each of them once.

FusionPBX  ─▶ poll a window of calls ─▶ read rows ─┬─▶ new call   ─▶ call.completed
Vodia      ─▶ page the list until all is known     ├─▶ unreadable ─▶ dead-letter topic
(one feed for each tenant, or one for all)         ├─▶ a FusionPBX's row that it does not confirm
                                                   │   ─▶ call.unconfirmed (by the outbox)
                                                   ├─▶ a leg that left by a carrier waits for
                                                   │   its call ─▶ call.completed, if it is charged
                                                   └─▶ saved as accepted; the cursor moves
           ─▶ list an hour again ─▶ a call is missing ─▶ source.gap-found; it is ingested
           ─▶ polls fail ─▶ source.failed; they succeed again ─▶ source.recovered (by the outbox)
Les.net    ─▶ fetch a CDR file if it changed ─▶ its format fits ─▶ ingested; else refused whole
FreeSWITCH ─▶ posts a record ─▶ ingested in batches ─▶ answered once it is safe
operator.requested ─▶ an examination, stored as a job ─▶ made ─▶ its results, in report.job
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import structlog

from cdr_ingest.anti_entropy.pruning import CallPruning
from cdr_ingest.anti_entropy.store import PublishedCallStore, owner
from cdr_ingest.confirmation.retry_loop import ConfirmationLoop
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.examination.wiring import open_examinations
from cdr_ingest.ingest import Ingester
from cdr_ingest.legs.loop import LegLoop
from cdr_ingest.legs.store import LegStore
from cdr_ingest.lesnet.wiring import open_lesnet
from cdr_ingest.polling.poller import Poller
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Receiver, ReceiverLimits
from cdr_ingest.reconciliation.reconciler import Reconciler
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.settings import Settings
from cdr_ingest.sources.source import Source
from cdr_ingest.store import PRUNED, IngestStore
from cdr_ingest.wiring import (
    PolledServer,
    confirmation_of,
    feeds_of,
    open_sources,
    poller_of,
    reconciler_of,
)
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import SystemClock
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.health import Health
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import Pool, open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores
from ringfence_pbx.servers import Servers, load_servers

NAME = "cdr-ingest"
_TO_BE_SET = (
    "name servers in RINGFENCE_SERVERS_FILE, each with its tenants (Les.net: links) or with push, "
    "and restart; docs/servers.md"
)
log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Run all loops until `stop` is set."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    servers = load_servers(settings.servers_file)
    if not await wait_for_dependencies(NAME, settings, health.readiness, stop):
        return
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        open_sources(servers, find_known=IngestStore(pool).accepted_ids) as sources,
    ):
        require_stores(health, pool, publisher)
        ingester = Ingester(store=IngestStore(pool), publisher=publisher)
        polled: dict[str, PolledServer] = servers.fusionpbx | servers.vodia
        feed_loops = [
            loop
            for server_id, server in polled.items()
            for loop in feed_loops_of(sources[server_id], server, settings, ingester, pool, health)
        ]
        relay = OutboxRelay(pool, publisher, schema="cdr_ingest", progress=health.loop("outbox"))
        receivers = list(receivers_of(servers, ingester, settings, health))
        has_links = any(server.links for server in servers.lesnet.values())
        if not (feed_loops or receivers or has_links):
            # Not an error: a restart would not help until somebody edits the servers file.
            log.warning("nothing to read from", servers=sorted(servers.servers), do=_TO_BE_SET)
        batch = settings.cdr_ingest_batch_records
        async with (
            open_lesnet(
                servers.lesnet, ingester=ingester, pool=pool, batch_records=batch, health=health
            ) as lesnet,
            open_examinations(settings, servers, publisher, health) as examinations,
        ):
            kept = timedelta(hours=settings.cdr_ingest_keep_calls_h)
            again = anti_entropy_of(owner(kept), settings, pool, publisher, health)
            pruning = CallPruning(
                PublishedCallStore(pool),
                kept=kept,
                clock=SystemClock(),
                progress=health.loop("pruning"),
            )
            past = pruning_of(
                "cdr_ingest", PRUNED, pool, settings.kept_days, health.loop("pruning-past")
            )
            legs = LegLoop(
                LegStore(pool), publisher, clock=SystemClock(), progress=health.loop("legs")
            )
            loops = (legs, *feed_loops, *lesnet, *receivers, relay, again, pruning, past)
            await run_together(stop, *(loop.run for loop in loops), *examinations)


def feed_loops_of(
    source: Source,
    server: PolledServer,
    settings: Settings,
    ingester: Ingester,
    pool: Pool,
    health: Health,
) -> Iterator[Poller | Reconciler | ConfirmationLoop]:
    """The loops of each feed of a server: polling, reconciliation, confirmation of its rows."""
    outages, hours, unconfirmed = OutageStore(pool), ReconcileStore(pool), UnconfirmedStore(pool)
    feeds = feeds_of(
        source,
        server,
        settings,
        ingester=ingester,
        store=IngestStore(pool),
        unconfirmed=unconfirmed,
    )
    for feed in feeds:
        yield poller_of(feed, server, outages, health)
        yield reconciler_of(feed, hours, health)
        if (confirmation := confirmation_of(feed, unconfirmed, health)) is not None:
            yield confirmation


def receivers_of(
    servers: Servers, ingester: Ingester, settings: Settings, health: Health
) -> Iterator[Receiver]:
    """The receiver of posted records, if any server may post."""
    if servers.pushing:
        collector = Collector(
            ingest=ingester.ingest,
            progress=health.loop("posts"),
            batch_records=settings.cdr_ingest_batch_records,
            capacity=settings.cdr_ingest_push_posts,
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
