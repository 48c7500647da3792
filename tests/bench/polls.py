"""What a poll of a FusionPBX costs by each way of reading it: requests, bytes and time."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from bed import Bed
from figures import Figures

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.feed import Feed, PollInterval
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import Listing, LookbackSettings
from cdr_ingest.receiver.formats import READERS, Posted
from cdr_ingest.sources.source import ALL_TENANTS
from cdr_ingest.store import IngestStore
from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.fusionpbx.exports.signing import export_settings
from ringfence_pbx.servers import FusionPbxServer
from ringfence_simulators.freeswitch.channel import channel_of
from ringfence_simulators.freeswitch.document import json_document
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator, serve
from ringfence_simulators.fusionpbx.calls import FusionPbxCallSpec, SimulatedFusionPbxCall
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import User
from ringfence_testing.clock import FixedClock
from tests.support.fusionpbx_database import CallsDatabase, calls_database

_KEY = "k" * 40
_SECRET = "s" * 40
_DOMAIN = "bench.example.com"
_LATENCY_S = 0.03
_WAYS = ("confirmed", "signed", "database", "push")
_CALL: FusionPbxCallSpec = {
    "domain_name": _DOMAIN, "direction": "outbound", "extension": "2112", "billsec": 60,
    "caller_destination": "14165550100", "destination_number": "14165550100",
}  # fmt: skip
_POLL_S, _AVERAGE_CALL_S, _LONG_CALL_S = 5, 180, 12_600


@dataclass
class _Measured:
    pbx: FusionPbxSimulator
    poller: Poller
    ingester: Ingester
    calls: list[SimulatedFusionPbxCall]

    @property
    def requests(self) -> int:
        return self.pbx.requests()

    @property
    def bytes(self) -> int:
        return self.pbx.site.exports.bytes_sent


async def polls(bed: Bed, figures: Figures, *, rows: int = 1_000) -> None:
    """A poll of so many new rows, and the next one, which knows them."""
    os.environ["RINGFENCE_BENCH_KEY"], os.environ["RINGFENCE_BENCH_SECRET"] = _KEY, _SECRET
    async with await open_pool(bed.stack.dsn, service="cdr-ingest") as pool:
        for way in _WAYS:
            await _measure(bed, figures, pool, way, rows)
        await _after_a_long_call(bed, figures, pool)
    await bed.drain()


async def _measure(bed: Bed, figures: Figures, pool: Pool, way: str, rows: int) -> None:
    where = f"{rows:,} rows, {way}, PBX {_LATENCY_S * 1000:.0f} ms a request, 4 at once"
    bed.console.print(f"Polling {where}…")
    async with _polled(bed, pool, way, rows) as measured:
        if way == "push":
            posted = await _post(measured, bed)
            figures.add("posted records", rows, "requests", where)
            figures.add("posted records, bytes", posted, "bytes", where)
        for what in ("a poll of new rows", "the next poll"):
            requests, sent, began = measured.requests, measured.bytes, time.monotonic()
            new = await measured.poller.poll()
            took_s = time.monotonic() - began
            assert new == (rows if what == "a poll of new rows" and way != "push" else 0), new
            figures.add(f"{what}: requests", measured.requests - requests, "requests", where)
            figures.add(f"{what}: bytes of exports", measured.bytes - sent, "bytes", where)
            figures.add(f"{what}: took", took_s, "s", where)


async def _after_a_long_call(
    bed: Bed, figures: Figures, pool: Pool, *, calls: int = 20_000, polls: int = 240
) -> None:
    """What a poll reads of a PBX with so many calls a day, after one call of 3.5 hours ended."""
    where = f"{calls:,} calls a day, after one of 3.5 h, signed, polled each {_POLL_S} s"
    bed.console.print(f"Polling {where}…")
    began, random = time.time(), Random(1)
    clock = FixedClock(datetime.fromtimestamp(began, UTC))
    pbx = SimulatedFusionPbx(now=lambda: clock.now().timestamp())
    pbx.add_user(User("super", _DOMAIN, _KEY, group="superadmin"))
    for setting in export_settings(_SECRET):
        pbx.default_settings.append({**setting._asdict(), "enabled": "true"})
    for n in range(calls + calls * polls * _POLL_S // 86_400):
        talked_s = 1 + int(random.expovariate(1 / _AVERAGE_CALL_S))
        ends_at = int(began) - 86_400 + n * 86_400 // calls
        pbx.place({**_CALL, "ends_at": ends_at, "billsec": talked_s})
    pbx.place({**_CALL, "ends_at": int(began) - 10, "billsec": _LONG_CALL_S})
    async with serve(pbx) as simulator:
        ingester = Ingester(store=IngestStore(pool), publisher=bed.publisher)
        server = _server(simulator.url, "signed")
        poller = _poller("bench-long-call", server, ingester, pool, clock)
        exports, new, requests, sent = simulator.site.exports, 0, [], []
        for poll in range(polls + 1):
            at = simulator.requests(), exports.bytes_sent
            new += await poller.poll()
            if poll:
                requests.append(simulator.requests() - at[0])
                sent.append(exports.bytes_sent - at[1])
            clock.move(seconds=_POLL_S)
        assert new >= calls, new
    figures.add("a poll: requests, on average", sum(requests) / polls, "requests", where)
    figures.add("a poll: bytes of exports, on average", sum(sent) / polls, "bytes", where)
    figures.add("a poll: bytes of exports, at most", max(sent), "bytes", where)


async def _post(measured: _Measured, bed: Bed) -> int:
    """What FreeSWITCH would post of these calls; its bytes."""
    server, total, records = _server("http://127.0.0.1:1", "confirmed"), 0, []
    for call in measured.calls:
        body = json_document(channel_of(call, _DOMAIN)).encode()
        total += len(body)
        posted = Posted("bench-push", server, "application/json", {}, body)
        record = READERS["fusionpbx", "json"](posted)
        assert isinstance(record, CallCompleted)
        records.append(record)
    await measured.ingester.ingest(records)
    return total


def _server(url: str, way: str) -> FusionPbxServer:
    secret = {"export_secret": {"env": "RINGFENCE_BENCH_SECRET"}} if way == "signed" else {}
    read = {"way": "database", "dsn": {"env": "RINGFENCE_BENCH_DSN"}} if way == "database" else {}
    return FusionPbxServer.model_validate(
        {
            "kind": "fusionpbx", "url": url, "host": _DOMAIN, "all_tenants": True,
            "api_key": {"env": "RINGFENCE_BENCH_KEY"}, **secret, **read,
        }
    )  # fmt: skip


@asynccontextmanager
async def _polled(bed: Bed, pool: Pool, way: str, rows: int) -> AsyncIterator[_Measured]:
    pbx = SimulatedFusionPbx()
    pbx.add_user(User("super", _DOMAIN, _KEY, group="superadmin"))
    pbx.switch.latency_s = _LATENCY_S
    for setting in export_settings(_SECRET) if way == "signed" else ():
        pbx.default_settings.append({**setting._asdict(), "enabled": "true"})
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(serve(pbx))
        if way == "database":
            database = await stack.enter_async_context(calls_database(bed.stack.dsn))
            os.environ["RINGFENCE_BENCH_DSN"] = database.dsn
        server = _server(simulator.url, way)
        ingester = Ingester(store=IngestStore(pool), publisher=bed.publisher)
        poller = _poller(f"bench-{way}", server, ingester, pool, SystemClock())
        await poller.poll()
        now = int(time.time())
        calls = [pbx.place({**_CALL, "ends_at": now - 5 - n % 300}) for n in range(rows)]
        if way == "database":
            await _fill(database, calls)
        yield _Measured(simulator, poller, ingester, calls)


async def _fill(database: CallsDatabase, calls: list[SimulatedFusionPbxCall]) -> None:
    for call in calls:
        await database.put({**call.columns}, datetime.now(UTC))


def _poller(
    server_id: str, server: FusionPbxServer, ingester: Ingester, pool: Pool, clock: Clock
) -> Poller:
    by_database = server.way == "database"
    source = (FusionPbxDatabaseSource if by_database else FusionPbxSource)(server_id, server)
    store = IngestStore(pool)
    polled = source.by_arrival if isinstance(source, FusionPbxDatabaseSource) else source
    feed = Feed(
        name=ALL_TENANTS,
        source=source,
        polled_source=polled,
        ingester=ingester,
        store=store,
        clock=clock,
        lookback=LookbackSettings(
            86_400, 600, 300, 3600, Listing.BY_ARRIVAL if by_database else Listing.BY_LENGTH
        ),
        interval=PollInterval(poll_s=5, rest_s=15, backoff_max_s=60),
        record_timeout_s=300,
        batch_records=500,
        cooldown=Cooldown(),
        confirmer=RowConfirmer(
            source, ALL_TENANTS, ingester=ingester, store=UnconfirmedStore(pool), clock=clock
        ),
    )
    outages = OutageWatch(server_id, ALL_TENANTS, store=OutageStore(pool), clock=clock)
    return Poller(feed, outages=outages, progress=Progress("bench"))
