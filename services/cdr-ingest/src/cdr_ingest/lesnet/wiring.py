"""Builds the loops of the Les.net entries: one for each CDR file and each account balance."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdr_ingest.ingest import Ingester
from cdr_ingest.lesnet.balance import BalanceWatch
from cdr_ingest.lesnet.files import LesnetFiles
from cdr_ingest.lesnet.poller import LinkPoller
from cdr_ingest.lesnet.store import LesnetFileStore
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.store import OutageStore
from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool
from ringfence_pbx.lesnet.api import LesnetApi
from ringfence_pbx.servers import LesnetServer


@asynccontextmanager
async def open_lesnet(
    servers: Mapping[str, LesnetServer],
    *,
    ingester: Ingester,
    pool: Pool,
    batch_records: int,
    health: Health,
    clock: Clock | None = None,
) -> AsyncIterator[list[LinkPoller | BalanceWatch]]:
    """The loops of the servers; their connections close with the context.

    Raises BadInput for a profile, a link or a key that cannot be used.
    """
    time = clock or SystemClock()
    store, outages = LesnetFileStore(pool), OutageStore(pool)
    async with AsyncExitStack() as stack:
        loops: list[LinkPoller | BalanceWatch] = []
        for server_id, server in servers.items():
            profile = server.read_profile()
            files = LesnetFiles(server_id, server, profile)
            stack.push_async_callback(files.aclose)
            loops += [
                LinkPoller(
                    files=files,
                    server=server,
                    link=link,
                    profile=profile,
                    ingester=ingester,
                    store=store,
                    outages=OutageWatch(server_id, link.known_as, store=outages, clock=time),
                    clock=time,
                    batch_records=batch_records,
                    progress=health.loop(f"{server_id} {link.known_as}"),
                )
                for link in server.links
            ]
            if server.balance_below is not None:
                api = LesnetApi(server_id, server, clock=time)
                stack.push_async_callback(api.aclose)
                progress = health.loop(f"{server_id} balance")
                limit, every_s = server.balance_below, server.poll_s
                loops.append(BalanceWatch(api, limit=limit, every_s=every_s, progress=progress))
        yield loops
