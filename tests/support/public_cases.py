"""Calls of tests/cases/sources, from a PBX by its real way to the charge.

What has `variables` is a post to the running receiver; V is a call of a simulated Vodia, all others
are calls of a simulated FusionPBX, and both are polled. What cdr-ingest publishes is rated by the
tariffs that the API imported. No broker is used: a list takes its place.
"""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from cdr_ingest.confirmation.confirmer import RowConfirmer
from cdr_ingest.confirmation.confirms import BelievesAll, Confirms
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.ingest import Ingester
from cdr_ingest.legs.loop import LegLoop
from cdr_ingest.legs.store import LegStore
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.feed import Feed, PollInterval
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.poller import Poller
from cdr_ingest.polling.store import OutageStore
from cdr_ingest.polling.window import Listing, LookbackSettings
from cdr_ingest.receiver.collector import Collector
from cdr_ingest.receiver.listener import Receiver, ReceiverLimits
from cdr_ingest.sources.source import ALL_TENANTS, Source
from cdr_ingest.store import IngestStore
from cdr_ingest.vodia.source import VodiaSource
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.tariff import TariffPublished
from ringfence_contracts.ids import call_id
from ringfence_contracts.money import format_micro
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import TARIFF_PUBLISHED
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import account, received
from ringfence_testing.wait import until
from tests.support import fusionpbx, vodia
from tests.support.accounts import RunningApi, running_api
from tests.support.cdr_ingest import rows
from tests.support.forgery import SECRET, sign
from tests.support.push import PASSWORD, http, post, pushing
from tests.support.rating import Bench

FOLDER = Path(__file__).parents[1] / "cases"
NOW = 1795660800
"""2026-11-26 02:40 UTC; the latest of the posted calls ended some minutes before."""

IMPORTED_AT = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
"""When the decks were imported, and their rates came into force."""

HARBOUR = "harbour.voip.example"
TARIFF = "durations/tariff.csv"
_INBOUND: dict[str, object] = {
    "tariff_id": "hunt",
    "inbound_enabled": True,
    "custom_inbound_rate": "0.0049",
    "custom_inbound_increment": "6/6",
}
_BRITISH: dict[str, object] = {
    "country_code": "44",
    "exit_code": "00",
    "strip_prefix": "0",
    "prepend": "44",
    "nanpa_10_digit": False,
}


@dataclass(frozen=True)
class PublicCase:
    """A call, and what must come of it."""

    id: str
    about: str
    input: str
    answer: str
    words: str
    """Words of the detail, which a call has that waits or is refused."""

    @property
    def raw(self) -> bytes:
        """The file's bytes, which are posted unchanged."""
        return (FOLDER / self.input).read_bytes()

    @cached_property
    def body(self) -> dict[str, Any]:
        """What the file has."""
        return _json_of(self.raw)

    @property
    def is_posted(self) -> bool:
        """Whether it is a record that FreeSWITCH posts."""
        return "variables" in self.body

    @property
    def server_id(self) -> str:
        """The server whose call it is."""
        return "vodia1" if self.id.startswith("V") else "pbx1"

    @property
    def tenant(self) -> str:
        """The tenant whose call it is; those of T have none in their files, but one for a deck."""
        body = self.body
        named = body.get("tenant") or body.get("domain") or f"d{self.id[1:3]}.voip.example"
        return str(body["variables"]["domain_name"] if self.is_posted else named)

    @property
    def expected(self) -> str:
        """What must come of the call, with the client who has it if it is charged or not billed."""
        has_client = self.answer.startswith(("rated", "not billed"))
        return f"{self.client_id} {self.answer}" if has_client else self.answer

    def shortened(self, found: str) -> str:
        """What came of the call, without its detail if that has the words that it must have."""
        answer, _, detail = found.partition(": ")
        return answer if self.words and self.words in detail else found

    @property
    def client_id(self) -> str:
        """The client who pays, if anybody does."""
        return "1006" if self.tenant == HARBOUR else self.tenant.partition(".")[0].lower()


def _json_of(raw: bytes) -> dict[str, Any]:
    """A file or a record, of which single bytes may be no UTF-8."""
    read: dict[str, Any] = json.loads(raw.decode("utf-8", "surrogateescape"))
    return read


@dataclass(frozen=True)
class PublicDeck:
    """A rate deck, and how it must be imported."""

    file: str
    options: dict[str, Any] = field(default_factory=dict)
    doubt: str = ""
    """What an import without the options answers."""

    is_imported_as_it_came: bool = False

    @property
    def tariff_id(self) -> str:
        """The tariff, by the number of the case."""
        return f"d{self.file.split('-')[1]}"

    @property
    def text(self) -> str:
        """The file's content."""
        return (FOLDER / "sources" / self.file).read_text("utf-8")


DECKS = (
    PublicDeck(
        "deck-04-npa-without-1.csv",
        {"put_in_front": "1"},
        doubt="7 of 7 prefixes look like area codes",
        is_imported_as_it_came=True,
    ),
    PublicDeck(
        "deck-08-dated-forbidden.csv",
        {
            "map": [
                "RateValue=Price N",
                "InitialIncrement=Interval 1",
                "NextIncrement=Interval N",
                "EffectiveDate=Effective from",
            ],
            "ignore_columns": ["Country,Rate Id,Price 1"],
        },
        doubt="EffectiveDate=Effective from",
    ),
    PublicDeck(
        "deck-14-kazoo-task.csv",
        {
            "map": [
                "RateValue=rate_cost",
                "InitialIncrement=rate_minimum",
                "NextIncrement=rate_increment",
                "ConnectionFee=rate_surcharge",
            ],
            "ignore_columns": ["iso_country_code,rate_nocharge_time,caller_id_numbers"],
        },
        doubt="depends on: rate_nocharge_time",
    ),
    PublicDeck("deck-24-all-rows-to-come.csv"),
)
REFUSED_DECK = PublicDeck("deck-18-exit-code-prefixes.csv", doubt="no number begins with 0")


def public_cases() -> list[PublicCase]:
    """All cases, in the order in which their calls end."""
    with (FOLDER / "sources" / "cases.csv").open(encoding="utf-8", newline="") as file:
        return [PublicCase(**row) for row in csv.DictReader(file)]


def public_clients() -> list[AccountChanged]:
    """The clients whose calls they are: one for each tenant."""
    free = _INBOUND | {"free_minutes": 100}
    harbour = _INBOUND | {"markup_percent": "120"}
    product: dict[str, object] = {"kind": "vodia", "server_id": "vodia1"}
    clients = [
        _client("h1", "5195550901", _INBOUND),
        _client("h2", "5195550902", free),
        _client("h3", "+44 20 7946 0903", _INBOUND | _BRITISH),
        account(
            "1006",
            tenant=HARBOUR,
            extensions=("300", "301"),
            dids=("5195550177",),
            package=harbour,
            service=product,
        ),
    ]
    decks = [*DECKS, REFUSED_DECK]
    return clients + [_client(d.tariff_id, "", {"tariff_id": d.tariff_id}) for d in decks]


def _client(name: str, did: str, package: dict[str, object]) -> AccountChanged:
    return account(
        name,
        tenant=f"{name}.voip.example",
        extensions=("2112", "2113"),
        dids=(did,) if did else (),
        package=package,
    )


@dataclass
class KeptRecords:
    """What cdr-ingest delivers to Kafka: events, and the reasons of dead letters."""

    events: list[Outgoing] = field(default_factory=list)
    parked: list[tuple[bytes, str]] = field(default_factory=list)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Keep events in their order."""
        self.events += events

    async def park_source_rows(self, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """Keep dead letters."""
        self.parked += [(raw, reason) for _, raw, reason in rows]


@dataclass
class PublicBench:
    """A running receiver, two polled PBXs, and rating behind them."""

    dsn: str
    pool: Pool
    rating: Bench
    kept: KeptRecords
    clock: FixedClock
    ingester: Ingester
    urls: dict[str, str] = field(default_factory=dict)
    calls: dict[str, UUID] = field(default_factory=dict)
    """The id of each case's call."""

    async def end(self, cases: Sequence[PublicCase]) -> None:
        """End the calls by their PBXs, and wait until cdr-ingest has a record of each."""
        async with http() as session, httpx.AsyncClient() as control:
            for case in cases:
                if case.is_posted:
                    url = f"{self.urls['push']}/cdr/pbx1/json"
                    status, _, _ = await post(session, url, case.raw)
                    assert status == (400 if case.answer == "refused" else 200), case.id
                    source_id = case.body["variables"]["uuid"]
                else:
                    url = f"{self.urls[case.server_id]}/_sim/calls"
                    placed = await control.post(url, json=_spec(case))
                    assert placed.status_code == 200, placed.text
                    (source_id,) = placed.json().get("xml_cdr_uuids") or placed.json()["primary"]
                self.calls[case.id] = call_id(case.server_id, source_id)
        await until(partial(self._has_all, len(cases)), timeout_s=20, what="records of all calls")

    async def _has_all(self, number: int) -> bool:
        found = await rows(self.dsn, "select count(*) from cdr_ingest.record")
        return bool(found[0][0] >= number)

    async def look_at_legs(self, *, after: timedelta) -> None:
        """Let time go by, and decide legs as their loop does."""
        self.clock.move(seconds=after.total_seconds())
        publisher = cast(Publisher, self.kept)
        progress = Health().loop("legs")
        await LegLoop(
            LegStore(self.pool), publisher, clock=self.clock, progress=progress
        ).run_once()

    async def rate(self) -> None:
        """Rate what was published, in its order, in one batch after another."""
        calls = [CallCompleted.model_validate_json(event.value) for event in self.kept.events]
        self.kept.events.clear()
        for at in range(0, len(calls), 20):
            await self.rating.rate(*calls[at : at + 20])

    async def answers(self) -> dict[str, str]:
        """What came of each case's call, as `PublicCase.expected` has it, and with its detail."""
        found: dict[UUID, list[str]] = {key: [] for key in self.calls.values()}
        for row in await self.rating.sql(
            "select cause_id, account_id, amount_micro, explanation from rating.ledger"
        ):
            paid = _rated(-row["amount_micro"], row["explanation"])
            found[row["cause_id"]].append(f"{row['account_id']} {paid}")
        for row in await self.rating.sql("select * from rating.not_billed"):
            found[row["call_id"]].append(f"{row['account_id']} not billed {row['reason']}")
        for row in await self.rating.sql("select * from rating.unrated"):
            assert row["detail"], row["reason"]
            found[row["call_id"]].append(f"waits {row['reason']}: {row['detail']}")
        for raw, reason in self.kept.parked:
            key = call_id("pbx1", _json_of(raw)["variables"]["uuid"])
            found[key].append(f"refused: {reason}")
        return {name: ", ".join(found[key]) or "nothing" for name, key in self.calls.items()}


def _rated(cost_micro: int, explanation: str) -> str:
    why = json.loads(explanation)["explanation"]
    free = f", {why['free_s']} s free" if why["free_s"] else ""
    return f"rated {format_micro(cost_micro)} {why['prefix'] or 'inbound'}{free}"


def _spec(case: PublicCase) -> dict[str, Any]:
    """The body for the control of the simulated PBX: what the case leaves out is usual."""
    body = dict(case.body)
    if case.server_id == "vodia1":
        return body
    usual = {
        "domain_name": case.tenant,
        "direction": "outbound",
        "extension": "2112",
        "extension_name": "",
        "caller_id_number": "2112",
        "caller_destination": body["destination_number"],
        "billsec": 120,
    }
    return usual | body


async def _import_decks(api: RunningApi) -> list[TariffPublished]:
    """Import the clients' tariffs as an operator does; what accounts publishes of them."""
    hunt = (FOLDER / TARIFF).read_text("utf-8")
    for tariff, text, options in [
        ("hunt", hunt, {}),
        *((deck.tariff_id, deck.text, deck.options) for deck in DECKS),
    ]:
        answer = await api.http.post(
            f"/v1/tariffs/{tariff}/versions",
            params={"currency": "CAD", **options},
            content=text.encode(),
        )
        assert answer.status_code == 201, answer.text
    published = await api.published(TARIFF_PUBLISHED.name)
    return [TariffPublished.model_validate(each) for each in published]


def _feed(bench: PublicBench, source: Source, name: str) -> Feed:
    is_vodia = isinstance(source, VodiaSource)
    confirmer: Confirms = BelievesAll()
    if isinstance(source, FusionPbxSource):
        confirmer = RowConfirmer(
            source, name, ingester=bench.ingester, store=UnconfirmedStore(bench.pool),
            clock=bench.clock,
        )  # fmt: skip
    return Feed(
        name=name,
        source=source,
        polled_source=source,
        ingester=bench.ingester,
        store=IngestStore(bench.pool),
        clock=bench.clock,
        lookback=LookbackSettings(
            look_back_s=86_400,
            sweep_every_s=600,
            lag_s=300,
            window_s=10**9 if is_vodia else 3600,
            listing=Listing.BY_START if is_vodia else Listing.BY_LENGTH,
        ),
        interval=PollInterval(poll_s=0.1, rest_s=0.1, backoff_max_s=1),
        record_timeout_s=60,
        batch_records=500,
        cooldown=Cooldown(),
        confirmer=confirmer,
    )


@asynccontextmanager
async def _polling(bench: PublicBench, feed: Feed) -> AsyncIterator[None]:
    """Poll a feed until the context ends."""
    outages = OutageWatch(
        feed.server_id, feed.name, store=OutageStore(bench.pool), clock=bench.clock
    )
    poller, stop = Poller(feed, outages=outages, progress=Health().loop("poller")), asyncio.Event()
    task = asyncio.create_task(poller.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def _receiving(bench: PublicBench) -> AsyncIterator[str]:
    collector = Collector(
        ingest=bench.ingester.ingest,
        progress=Health().loop("posts"),
        batch_records=500,
        capacity=500,
        ingest_timeout_s=20,
    )
    receiver = Receiver(
        servers={"pbx1": pushing()},
        collector=collector,
        host="127.0.0.1",
        port=0,
        limits=ReceiverLimits(body_bytes=100_000, posts=500, answer_s=20.0),
    )
    async with receiver.serving() as url:
        yield url


@asynccontextmanager
async def open_public_bench(dsn: str, patch: pytest.MonkeyPatch) -> AsyncIterator[PublicBench]:
    """Tariffs are imported, clients known, and both PBXs polled."""
    patch.setenv("TEST_PUSH_PASSWORD", PASSWORD)
    patch.setenv("TEST_EXPORT_SECRET", SECRET)
    now = datetime.fromtimestamp(NOW, UTC)
    async with running_api(dsn, clock=FixedClock(IMPORTED_AT)) as api:
        tariffs = await _import_decks(api)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        rating_pool = await enter(await open_pool(dsn, service="rating", size=6))
        pool = await enter(await open_pool(dsn, service="cdr-ingest"))
        rating, clock, kept = Bench(dsn, rating_pool), FixedClock(now), KeptRecords()
        rating.clock.move(seconds=(now - rating.clock.now()).total_seconds())
        await rating.worker.handle([received(TARIFF_PUBLISHED, each) for each in tariffs])
        await rating.save_accounts(*public_clients())
        ingester = Ingester(store=IngestStore(pool), publisher=cast(Publisher, kept), clock=clock)
        bench = PublicBench(dsn, pool, rating, kept, clock, ingester)
        listed = await enter(fusionpbx.simulated(patch, clock=lambda: NOW))
        sign(listed)
        other = await enter(vodia.simulated(patch, clock=lambda: NOW))
        other.pbx.add({"extensions": [{"number": "300", "domain": HARBOUR, "trunk": "10"}]})
        exported = FusionPbxSource(
            "pbx1",
            fusionpbx.server_of(listed.url, export_secret={"env": "TEST_EXPORT_SECRET"}),
        )
        stack.push_async_callback(exported.aclose)
        paged = VodiaSource(
            "vodia1",
            vodia.server_of(other.url, tenants=(HARBOUR,)),
            find_known=ingester.known_ids,
        )
        stack.push_async_callback(paged.aclose)
        bench.urls = {
            "pbx1": listed.url, "vodia1": other.url, "push": await enter(_receiving(bench)),
        }  # fmt: skip
        await enter(_polling(bench, _feed(bench, exported, ALL_TENANTS)))
        await enter(_polling(bench, _feed(bench, paged, HARBOUR)))
        yield bench
