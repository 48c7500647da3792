"""Opens the sources of the servers file, and builds the feeds of each server and their loops."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.confirms import BelievesAll, Confirms
from cdr_ingest.confirmation.retry_loop import ConfirmationLoop
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.feed import Feed, PollInterval
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller
from cdr_ingest.polling.retention import RetentionWatch
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import Listing, LookbackSettings
from cdr_ingest.reconciliation.reconciler import Reconciler
from cdr_ingest.reconciliation.store import ReconcileStore
from cdr_ingest.settings import Settings
from cdr_ingest.sources.source import ALL_TENANTS, Source
from cdr_ingest.store import IngestStore
from cdr_ingest.vodia.source import FindKnown, VodiaSource
from ringfence.clock import SystemClock
from ringfence.observe.health import STALL_S, Health
from ringfence_pbx.servers import FusionPbxServer, Servers, VodiaServer

PolledServer = FusionPbxServer | VodiaServer

_UNLIMITED_WINDOW_S = 10**9


@asynccontextmanager
async def open_sources(
    servers: Servers, *, find_known: FindKnown
) -> AsyncIterator[Mapping[str, Source]]:
    """The sources that can be polled, by server id; their connections close with the context.

    `find_known` returns which records were accepted before: Vodia's list is paged until a page
    holds no others.
    """
    async with AsyncExitStack() as stack:
        sources: dict[str, Source] = {}
        for server_id, fusionpbx in servers.fusionpbx.items():
            source = fusionpbx_source(server_id, fusionpbx)
            stack.push_async_callback(source.aclose)
            sources[server_id] = source
        for server_id, vodia in servers.vodia.items():
            paged = VodiaSource(server_id, vodia, find_known=find_known)
            stack.push_async_callback(paged.aclose)
            sources[server_id] = paged
        yield sources


def fusionpbx_source(
    server_id: str, server: FusionPbxServer
) -> FusionPbxSource | FusionPbxDatabaseSource:
    """The source that the entry's `way` names: the CSV export or the database."""
    if server.way == "database":
        return FusionPbxDatabaseSource(server_id, server)
    return FusionPbxSource(server_id, server)


def feeds_of(
    source: Source,
    server: PolledServer,
    settings: Settings,
    *,
    ingester: Ingester,
    store: IngestStore,
    unconfirmed: UnconfirmedStore,
) -> Iterator[Feed]:
    """The feeds of a server: one for all tenants, or one for each. They fail independently."""
    polled_source = source.by_arrival if isinstance(source, FusionPbxDatabaseSource) else source
    cooldown = Cooldown()
    for name in _feed_names(server):
        yield Feed(
            name=name,
            source=source,
            polled_source=polled_source,
            ingester=ingester,
            store=store,
            clock=SystemClock(),
            lookback=LookbackSettings(
                look_back_s=server.lookback_s,
                sweep_every_s=settings.cdr_ingest_sweep_s,
                lag_s=settings.cdr_ingest_lag_s,
                window_s=_window_s(server, settings),
                listing=_listing_of(source),
            ),
            interval=PollInterval(
                poll_s=server.poll_s,
                rest_s=_rest_s(server),
                backoff_max_s=settings.cdr_ingest_backoff_max_s,
            ),
            # One record may need a login and a long list before it, each within `timeout_s`.
            record_timeout_s=10 * server.timeout_s,
            batch_records=settings.cdr_ingest_batch_records,
            cooldown=cooldown,
            confirmer=_confirmer_of(source, name, ingester, unconfirmed),
        )


def _confirmer_of(
    source: Source, feed: str, ingester: Ingester, store: UnconfirmedStore
) -> Confirms:
    """FusionPBX's rows are confirmed where necessary; the records of other sources are believed."""
    if isinstance(source, FusionPbxSource | FusionPbxDatabaseSource):
        return RowConfirmer(source, feed, ingester=ingester, store=store, clock=SystemClock())
    return BelievesAll()


def _listing_of(source: Source) -> Listing:
    if isinstance(source, FusionPbxDatabaseSource):
        return Listing.BY_ARRIVAL
    return Listing.BY_LENGTH if isinstance(source, FusionPbxSource) else Listing.BY_START


def _feed_names(server: PolledServer) -> tuple[str, ...]:
    everything = isinstance(server, FusionPbxServer) and server.all_tenants
    return (ALL_TENANTS,) if everything else server.tenants


def _rest_s(server: PolledServer) -> float:
    configured_s = server.poll_rest_s if isinstance(server, FusionPbxServer) else None
    return 3 * server.poll_s if configured_s is None else configured_s


def _window_s(server: PolledServer, settings: Settings) -> int:
    """Vodia's list takes no window: one read of it serves a window of any length."""
    return _UNLIMITED_WINDOW_S if isinstance(server, VodiaServer) else settings.cdr_ingest_window_s


def poller_of(feed: Feed, server: PolledServer, outages: OutageStore, health: Health) -> Poller:
    """The loop that polls a feed."""
    stall_s = STALL_S + feed.record_timeout_s
    return Poller(
        feed,
        outages=OutageWatch(feed.server_id, feed.name, store=outages, clock=feed.clock),
        progress=health.loop(f"{feed.server_id} {feed.name}", stall_s=stall_s),
        retention=_retention_of(feed, server),
    )


def confirmation_of(feed: Feed, store: UnconfirmedStore, health: Health) -> ConfirmationLoop | None:
    """The loop that asks again for rows that wait; None for a source whose records are believed."""
    if not isinstance(feed.confirmer, RowConfirmer):
        return None
    name = f"{feed.server_id} {feed.name} confirmation"
    progress = health.loop(name, stall_s=STALL_S + feed.record_timeout_s)
    return ConfirmationLoop(feed, feed.confirmer, store=store, progress=progress)


def reconciler_of(feed: Feed, hours: ReconcileStore, health: Health) -> Reconciler:
    """The loop that looks for calls that polling missed."""
    name = f"{feed.server_id} {feed.name} reconciliation"
    progress = health.loop(name, stall_s=STALL_S + feed.record_timeout_s)
    return Reconciler(feed, hours=hours, progress=progress)


def _retention_of(feed: Feed, server: PolledServer) -> RetentionWatch | None:
    """Only Vodia deletes calls after a known time; FusionPBX keeps them as its operator sets."""
    if not isinstance(server, VodiaServer):
        return None
    return RetentionWatch(
        feed.server_id,
        feed.name,
        retention_s=server.retention_s,
        margin_s=server.retention_margin_s,
    )
