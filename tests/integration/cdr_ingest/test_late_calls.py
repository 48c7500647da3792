"""Calls of many hours are found by polling, and later polls read no more than before them."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.polling.window import Listing, LookbackSettings, plan_windows
from tests.support.fusionpbx import NOON, outbound
from tests.support.fusionpbx_database import CallsDatabase, calls_database
from tests.support.narrow import present
from tests.support.polled_feed import PolledFeed, polled_feed

HOUR_S = 3600
LOOKBACK = LookbackSettings(look_back_s=24 * HOUR_S, sweep_every_s=600, lag_s=300, window_s=HOUR_S)


@pytest.fixture
async def polled(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> AsyncIterator[PolledFeed]:
    server_id = f"late-{uuid.uuid4().hex[:8]}"
    async with polled_feed(
        monkeypatch, kafka_bootstrap, database, server_id, lookback=LOOKBACK
    ) as found:
        yield found


@pytest.mark.parametrize("hours", [3.5, 5, 9, 12, 25, 40])
async def test_a_call_of_many_hours_is_found_within_ten_minutes_of_its_end(
    polled: PolledFeed, hours: float
) -> None:
    """Also one that began before the first window. Where calls are posted and this post was lost,
    the same polls find it."""
    talked_s, ends_at = int(hours * HOUR_S), int(NOON) + HOUR_S
    await polled.poller.poll()
    call = polled.place(ends_at=ends_at, billsec=talked_s, ring_s=20, shown_after_s=3)
    await polled.poll_for(HOUR_S, every_s=120)
    assert await polled.heard.call_ids(polled.server_id) == []
    await polled.poll_for(720, every_s=120)
    assert await polled.heard.call_ids(polled.server_id) == [call]


async def test_after_a_long_call_a_poll_lists_only_the_last_quarter_of_an_hour(
    polled: PolledFeed,
) -> None:
    """And, at times, the other long calls."""
    await polled.poller.poll()
    for n in range(200):
        polled.place(ends_at=int(NOON) - 60 * n, billsec=60)
    long_call = polled.place(ends_at=int(NOON) + 3, billsec=int(3.5 * HOUR_S))
    await polled.poll_for(1200, every_s=60)
    assert long_call in await polled.heard.call_ids(polled.server_id)
    polled.place(ends_at=int(NOON) + 1200)
    await polled.poll_for(5, every_s=5)
    exports, polls = polled.simulator.site.exports, 60
    requests, sent = polled.simulator.requests(), exports.rows_sent
    await polled.poll_for(5 * polls, every_s=5)
    assert exports.rows_sent - sent <= polls + 5
    assert polled.simulator.requests() - requests < 2 * polls


@pytest.fixture
async def database_of_pbx(postgres_server: str) -> AsyncIterator[CallsDatabase]:
    async with calls_database(postgres_server) as found:
        yield found


@pytest.mark.parametrize("hours", [12, 25, 100])
async def test_the_database_lists_a_long_call_in_the_poll_after_it_was_stored(
    database_of_pbx: CallsDatabase, monkeypatch: pytest.MonkeyPatch, polled: PolledFeed, hours: int
) -> None:
    """Whatever its length: the windows are of the time when rows were stored."""
    call = polled.simulator.pbx.place(
        outbound(ends_at=int(NOON) + 60, billsec=hours * HOUR_S)
    ).columns
    await database_of_pbx.put({**call}, datetime.fromtimestamp(NOON + 61, UTC))
    lookback = LookbackSettings(24 * HOUR_S, 600, 300, HOUR_S, Listing.BY_ARRIVAL)
    source = FusionPbxDatabaseSource("pbx-1", database_of_pbx.server(monkeypatch))
    await polled.poller.poll()
    cursor = present(await polled.feed.store.cursor(polled.server_id, polled.feed.name))
    [window] = plan_windows(cursor, int(NOON) + 65, lookback, {}).windows
    found = [r async for r in source.by_arrival.records("*", window.start, window.stop)]
    assert len(found) == 1
    assert window.stop - window.start <= 300 + 65 + 120
    await source.aclose()
