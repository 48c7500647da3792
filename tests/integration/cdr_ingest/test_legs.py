"""Legs that left by a carrier: read, decided and charged, each once, in any order."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import pytest

from cdr_ingest.ingest import Ingester
from cdr_ingest.legs.loop import LegLoop
from cdr_ingest.legs.store import LegStore
from cdr_ingest.sources.source import SourceRecord
from cdr_ingest.store import IngestStore
from ringfence.kafka.publisher import Publisher
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_contracts.records import Outgoing
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import account
from tests.support.legs import DOORS, NAMES, Door, LegCase, leg_case
from tests.support.rating import Bench, open_bench


@dataclass
class Topic:
    """Keeps what is published, in its order."""

    events: list[Outgoing] = field(default_factory=list)

    async def publish(self, events: Sequence[Outgoing]) -> None:
        self.events += events

    async def park_source_rows(self, rows: object) -> None:
        assert not list(cast(Sequence[object], rows)), "no record of these sets is unreadable"


@dataclass
class LegBench:
    """cdr-ingest's way of a record and rating's, on one database."""

    pool: Pool
    rating: Bench
    topic: Topic
    clock: FixedClock

    def ingester(self) -> Ingester:
        """As after a start: it remembers nothing."""
        return Ingester(
            store=IngestStore(self.pool), publisher=cast(Publisher, self.topic), clock=self.clock
        )

    async def look(self) -> None:
        """One turn of the loop that decides legs."""
        loop = LegLoop(
            LegStore(self.pool),
            cast(Publisher, self.topic),
            clock=self.clock,
            progress=Health().loop("legs"),
        )
        await loop.run_once()

    async def later(self, seconds: float) -> None:
        """Let time go by, and look."""
        self.clock.move(seconds=seconds)
        await self.look()

    async def rate(self) -> None:
        """Rate what was published since the last time, in its order."""
        calls = [CallCompleted.model_validate_json(event.value) for event in self.topic.events]
        self.topic.events.clear()
        for call in calls:
            await self.rating.rate(call)

    async def charged(self, case: LegCase) -> dict[str, tuple[str, int]]:
        """The charges of a case's calls: account and amount by call id."""
        ids = [call_id("pbx1", call.columns["xml_cdr_uuid"]) for call in case.calls]
        rows = await self.rating.sql(
            "select cause_id, account_id, amount_micro from rating.ledger"
            " where kind = 'charge' and cause_id = any($1)",
            ids,
        )
        assert len(rows) == len({row["cause_id"] for row in rows})
        return {str(r["cause_id"]): (r["account_id"], -r["amount_micro"]) for r in rows}

    async def waiting(self) -> list[str]:
        """The reasons of what is in the unrated queue."""
        return [row["reason"] for row in await self.rating.sql("select reason from rating.unrated")]


@asynccontextmanager
async def open_leg_bench(database: str) -> AsyncIterator[LegBench]:
    package: dict[str, object] = {
        "inbound_enabled": True,
        "custom_inbound_rate": "0.005",
        "custom_inbound_increment": "60/60",
    }
    async with open_bench(database) as rating, await open_pool(database, service="cdr-ingest") as p:
        await rating.save_accounts(
            account(version=2, dids=("15192229000",), package=package),
            account("1002", extensions=("2113",), dids=("15195550902",), package=package),
        )
        yield LegBench(p, rating, Topic(), FixedClock(rating.clock.now()))


@pytest.fixture
async def bench(database: str) -> AsyncIterator[LegBench]:
    async with open_leg_bench(database) as bench:
        yield bench


@pytest.mark.parametrize("name", NAMES)
async def test_each_form_is_charged_once_by_every_door_in_both_orders(
    name: str, bench: LegBench
) -> None:
    for door in DOORS:
        for turned in (False, True):
            case = leg_case(name, f"{name} {door} {turned}")
            records = case.records(door)
            for record in reversed(records) if turned else records:
                await bench.ingester().ingest([record])
                await bench.look()
            await bench.later(2)
            await bench.rate()
            assert await bench.charged(case) == case.charged, (door, turned)
    assert await bench.waiting() == []
    assert await bench.rating.sql("select * from rating.drift_i4_legs") == []


async def test_a_leg_waits_in_the_queue_and_is_charged_when_its_call_comes(bench: LegBench) -> None:
    case = leg_case("forward", "waits")
    call, leg = case.records("json")
    await bench.ingester().ingest([leg])
    await bench.later(5)
    await bench.rate()
    assert await bench.waiting() == []
    await bench.later(10)
    await bench.rate()
    assert await bench.waiting() == ["waits-for-leg"]
    await bench.later(15 * 60)
    await bench.rate()
    assert await bench.waiting() == ["leg-without-call"]
    assert await bench.charged(case) == {}
    await bench.ingester().ingest([call])
    await bench.later(61)
    await bench.rate()
    assert await bench.waiting() == []
    assert await bench.charged(case) == case.charged


async def test_a_leg_of_a_transferred_leg_waits_for_the_call_at_the_beginning(
    bench: LegBench,
) -> None:
    """The leg between them does not say who caused it: without the call nobody could be charged."""
    case = leg_case("blind_transfer", "chain")
    for record in reversed(case.records("json")):
        await bench.ingester().ingest([record])
        await bench.later(5)
    await bench.later(5)
    await bench.rate()
    assert await bench.waiting() == []
    assert await bench.charged(case) == case.charged


async def test_a_leg_that_was_queued_and_then_paid_for_by_its_call_costs_nothing(
    bench: LegBench,
) -> None:
    case = leg_case("normal_outbound", "queued")
    call, leg = case.records("export")
    await bench.ingester().ingest([leg])
    await bench.later(11)
    await bench.rate()
    await bench.ingester().ingest([call])
    await bench.later(4)
    await bench.rate()
    assert await bench.waiting() == []
    assert await bench.charged(case) == case.charged
    (row,) = await bench.rating.sql("select reason from rating.not_billed")
    assert row["reason"] == "part-of-call"


async def test_a_leg_that_names_no_call_is_queued_at_once(bench: LegBench) -> None:
    case = leg_case("forward", "unnamed")
    leg = case.calls[1]
    leg.columns["originating_leg_uuid"] = ""
    (_, record) = case.records("export")
    await bench.ingester().ingest([record])
    await bench.rate()
    assert await bench.waiting() == ["leg-without-call"]


async def test_legs_of_normal_calls_leave_nothing_but_their_record(bench: LegBench) -> None:
    case = leg_case("normal_outbound", "cheap")
    call, leg = case.records("json")
    await bench.ingester().ingest([call])
    await bench.ingester().ingest([leg])
    assert [event.event_id for event in bench.topic.events] == [
        call_id("pbx1", case.calls[0].columns["xml_cdr_uuid"])
    ]
    assert await bench.rating.sql("select * from cdr_ingest.leg") == []


async def test_any_order_with_repeats_and_kills_charges_the_same_sum(bench: LegBench) -> None:
    for seed in range(40):
        chosen = random.Random(seed)
        name, door = chosen.choice(NAMES), chosen.choice(("json", "xml", "database"))
        case = leg_case(name, f"order {seed}")
        records = case.records(cast(Door, door)) * chosen.randint(1, 3)
        chosen.shuffle(records)
        for record in records:
            await _ingest_and_perhaps_be_killed(bench, record, chosen)
            if chosen.random() < 0.3:
                await bench.later(chosen.choice((1, 11)))
        await bench.later(70)
        await bench.later(70)
        events = bench.topic.events
        bench.topic.events = events + chosen.sample(events, len(events) // 2)
        await bench.rate()
        assert await bench.charged(case) == case.charged, (seed, name, door)
    assert await bench.waiting() == []
    assert await bench.rating.sql("select * from rating.drift_i4_legs") == []


async def _ingest_and_perhaps_be_killed(
    bench: LegBench, record: SourceRecord, chosen: random.Random
) -> None:
    """Ingest; in a third of the cases the process ends after it has published."""
    if chosen.random() < 0.3:
        killed = Ingester(
            store=Killed(bench.pool),
            publisher=cast(Publisher, bench.topic),
            clock=bench.clock,
        )
        with suppress(ConnectionError):  # a known record needs no store
            await killed.ingest([record])
    await bench.ingester().ingest([record])


class Killed(IngestStore):
    """A store that does not live to save."""

    async def save_records(self, *_: object, **__: object) -> None:
        raise ConnectionError("killed")


async def test_more_than_one_live_charge_of_a_leg_is_found(bench: LegBench) -> None:
    case = leg_case("normal_outbound", "twice")
    call, leg = case.records("json")
    await bench.ingester().ingest([leg])
    await bench.later(11)
    await bench.ingester().ingest([call])
    await bench.rate()
    forged = cast(CallCompleted, call).model_copy(
        update={"call_id": call_id("pbx1", case.calls[1].columns["xml_cdr_uuid"])}
    )
    await bench.rating.sql("delete from rating.unrated")
    await bench.rating.rate(forged)
    await bench.later(4)
    (found,) = await bench.rating.sql("select * from rating.drift_i4_legs")
    assert found["call_id"] == forged.call_id
