"""Calls are read from a Vodia's list in any order, each once, and none is missed."""

from collections.abc import Iterable
from typing import Any

import pytest

from cdr_ingest.sources.source import BadRow
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.model import SimulatedVodia
from tests.support.fusionpbx import NOON, Clock
from tests.support.narrow import expect
from tests.support.vodia import (
    CFFM,
    PASSWORD,
    RUCKEN,
    Taken,
    outbound,
    simulated,
    source_at,
)

ORDERS = [
    ("newest-first", "end"),
    ("newest-first", "start"),
    ("oldest-first", "end"),
    ("oldest-first", "start"),
    ("random", "end"),
]
each_order = pytest.mark.parametrize(("order", "order_by"), ORDERS)


@pytest.fixture
def taken() -> Taken:
    return Taken()


def history(
    pbx: SimulatedVodia, count: int, *, every_s: int = 20, until: float = NOON, **changed: Any
) -> None:
    """`count` calls, one every `every_s` seconds, the last ending at `until`."""
    for number in range(count):
        pbx.place(outbound(ends_at=until - (count - 1 - number) * every_s, **changed))


def ids(records: Iterable[Any]) -> set[str]:
    return {record.source_call_id for record in records}


@each_order
async def test_every_call_of_the_window_is_found_once(
    monkeypatch: pytest.MonkeyPatch, taken: Taken, order: str, order_by: str
) -> None:
    async with simulated(monkeypatch, order=order, order_by=order_by, largest_page=7) as pbx:
        history(pbx.pbx, 100)
        async with source_at(pbx.url, taken) as source:
            new = await taken.read(source, start=int(NOON) - 1000)
            began = {call.primary_id for call in pbx.pbx.calls if call.start >= NOON - 1000}
            assert ids(new) == began
            assert await taken.read(source, start=int(NOON) - 1000) == []


@each_order
async def test_new_calls_are_found_behind_a_page_of_known_ones(
    monkeypatch: pytest.MonkeyPatch, taken: Taken, order: str, order_by: str
) -> None:
    """Also at the end of an oldest-first list, whose first page never changes."""
    async with simulated(monkeypatch, order=order, order_by=order_by, largest_page=10) as pbx:
        history(pbx.pbx, 60, until=NOON - 60)
        async with source_at(pbx.url, taken) as source:
            await taken.read(source)
            for minute in range(5):
                call = pbx.pbx.place(outbound(ends_at=NOON - 30 + minute))
                assert ids(await taken.read(source)) == {call.primary_id}


@each_order
async def test_calls_that_arrive_between_pages_are_found(
    monkeypatch: pytest.MonkeyPatch, taken: Taken, order: str, order_by: str
) -> None:
    """They push others to the next page; those are not yielded twice."""
    async with simulated(monkeypatch, order=order, order_by=order_by, largest_page=8) as pbx:
        history(pbx.pbx, 64, until=NOON - 100)
        arriving = iter(range(1, 1000))

        def arrive(_: int) -> None:
            pbx.pbx.place(outbound(ends_at=NOON - 100 + next(arriving) / 100))

        pbx.site.before_page = arrive
        async with source_at(pbx.url, taken) as source:
            await taken.read(source)
            pbx.site.before_page = lambda page: None
            await taken.read(source)
        assert len(taken.ids) == len(pbx.pbx.calls)


@each_order
async def test_calls_that_expire_between_pages_hide_no_others(
    monkeypatch: pytest.MonkeyPatch, taken: Taken, order: str, order_by: str
) -> None:
    """In an oldest-first list, each expired call moves all others up."""
    clock = Clock()
    async with simulated(
        monkeypatch, clock=clock, order=order, order_by=order_by, largest_page=8, retention_s=2000
    ) as pbx:
        history(pbx.pbx, 100)

        def expire(page: int) -> None:
            if page in (2, 4, 6):
                clock.at += 40

        pbx.site.before_page = expire
        async with source_at(pbx.url, taken) as source:
            await taken.read(source, start=int(NOON) - 1500)
        within = [call for call in pbx.pbx.calls if call.start >= NOON - 1500]
        assert len(taken.ids) == len(within)


async def test_the_first_known_record_does_not_end_a_read(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """Known and unknown calls may be on one page, because some were posted before."""
    async with simulated(monkeypatch, largest_page=5) as pbx:
        history(pbx.pbx, 40)
        async with source_at(pbx.url, taken) as source:
            everything = await taken.read(source)
            missing = {
                expect(CallCompleted, everything[1]).call_id,
                expect(CallCompleted, everything[7]).call_id,
                expect(CallCompleted, everything[22]).call_id,
            }
            taken.ids -= missing
            assert {
                expect(CallCompleted, call).call_id for call in await taken.read(source)
            } == missing


async def test_a_quiet_newest_first_list_costs_one_page(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch) as pbx:
        history(pbx.pbx, 2000, every_s=60)
        async with source_at(pbx.url, taken, page_size=100) as source:
            await taken.read(source, start=int(NOON) - 900)
            pbx.site.pages_sent = 0
            assert await taken.read(source, start=int(NOON) - 900) == []
            assert pbx.site.pages_sent == 1


async def test_an_oldest_first_list_is_read_from_its_end(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch, order="oldest-first") as pbx:
        history(pbx.pbx, 2050, every_s=60)
        async with source_at(pbx.url, taken, page_size=100) as source:
            await taken.read(source, start=int(NOON) - 900)
            pbx.site.pages_sent = 0
            call = pbx.pbx.place(outbound(ends_at=NOON))
            assert ids(await taken.read(source, start=int(NOON) - 900)) == {call.primary_id}
            assert pbx.site.pages_sent <= 6, "of twenty-one"


async def test_a_long_call_listed_by_its_start_is_found_deep_in_the_list(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """It ends now, and is behind pages of known calls."""
    async with simulated(monkeypatch, order_by="start", largest_page=20) as pbx:
        history(pbx.pbx, 200)
        async with source_at(pbx.url, taken) as source:
            await taken.read(source, start=int(NOON) - 3600)
            long = pbx.pbx.place(outbound(ends_at=NOON, talk_s=3000))
            assert ids(await taken.read(source, start=int(NOON) - 3600)) == {long.primary_id}


async def test_a_changed_order_is_detected(monkeypatch: pytest.MonkeyPatch, taken: Taken) -> None:
    """The former end of the list is now its oldest page; new calls are at the other end."""
    async with simulated(monkeypatch, order="oldest-first", largest_page=30) as pbx:
        history(pbx.pbx, 200)
        async with source_at(pbx.url, taken) as source:
            await taken.read(source, start=int(NOON) - 900)
            pbx.pbx.habits.order = "newest-first"
            call = pbx.pbx.place(outbound(ends_at=NOON))
            assert ids(await taken.read(source, start=int(NOON) - 900)) == {call.primary_id}


async def test_a_misplaced_call_behind_a_page_of_new_ones_is_found(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """A page with a new record never ends a read, however far back it reaches."""
    async with simulated(monkeypatch, largest_page=25) as pbx:
        late = {"start": NOON - 20.5, "connect": NOON - 19.5, "end": NOON - 9.5}
        odd = pbx.pbx.place(outbound(ends_at=NOON - 5000, record=late))
        history(pbx.pbx, 30)
        async with source_at(pbx.url, taken) as source:
            assert odd.primary_id in ids(await taken.read(source, start=int(NOON) - 200))


async def test_each_tenant_is_read_separately(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch) as pbx:
        pbx.pbx.place(outbound())
        pbx.pbx.place(outbound(domain=RUCKEN))
        async with source_at(pbx.url, taken) as source:
            assert {c.tenant for c in await taken.read(source)} == {CFFM}
            assert {c.tenant for c in await taken.read(source, tenant=RUCKEN)} == {RUCKEN}


async def test_calls_before_the_window_are_not_yielded(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch) as pbx:
        for start in (-1, 0, 1):
            pbx.pbx.place(outbound(ends_at=NOON - 100 + start, talk_s=10, ring_s=0))
        async with source_at(pbx.url, taken) as source:
            assert len(await taken.read(source, start=int(NOON) - 110)) == 2


async def test_an_unreadable_record_does_not_affect_others(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch) as pbx:
        for record in ({}, {"end": ""}, {"start": "soon"}, {"call_id": ""}, {}):
            pbx.pbx.place(outbound(record=record))
        async with source_at(pbx.url, taken) as source:
            found = await taken.read(source)
            assert sum(isinstance(r, CallCompleted) for r in found) == 2
            reasons = [r.reason for r in found if isinstance(r, BadRow)]
            assert [reason.split(":")[0] for reason in sorted(reasons)] == [
                "call_id",
                "end",
                "start",
            ]
            assert await taken.read(source) == [], "the same bytes are the same row"


async def test_a_second_record_with_the_same_call_id_is_a_bad_row(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with simulated(monkeypatch) as pbx:
        pbx.pbx.place(outbound(primary_id="same"))
        pbx.pbx.place(outbound(primary_id="same", talk_s=90))
        async with source_at(pbx.url, taken) as source:
            found = await taken.read(source)
        assert sorted(type(record).__name__ for record in found) == ["BadRow", "CallCompleted"]
        (bad,) = (record for record in found if isinstance(record, BadRow))
        assert "call_id: got 'same', expected one that is not record 2's" in bad.reason


FAILING = [
    (Fault("status", "/", "500"), "status 500"),
    (Fault("status", "/", "503"), "status 503"),
    (Fault("status", "/", "429 7"), "status 429 .*again in 7 s"),
    (Fault("slow", "/", "30"), "no answer within 0.5 s"),
    (Fault("drop", "/"), "disconnected"),
    (Fault("cut", "/"), "peer closed connection|incomplete"),
    (Fault("cut-quiet", "/"), "no JSON"),
    (Fault("html", "/", "<h1>Down for maintenance</h1>"), "200 and no JSON.*maintenance"),
    (Fault("html", "/", '{"error": "later"}'), "answered .*later"),
    (Fault("redirect", "/", "/rest/domain/x/cdrs", times=9), "redirects to '/rest/domain"),
]


@pytest.mark.parametrize("login", ["basic", "session"])
@pytest.mark.parametrize(("fault", "message"), FAILING, ids=lambda f: getattr(f, "kind", ""))
async def test_after_a_failure_the_list_is_read_again_and_no_call_is_lost(
    monkeypatch: pytest.MonkeyPatch, taken: Taken, login: str, fault: Fault, message: str
) -> None:
    async with simulated(monkeypatch, login=login, largest_page=10) as pbx:
        history(pbx.pbx, 35)
        async with source_at(pbx.url, taken, login=login, timeout_s=0.5) as source:
            pbx.faults.planned += [
                Fault("slow", "/rest/domain", "0", times=2),
                Fault(fault.kind, "/rest/domain", fault.value, fault.times),
            ]
            with pytest.raises(Retry, match=message) as caught:
                await taken.read(source)
            assert str(caught.value).startswith("pbx-2")
            assert PASSWORD not in str(caught.value)
            pbx.faults.planned.clear()
            await taken.read(source)
        assert len(taken.ids) == 35


async def test_a_missing_password_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    monkeypatch.delenv("TEST_VODIA_PASSWORD", raising=False)
    with pytest.raises(BadInput, match="TEST_VODIA_PASSWORD"):
        async with source_at("http://127.0.0.1:1", taken):
            pass
