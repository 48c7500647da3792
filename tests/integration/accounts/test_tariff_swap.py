"""Tariff versions change while calls are rated: every charge is by one whole version."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import orjson
import pytest

from rating.service import Rating
from rating.store import RatingStore
from ringfence.clock import SystemClock
from ringfence.postgres.pool import open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.call import CallRated
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Received
from ringfence_contracts.topics import ACCOUNT_CHANGED, CALL_COMPLETED, CALL_RATED, TARIFF_PUBLISHED
from ringfence_testing.records import account, call, from_bytes, read, received
from ringfence_testing.wait import until
from tests.support.accounts import RunningApi, running_api

VERSIONS = 12
PREFIXES = ("1", "1416", "1204", "44")
DIALLED = ("15195550100", "14165550100", "12045550100", "011442075550100")


def card(number: int) -> bytes:
    """A deck in which every row names its version."""
    rows = [f"v{number},{prefix},0.{number:02d}{place},6"
            for place, prefix in enumerate(PREFIXES, 1)]  # fmt: skip
    filler = [f"v{number},{90_000 + n},0.{number:02d}9,6" for n in range(2000)]
    return "\n".join(["Description,Prefix,RateValue,Increment", *rows, *filler]).encode()


class Swapping:
    """Two rating workers and the API on one database."""

    def __init__(self, api: RunningApi, store: RatingStore) -> None:
        self.api = api
        self.workers = [
            Rating(store=store, clock=SystemClock(), retry_unrated_s=0) for _ in range(2)
        ]
        self.rated: list[tuple[CallRated, datetime]] = []
        self.done = False
        self._numbers = count()
        self._published = 0

    async def publish(self, number: int) -> None:
        """Import a version, and deliver its event to one worker."""
        past = {"effective_from": "2026-01-01T00:00:00Z"} if number == 0 else {}
        answer = await self.api.http.post(
            "/v1/tariffs/north/versions", params={"currency": "CAD", **past}, content=card(number)
        )
        assert answer.status_code == 201, answer.text
        rows = await self.api.database.fetch(
            "select * from accounts.outbox where topic = $1 order by id", TARIFF_PUBLISHED.name
        )
        news = [from_bytes(TARIFF_PUBLISHED, r["value"], r["event_id"]) for r in rows]
        for event in news[self._published :]:
            await self.workers[self._published % 2].handle([event])
            self._published += 1

    def rated_by(self, description: str) -> bool:
        """Whether a call was rated by the version with this name in its rows."""
        return any(r.explanation["description"] == description for r, _ in self.rated[-200:])

    async def rate(self, worker: Rating) -> None:
        """Rate calls until the swaps are done, and once more."""
        while True:
            last = self.done
            now = datetime.now(UTC)
            calls = [
                call(next(self._numbers), started_at=now, destination_number=number)
                for number in DIALLED
                for _ in range(5)
            ]
            batch = [received(CALL_COMPLETED, c, c.call_id) for c in calls]
            await self._handle(worker, batch, now)
            if last:
                return

    async def _handle(self, worker: Rating, batch: list[Received], answered: datetime) -> None:
        try:
            outcome = await worker.handle(batch)
        except Retry:
            outcome = await worker.handle(batch)
        assert outcome.reject == []
        rated = [read(event) for event in outcome.publish if event.topic is CALL_RATED]
        assert len(rated) == len(batch)
        for found in rated:
            assert isinstance(found, CallRated)
            self.rated.append((found, answered))


@pytest.fixture
async def swapping(database: str) -> AsyncIterator[Swapping]:
    async with (
        running_api(database) as api,
        await open_pool(database, service="rating", size=6) as pool,
    ):
        bench = Swapping(api, RatingStore(pool))
        await bench.publish(0)
        await bench.workers[0].handle([received(ACCOUNT_CHANGED, account())])
        yield bench


async def test_every_charge_during_swaps_is_by_one_whole_version(
    swapping: Swapping,
) -> None:
    async def swap() -> None:
        try:
            for number in range(1, VERSIONS):
                await swapping.publish(number)
                await until(lambda: swapping.rated_by(f"v{number}"))  # noqa: B023 - awaited here
        finally:
            swapping.done = True

    await asyncio.gather(swap(), *(swapping.rate(worker) for worker in swapping.workers))
    rates = {
        (r["version_id"], r["prefix"]): (r["rate"], r["description"], r["effective_from"])
        for r in await swapping.api.database.fetch(
            "select * from accounts.tariff_rate join accounts.tariff_version using (version_id)"
        )
    }
    used = set()
    for rated, answered in swapping.rated:
        why = rated.explanation
        rate, description, effective_from = rates[why["tariff_version"], why["prefix"]]
        assert (why["rate_per_min"], why["description"]) == (rate, description)
        assert rated.cost_micro == round(float(rate) * 1_000_000)
        assert effective_from <= answered
        used.add(why["tariff_version"])
    assert len(used) == VERSIONS
    assert await drift(swapping.api) == []


async def test_a_future_version_rates_no_call_before_its_instant(swapping: Swapping) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    await swapping.api.http.post(
        "/v1/tariffs/north/versions", params={"effective_from": at.isoformat()}, content=card(7)
    )
    await swapping.publish(8)
    calls = [call(n, started_at=at + timedelta(seconds=s)) for n, s in enumerate((-1, 0, 1))]
    batch = [received(CALL_COMPLETED, c, c.call_id) for c in calls]
    outcome = await swapping.workers[0].handle(batch)
    rated = [read(event) for event in outcome.publish if event.topic is CALL_RATED]
    priced_by = [
        found.explanation["description"] for found in rated if isinstance(found, CallRated)
    ]
    assert priced_by == ["v8", "v7", "v7"]


async def test_after_a_rollback_calls_have_the_former_price(swapping: Swapping) -> None:
    await swapping.publish(1)
    await swapping.api.http.post("/v1/tariffs/north/rollback", json={})
    event = (await swapping.api.published(TARIFF_PUBLISHED.name))[-1]
    id_ = derive(TARIFF_PUBLISHED.name, event["version_id"])
    await swapping.workers[0].handle([published(event, id_)])
    fresh = call(1, started_at=datetime.now(UTC))
    outcome = await swapping.workers[0].handle([received(CALL_COMPLETED, fresh, fresh.call_id)])
    (rated,) = [read(e) for e in outcome.publish if e.topic is CALL_RATED]
    assert isinstance(rated, CallRated)
    assert (rated.explanation["description"], rated.explanation["tariff_version"]) == ("v0", 3)


def published(event: dict[str, object], event_id: UUID) -> Received:
    return from_bytes(TARIFF_PUBLISHED, orjson.dumps(event), event_id)


async def drift(api: RunningApi) -> list[object]:
    """The differences between the ledger and the tables derived from it."""
    return [
        r for i in (1, 3, 4) for r in await api.database.fetch(f"select * from rating.drift_i{i}")
    ]
