"""Calls are read from the export of a FusionPBX, with either kind of login."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from cdr_ingest.fusionpbx.export import FusionPbxSource
from cdr_ingest.sources.source import ALL_TENANTS, BadRow, BLeg
from ringfence.clock import SystemClock
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.errors import Refused
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.cdr_ingest import reading_of
from tests.support.fusionpbx import (
    FIXTURES,
    MCON,
    NOON,
    RUCKEN,
    SUPER_KEY,
    Clock,
    outbound,
    server_of,
    session_at,
    simulated,
    simulator_process,
)
from tests.support.narrow import expect

DAY = (int(NOON) - 86_400, int(NOON) + 86_400)

Record = CallCompleted | BLeg | BadRow


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param) as simulator:
        yield simulator


async def records(
    source: FusionPbxSource, feed: str = ALL_TENANTS, window: tuple[int, int] = DAY
) -> list[Record]:
    async with aclosing(source.records(feed, *window)) as found:
        return [reading_of(record) async for record in found]


async def collect(source: FusionPbxSource, found: list[Record]) -> None:
    async for record in source.records(ALL_TENANTS, *DAY):
        found.append(reading_of(record))


@pytest.fixture
async def source(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxSource]:
    source = FusionPbxSource("pbx-1", server_of(pbx.url))
    yield source
    await source.aclose()


@pytest.fixture
async def admins_source(pbx: FusionPbxSimulator) -> AsyncIterator[FusionPbxSource]:
    source = FusionPbxSource("pbx-1", server_of(pbx.url, superadmin=False))
    yield source
    await source.aclose()


async def test_all_sixteen_calls_of_a_real_server_are_accounted_for(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[""] = (FIXTURES / "export-all-tenants.csv").read_bytes()
    found = await records(source)
    calls = [r for r in found if isinstance(r, CallCompleted)]
    (leg,) = [r for r in found if isinstance(r, BLeg)]
    assert leg.call is not None, "it left by a carrier and talked"
    assert (leg.call.leg, leg.call.tenant) == ("b", RUCKEN)
    assert replace(leg, call=None) == BLeg("pbx-1", RUCKEN, "86734721-4cdd-4055-930d-6eaf14f4733f")
    assert len(found) == 16
    seen = {
        (c.tenant, c.direction, c.destination_number, c.billsec, c.answered_at is not None)
        for c in calls
    }
    assert seen == {
        (MCON, "", "*97", 20, True),
        (MCON, "outbound", "14165550100", 3, True),
        (MCON, "outbound", "18884163054", 300, True),
        (MCON, "outbound", "911", 75, True),
        (MCON, "local", "2113", 42, True),
        (MCON, "inbound", "*99", 31, True),
        (MCON, "inbound", "2112", 95, True),
        (MCON, "outbound", "14165550103", 0, False),
        (MCON, "outbound", "14165550102", 0, False),
        (RUCKEN, "inbound", "606", 129, True),
        (MCON, "outbound", "01144207946000", 187, True),
        (MCON, "outbound", "4165550101", 61, True),
        (RUCKEN, "outbound", "2265551234", 33, True),
        (MCON, "outbound", "14165550100", 60, True),
        (MCON, "outbound", "14165550100", 7300, True),
    }
    assert {'Sales "West"', "Front, Desk", "ANON"} <= {c.caller_name for c in calls}
    assert {c.caller_destination for c in calls if c.direction == "inbound"} == {
        "5192229000",
        "5484815577",
    }
    longest = max(calls, key=lambda c: c.billsec)
    assert (longest.ended_at - longest.started_at).total_seconds() == 7304
    assert {c.status for c in calls} == {"answered", "failed", "voicemail", "busy", "no_answer"}


async def test_one_tenants_export_has_no_tenant_column_and_uses_the_requested_tenant(
    pbx: FusionPbxSimulator, admins_source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[MCON] = (FIXTURES / "export-one-tenant.csv").read_bytes()
    found = await records(admins_source, MCON)
    assert len(found) == 13
    assert {type(r) for r in found} == {CallCompleted}
    assert {r.tenant for r in found} == {MCON}


async def test_both_exports_give_a_call_the_same_id(
    pbx: FusionPbxSimulator, source: FusionPbxSource, admins_source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[""] = (FIXTURES / "export-all-tenants.csv").read_bytes()
    pbx.site.export_bodies[MCON] = (FIXTURES / "export-one-tenant.csv").read_bytes()
    everything, own = await records(source), await records(admins_source, MCON)
    assert set(own) < set(everything)


async def test_an_export_without_rows_has_no_calls_and_is_no_failure(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[""] = (FIXTURES / "export-no-rows.body").read_bytes()
    assert await records(source) == []


async def test_the_simulator_writes_the_same_export_as_the_real_server(
    pbx: FusionPbxSimulator,
) -> None:
    """Its own rows give the same header as the fixture, and two newlines when there are none."""
    pbx.pbx.place(outbound(start_epoch=int(NOON) - 600, caller_id_name='Sales "West"'))
    async with session_at(pbx.url) as session:
        async with aclosing(session.export(*DAY, all_tenants=True)) as lines:
            header, row = [line async for line in lines]
        assert header == (FIXTURES / "export-all-tenants.csv").read_bytes().splitlines(True)[0]
        assert b'"Sales "West""' in row
        async with aclosing(session.export(1, 2, all_tenants=True)) as lines:
            assert [line async for line in lines] == []


async def test_the_window_is_of_call_starts_with_both_ends_inclusive(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    start = int(NOON) - 1000
    uuids = [
        pbx.pbx.place(outbound(start_epoch=start + n)).columns["xml_cdr_uuid"] for n in range(4)
    ]
    found = await records(source, window=(start + 1, start + 2))
    assert {expect(CallCompleted, call).source_call_id for call in found} == set(uuids[1:3])


async def test_a_call_appears_after_its_end_with_its_old_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    async with simulated(monkeypatch, clock=clock) as pbx:
        source = FusionPbxSource("pbx-1", server_of(pbx.url))
        start = int(NOON) - 10
        pbx.pbx.place(outbound(start_epoch=start, billsec=7300, shown_after_s=30))
        window = (start, start)
        assert await records(source, window=window) == []
        clock.at = start + 4 + 7300 + 29
        assert await records(source, window=window) == []
        clock.at += 1
        (call,) = await records(source, window=window)
        assert expect(CallCompleted, call).billsec == 7300
        await source.aclose()


async def test_an_unreadable_row_does_not_affect_other_rows(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    for changed in ({}, {"caller_id_name": 'a","b'}, {"billsec": "1,080.00"}, {}):
        pbx.pbx.place(outbound(start_epoch=int(NOON) - 600, **changed))
    found = await records(source)
    reasons = [r.reason for r in found if isinstance(r, BadRow)]
    assert sum(isinstance(r, CallCompleted) for r in found) == 2
    assert reasons == [
        "columns: got 35, expected 34, as in the header",
        "billsec: got '1,080.00', expected whole seconds, 0 to 604800",
    ]
    assert [r.line_number for r in found if isinstance(r, BadRow)] == [3, 4]


async def test_each_feed_logs_in_once_for_many_polls(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    for _ in range(10):
        await records(source)
    assert (pbx.logins.succeeded, pbx.logins.failed) == (1, 0)


async def test_logging_in_exports_nothing(pbx: FusionPbxSimulator, source: FusionPbxSource) -> None:
    """The login uses the export's page, which exports all calls without a window."""
    pbx.pbx.place(outbound())
    assert await records(source, window=(1, 1)) == []
    assert (pbx.logins.succeeded, pbx.site.rows_sent) == (1, 0)


async def test_a_server_without_a_valid_key_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SHORT", "k" * 30)
    for name in ("TEST_FUSIONPBX_SHORT", "TEST_FUSIONPBX_NONE"):
        server = server_of("http://127.0.0.1:1", env=name)
        with pytest.raises(BadInput):
            FusionPbxSource("pbx-1", server)
        with pytest.raises(BadInput):
            FusionPbxDriver("pbx-1", server, clock=SystemClock())


async def test_a_lost_session_is_replaced_by_a_new_login(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    pbx.pbx.place(outbound())
    for _ in range(3):
        pbx.logins.sessions.clear()
        assert len(await records(source)) == 1
    assert pbx.logins.succeeded == 3


async def test_an_export_of_all_tenants_with_an_admins_key_is_refused(
    pbx: FusionPbxSimulator,
) -> None:
    """FusionPBX silently ignores show=all, and would export only one tenant's calls."""
    pbx.pbx.place(outbound())
    server = server_of(pbx.url, env="TEST_FUSIONPBX_ADMIN")
    source = FusionPbxSource("pbx-1", server)
    with pytest.raises(Refused, match=r"pbx-1 as mcon.* must be a superadmin"):
        await records(source)
    await source.aclose()


async def test_an_export_without_a_required_column_is_refused_and_named(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[""] = b'"xml_cdr_uuid","domain_name"\n"x","y"\n'
    with pytest.raises(Refused, match=r"pbx-1 .*billsec.*as well; the key's user needs the right"):
        await records(source)


async def test_the_complete_rows_of_an_incomplete_body_are_yielded_before_the_failure(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    body = (FIXTURES / "export-all-tenants.csv").read_bytes()
    pbx.site.export_bodies[""] = body[:-400]
    found: list[Record] = []

    async def read() -> None:
        async for record in source.records(ALL_TENANTS, *DAY):
            found.append(reading_of(record))

    with pytest.raises(Retry, match="broke off"):
        await read()
    assert len(found) == 15
    assert not [r for r in found if isinstance(r, BadRow)], "an incomplete row is no bad row"


async def test_a_body_that_ends_within_its_header_is_not_an_empty_export(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    pbx.site.export_bodies[""] = b'"xml_cdr_uuid","domain_na'
    with pytest.raises(Retry, match="broke off"):
        await records(source)


async def test_a_php_error_at_the_end_of_a_body_is_a_failure(
    pbx: FusionPbxSimulator, source: FusionPbxSource
) -> None:
    body = (FIXTURES / "export-all-tenants.csv").read_bytes()
    pbx.site.export_bodies[""] = body + b"<br />\n<b>Fatal error</b>: Out of memory<br />\n"
    with pytest.raises(Retry, match="Fatal error"):
        await records(source)


async def test_a_hundred_thousand_rows_are_read_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = (FIXTURES / "export-all-tenants.csv").read_bytes().splitlines(True)
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with simulator_process(tmp_path) as url, httpx.AsyncClient() as http:
        body = lines[0] + b"".join(lines[1:]) * 6250
        (await http.put(f"{url}/_sim/export-body", content=body)).raise_for_status()
        source = FusionPbxSource("pbx-1", server_of(url, timeout_s=60))
        tracemalloc.start()
        counted = 0
        async with aclosing(source.records(ALL_TENANTS, *DAY)) as found:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            async for _ in found:
                counted += 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await source.aclose()
    assert counted == 100_000
    assert peak - before < 8 * 1024 * 1024, "the body is 38 MB, and much more as objects"
