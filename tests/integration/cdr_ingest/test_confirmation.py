"""No row of an export is believed because it parses: the PBX confirms it, or it waits."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cdr_ingest.fusionpbx.rows import split_line
from ringfence_contracts.events.call import CallCompleted, CallUnconfirmed
from ringfence_contracts.topics import CALL_COMPLETED, CALL_UNCONFIRMED, SOURCE_FAILED
from ringfence_pbx.fusionpbx.exports.signing import is_signed
from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ear, ear, ingest, rows, servers_toml
from tests.support.forgery import SECRET, hold_rows, line_of, row_line, set_name, sign
from tests.support.fusionpbx import MCON, RUCKEN, outbound, session_at, simulated


@dataclass
class Ingested:
    """A running cdr-ingest that polls `pbx`, and what it publishes."""

    pbx: FusionPbxSimulator
    heard: Ear
    server_id: str
    dsn: str

    async def calls(self) -> list[CallCompleted]:
        found: list[CallCompleted] = await self.heard.events(CALL_COMPLETED, self.server_id)
        return found

    async def rows(self) -> list[CallUnconfirmed]:
        found: list[CallUnconfirmed] = await self.heard.events(CALL_UNCONFIRMED, self.server_id)
        return found

    async def has_calls(self, *uuids: str) -> bool:
        return {call.source_call_id for call in await self.calls()} >= set(uuids)

    async def has_rows(self, number: int, state: str = "waiting") -> bool:
        return len({r.row_id for r in await self.rows() if r.state == state}) >= number

    async def settle(self) -> None:
        """Wait until two more calls were ingested: what was listed before them was seen."""
        for _ in range(2):
            last = self.place(extension="2113")
            await until(partial(self.has_calls, last))

    def place(self, **changed: Any) -> str:
        return str(self.pbx.pbx.place(outbound(**changed)).columns["xml_cdr_uuid"])


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bootstrap: str,
    dsn: str,
    *,
    line: ReleaseLine = "5.5",
    **entry: Any,
) -> AsyncIterator[Ingested]:
    monkeypatch.setattr("cdr_ingest.confirmation.retry_loop.LOOK_EVERY_S", 0.1)
    server_id = f"row-{uuid.uuid4().hex[:8]}"
    async with simulated(monkeypatch, line=line, clock=time.time) as pbx, ear(bootstrap) as heard:
        base = {
            "kind": "fusionpbx",
            "url": pbx.url,
            "host": MCON,
            "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
            "all_tenants": True,
            "poll_s": 0.1,
            "timeout_s": 20,
        }
        file = servers_toml(tmp_path, **{server_id: {**base, **entry}})
        async with ingest(bootstrap, dsn, file):
            yield Ingested(pbx, heard, server_id, dsn)


@pytest.fixture(params=["5.5", "5.6"])
async def unsigned(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> AsyncIterator[Ingested]:
    async with running(
        monkeypatch, tmp_path, kafka_bootstrap, database, line=request.param
    ) as found:
        yield found


@pytest.fixture
async def signed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kafka_bootstrap: str, database: str
) -> AsyncIterator[Ingested]:
    monkeypatch.setenv("TEST_EXPORT_SECRET", SECRET)
    secret = {"env": "TEST_EXPORT_SECRET"}
    async with running(
        monkeypatch, tmp_path, kafka_bootstrap, database, export_secret=secret
    ) as found:
        sign(found.pbx)
        yield found


async def test_a_forged_row_is_no_call_of_another_tenant_and_waits(unsigned: Ingested) -> None:
    pbx = unsigned.pbx
    forged = row_line(pbx, **outbound(domain_name=RUCKEN, billsec=3600))
    hold_rows(pbx, "2112", MCON, forged)
    mine = unsigned.place(billsec=61)
    await until(partial(unsigned.has_rows, 2))
    await unsigned.settle()
    assert {call.tenant for call in await unsigned.calls()} == {MCON}
    waiting = {row.reason: row for row in await unsigned.rows()}
    row = waiting["not-confirmed"]
    assert (row.tenant, row.billsec, row.state) == (RUCKEN, 3600, "waiting")
    assert "finds no call" in row.detail
    assert forged[:900] in row.row
    assert waiting["unreadable"].billsec == 61, "the attacker's own call is not free"
    await correct(unsigned)
    await until(partial(unsigned.has_calls, mine))
    assert [c.billsec for c in await unsigned.calls() if c.source_call_id == mine] == [61]
    assert {call.tenant for call in await unsigned.calls()} == {MCON}
    assert len({row.row_id for row in await unsigned.rows()}) == 2, "no row waits twice"


async def correct(ingested: Ingested) -> None:
    """Correct the name of extension 2112; rows that wait are due."""
    set_name(ingested.pbx, "2112", MCON, "Bob")
    await rows(ingested.dsn, "update cdr_ingest.unconfirmed_row set next_attempt_at = now()")


async def test_a_complete_forgery_with_the_columns_of_a_real_row_fails(unsigned: Ingested) -> None:
    """Every column is that of the attacker's real call, but the tenant is another one's."""
    pbx = unsigned.pbx
    real = pbx.pbx.place(outbound(billsec=61))
    await until(partial(unsigned.has_calls, real.columns["xml_cdr_uuid"]))
    next_call = pbx.pbx.place(outbound(billsec=62, extension="2113"))
    mine = pbx.pbx.place(outbound(billsec=63))
    changed = {"domain_name": RUCKEN, "domain_uuid": pbx.pbx.domains[RUCKEN.lower()].uuid}
    longer = {"billsec": "9000", "duration": "9000"}
    forged = [line_of(call, **changed) for call in (real, next_call, mine)]
    forged += [line_of(call, **changed, **longer) for call in (next_call, mine)]
    hold_rows(pbx, "2112", MCON, *forged)
    uuids = [call.columns["xml_cdr_uuid"] for call in (real, next_call, mine)]
    await until(partial(unsigned.has_calls, *uuids[:2]))
    await until(partial(unsigned.has_rows, 1))
    await unsigned.settle()
    await correct(unsigned)
    await until(partial(unsigned.has_calls, *uuids))
    await unsigned.settle()
    calls = await unsigned.calls()
    assert {call.tenant for call in calls} == {MCON}
    for call, billsec in zip(uuids, (61, 62, 63), strict=True):
        assert [c.billsec for c in calls if c.source_call_id == call] == [billsec]


@pytest.mark.parametrize("name", ['Sales "West"', "Front, Desk", "two\nlines\nof", 'O"\n"Neil'])
async def test_odd_names_of_honest_tenants_are_billed_once(unsigned: Ingested, name: str) -> None:
    set_name(unsigned.pbx, "2112", MCON, name)
    call = unsigned.place(caller_id_name=name)
    inbound = unsigned.place(direction="inbound", caller_id_name=name, billsec=9)
    await until(partial(unsigned.has_calls, call, inbound))
    await unsigned.settle()
    ids = [each.source_call_id for each in await unsigned.calls()]
    assert sorted(ids) == sorted(set(ids))
    assert not await unsigned.rows()
    assert not await dead(unsigned)


async def dead(ingested: Ingested) -> list[Any]:
    query = "select reason from cdr_ingest.record where disposition = 'dead' and server_id = $1"
    return await rows(ingested.dsn, query, ingested.server_id)


async def test_a_row_that_is_confirmed_later_flows_on_its_own(unsigned: Ingested) -> None:
    set_name(unsigned.pbx, "2112", MCON, 'Bob","x')
    odd = unsigned.place(caller_id_name='Bob","x', billsec=75)
    await until(partial(unsigned.has_rows, 1))
    (row,) = {row.row_id: row for row in await unsigned.rows()}.values()
    assert (row.reason, row.billsec) == ("unreadable", 75)
    assert "its row cannot be read" in row.detail
    await correct(unsigned)
    await until(partial(unsigned.has_calls, odd))
    await until(partial(unsigned.has_rows, 1, "confirmed"))
    (call,) = [c for c in await unsigned.calls() if c.source_call_id == odd]
    assert (call.extension, call.billsec, call.tenant) == ("2112", 75, MCON)
    found = await rows(unsigned.dsn, "select call_id, confirmed_at from report.unconfirmed_row")
    assert [(row["call_id"], row["confirmed_at"] is not None) for row in found] == [
        (call.call_id, True)
    ]


async def test_an_operators_request_asks_again_at_once(unsigned: Ingested) -> None:
    set_name(unsigned.pbx, "2112", MCON, 'Bob","x')
    call = unsigned.place()
    await until(partial(unsigned.has_rows, 1))
    set_name(unsigned.pbx, "2112", MCON, "Bob")
    far = "update cdr_ingest.unconfirmed_row set next_attempt_at = now() + interval '1 day'"
    await rows(unsigned.dsn, far)
    await rows(
        unsigned.dsn,
        "insert into rating.unrated (call_id, server_id, tenant, reason, detail, billsec,"
        " started_at, input_hash, call, is_row, replay_requested_at)"
        " select row_id, server_id, tenant, 'row-unreadable', detail, billsec, started_at, '', '',"
        " true, now() + interval '1 s' from cdr_ingest.unconfirmed_row",
    )
    await until(partial(unsigned.has_calls, call))


async def test_a_lost_right_is_a_failure_of_the_source_and_no_forgery(unsigned: Ingested) -> None:
    """The narrow export is empty then: known calls show that this proves nothing."""
    first = unsigned.place()
    await until(partial(unsigned.has_calls, first))
    unsigned.pbx.pbx.default_settings.append(
        {"category": "cdr", "subcategory": "export", "name": "array", "value": "no sql (",
         "enabled": "true"}
    )  # fmt: skip
    unsigned.pbx.logins.sessions.clear()
    call = unsigned.place()
    await until(partial(failed, unsigned), timeout_s=30)
    assert not await unsigned.rows()
    unsigned.pbx.pbx.default_settings.clear()
    unsigned.pbx.logins.sessions.clear()
    await until(partial(unsigned.has_calls, call))


async def failed(ingested: Ingested) -> bool:
    found = await ingested.heard.events(SOURCE_FAILED, ingested.server_id)
    return any("finds none of the calls that it held" in each.reason for each in found)


async def test_signed_rows_need_no_request_each(signed: Ingested) -> None:
    await signed.settle()
    asked = signed.pbx.site.exports.narrow
    calls = [signed.place(billsec=n) for n in range(1, 40)]
    await until(partial(signed.has_calls, *calls))
    assert signed.pbx.site.exports.narrow - asked == 0


async def test_a_forged_row_carries_no_right_signature(signed: Ingested) -> None:
    """Not even the attacker's real row with its signature, which his own export shows him."""
    pbx = signed.pbx
    await signed.settle()
    real = pbx.pbx.place(outbound(billsec=61))
    await until(partial(signed.has_calls, real.columns["xml_cdr_uuid"]))
    hold_rows(pbx, "2113", MCON, row_line(pbx, **outbound(domain_name=RUCKEN)), line_of(real))
    odd = signed.place(extension="2113", caller_id_name='Bob","x\n', billsec=33)
    await until(partial(signed.has_calls, odd))
    await signed.settle()
    assert {call.tenant for call in await signed.calls()} == {MCON}
    assert not await signed.rows(), "cleaned by the database, the text holds no row"


async def test_a_signature_that_was_copied_charges_no_other_tenant(signed: Ingested) -> None:
    """Only the signature was entered, not the cleaning: the text holds a row with a right one."""
    pbx = signed.pbx
    pbx.pbx.default_settings[:] = pbx.pbx.default_settings[-1:]
    pbx.logins.sessions.clear()
    pbx.site.export_bodies[""] = b"\n\n"  # so that the forged row is listed before the real one
    real = pbx.pbx.place(outbound(billsec=61, extension="2113"))
    uuid_of_call = real.columns["xml_cdr_uuid"]
    async with session_at(pbx.url) as session:
        body = await session.export_of(uuid_of_call, all_tenants=True)
    line = body.splitlines()[1]
    forged = line.removesuffix(f'"{MCON}"') + f'"{RUCKEN}"'
    assert is_signed(
        dict(
            zip(split_line(body.splitlines()[0].encode()), split_line(forged.encode()), strict=True)
        ),
        SECRET,
    )
    pbx.pbx.calls.clear()
    hold_rows(pbx, "2112", MCON, forged)
    signed.place()
    pbx.site.export_bodies.clear()
    await until(partial(signed.has_rows, 1))
    await signed.settle()
    pbx.pbx.calls.append(real)
    await correct(signed)
    await until(partial(signed.has_calls, uuid_of_call))
    await signed.settle()
    assert {call.tenant for call in await signed.calls()} == {MCON}


async def test_rows_without_signature_are_confirmed_one_by_one(signed: Ingested) -> None:
    """Before the settings are in force, and where only the cleaning was entered."""
    signed.pbx.pbx.default_settings.clear()
    signed.pbx.logins.sessions.clear()
    forged = row_line(signed.pbx, **outbound(domain_name=RUCKEN, billsec=3600))
    hold_rows(signed.pbx, "2112", MCON, forged)
    signed.place()
    call = signed.place(extension="2113")
    await until(partial(signed.has_calls, call))
    await until(partial(signed.has_rows, 1))
    assert {call.tenant for call in await signed.calls()} == {MCON}
