"""Calls that a PBX lists and polling missed are published as a gap and fetched."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from cdr_ingest.polling.window import LookbackSettings
from ringfence_contracts.errors import Retry
from ringfence_simulators.faults import Fault
from tests.support.cdr_ingest import rows
from tests.support.fusionpbx import NOON
from tests.support.narrow import present
from tests.support.polled_feed import PolledFeed, polled_feed

HOUR_S = 3600
TEN = int(NOON) - 1200
"""The start of the simulated clock's hour, 10:00."""

LOOKBACK = LookbackSettings(look_back_s=2 * HOUR_S, sweep_every_s=600, lag_s=300, window_s=HOUR_S)


@pytest.fixture
async def polled(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> AsyncIterator[PolledFeed]:
    server_id = f"gap-{uuid.uuid4().hex[:8]}"
    async with polled_feed(
        monkeypatch, kafka_bootstrap, database, server_id, lookback=LOOKBACK
    ) as found:
        await found.poller.poll()
        yield found


async def test_an_hour_without_gaps_is_counted_and_publishes_no_event(polled: PolledFeed) -> None:
    calls = {polled.place(billsec=number) for number in range(7)}
    await polled.poll_for(2 * HOUR_S)
    await polled.count_all()
    assert await polled.report(TEN) == (7, 7, 0, True)
    assert await polled.gaps() == []
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(calls)


async def test_a_call_stored_too_late_for_polling_is_a_gap_and_is_fetched(
    polled: PolledFeed,
) -> None:
    """Its row appears five hours after its end, when no poll covers that time any more."""
    prompt = [polled.place() for _ in range(4)]
    late = [polled.place(billsec=90, shown_after_s=5 * HOUR_S) for _ in range(5)]
    await polled.poll_for(4 * HOUR_S)
    await polled.count_all()
    assert await polled.report(TEN) == (4, 4, 0, True)
    await polled.poll_for(4 * HOUR_S)
    assert set(await polled.heard.call_ids(polled.server_id)) == set(prompt), "polling misses them"
    await polled.count_all()
    (gap,) = await polled.gaps()
    assert (gap.listed, gap.ingested, gap.missing) == (9, 4, 5)
    assert (gap.hour.timestamp(), gap.lane) == (TEN, "*")
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(prompt + late)
    assert await polled.report(TEN) == (9, 4, 5, True)


async def test_a_closed_gap_is_published_once_and_a_new_gap_as_well(
    polled: PolledFeed,
) -> None:
    polled.place(shown_after_s=5 * HOUR_S)
    polled.place(shown_after_s=20 * HOUR_S)
    await polled.poll_for(9 * HOUR_S)
    await polled.count_all()
    assert len(await polled.gaps()) == 1
    await polled.poll_for(20 * HOUR_S)
    await polled.count_all()
    assert [(gap.listed, gap.ingested) for gap in await polled.gaps()] == [(1, 0), (2, 1)]
    assert await polled.report(TEN) == (2, 0, 2, True)


async def test_calls_that_polling_may_still_bring_are_no_gap(polled: PolledFeed) -> None:
    """A call longer than any before has just ended: the next sweep will find it."""
    polled.place(start_epoch=TEN, ring_s=0, billsec=2 * HOUR_S - 600)
    await polled.poll_for(2 * HOUR_S - 1800)
    polled.advance(1200)
    await polled.count_all()
    assert await polled.gaps() == []
    assert await polled.report(TEN) in [None, (0, 0, 0, True)]


async def test_hours_that_polling_has_not_passed_are_not_counted(polled: PolledFeed) -> None:
    polled.place()
    polled.advance(9 * HOUR_S)
    await polled.count_all()
    assert await polled.report(TEN) is None
    await polled.poller.poll()
    await polled.count_all()
    assert await polled.report(TEN) == (1, 1, 0, True)
    assert await polled.gaps() == []


async def test_calls_before_the_first_window_are_not_ingested(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str
) -> None:
    """A new installation reads one look-back; reconciliation does not read further back."""
    server_id = f"gap-{uuid.uuid4().hex[:8]}"
    async with polled_feed(
        monkeypatch, kafka_bootstrap, database, server_id, lookback=LOOKBACK
    ) as polled:
        old = polled.place(ends_at=TEN - 20 * HOUR_S)
        await polled.poller.poll()
        await polled.poll_for(9 * HOUR_S)
        await polled.count_all()
        assert old not in await polled.heard.call_ids(server_id)
        assert await polled.gaps() == []


async def test_a_kill_between_publishing_and_fetching_a_gap_repeats_both(
    polled: PolledFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [polled.place(shown_after_s=3 * HOUR_S) for _ in range(5)]
    await polled.poll_for(6 * HOUR_S)
    ingest = polled.feed.ingester.ingest
    published: list[int] = []

    async def cut_off(records: Sequence[Any]) -> int:
        if not published and any(record.source_call_id in late for record in records):
            published.append(await outbox(polled))
            raise Retry("killed here")
        return await ingest(records)

    monkeypatch.setattr(polled.feed.ingester, "ingest", cut_off)
    with pytest.raises(Retry):
        await polled.count_all()
    assert published == [1], "the gap is published before it is closed"
    assert present(await polled.report(TEN))[3] is False
    await polled.count_all()
    events = await polled.gaps()
    assert len(events) == 2
    assert len({r.event_id for r in polled.heard.heard if "gap-found" in r.topic}) == 1
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(late)
    assert await polled.report(TEN) == (5, 0, 5, True)


async def outbox(polled: PolledFeed) -> int:
    return len(await rows(polled.dsn, "select 1 from cdr_ingest.outbox"))


async def test_an_hour_that_cannot_be_listed_does_not_delay_the_others(
    polled: PolledFeed,
) -> None:
    polled.place()
    await polled.poll_for(3 * HOUR_S)
    polled.simulator.faults.planned = [Fault("status", "/app/xml_cdr", "500")]
    await polled.count_all()
    counted = await rows(polled.dsn, "select count(*) as n from report.reconciliation")
    polled.advance(700)
    await polled.poller.poll()
    await polled.count_all()
    assert (await rows(polled.dsn, "select count(*) as n from report.reconciliation"))[0]["n"] > (
        counted[0]["n"]
    )
    assert await polled.report(TEN) == (1, 1, 0, True)


async def test_a_large_gap_is_closed_in_several_rounds(
    polled: PolledFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdr_ingest.reconciliation.reconciler.MAX_FETCHED", 4)
    late = [polled.place(shown_after_s=3 * HOUR_S) for _ in range(10)]
    await polled.poll_for(6 * HOUR_S)
    await polled.count_all()
    assert sorted(await polled.heard.call_ids(polled.server_id)) == sorted(late)
    assert await polled.report(TEN) == (10, 0, 10, True)
    assert [gap.missing for gap in await polled.gaps()] == [10, 6, 2]


async def test_unreadable_rows_wait_and_are_not_counted(polled: PolledFeed) -> None:
    polled.place(direction="sideways", shown_after_s=3 * HOUR_S)
    await polled.poll_for(6 * HOUR_S)
    await polled.count_all()
    assert await polled.gaps() == []
    assert await polled.report(TEN) == (0, 0, 0, True)
    waiting = await rows(polled.dsn, "select reason, billsec from report.unconfirmed_row")
    assert [tuple(row) for row in waiting] == [("unreadable", 60)]
