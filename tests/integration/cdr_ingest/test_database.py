"""Calls read from FusionPBX's PostgreSQL equal those of its export, field by field."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from cdr_ingest.fusionpbx.rows import ExportRows, split_line
from cdr_ingest.sources.source import ALL_TENANTS, BadRow, BLeg, Source
from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_pbx.errors import Refused
from tests.support.cdr_ingest import reading_of
from tests.support.fusionpbx import FIXTURES, MCON, NOON, RUCKEN
from tests.support.fusionpbx_database import CallsDatabase, calls_database
from tests.support.narrow import expect

DAY = (int(NOON) - 86_400, int(NOON) + 86_400)
WRITTEN_AT = datetime.fromtimestamp(NOON, UTC)
EXPORT = (FIXTURES / "export-all-tenants.csv").read_bytes()


@pytest.fixture
async def database_of_pbx(postgres_server: str) -> AsyncIterator[CallsDatabase]:
    async with calls_database(postgres_server) as found:
        yield found


@pytest.fixture
async def source(
    database_of_pbx: CallsDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxDatabaseSource]:
    source = FusionPbxDatabaseSource("pbx-1", database_of_pbx.server(monkeypatch))
    yield source
    await source.aclose()


async def records(
    source: Source, lane: str = ALL_TENANTS, window: tuple[int, int] = DAY
) -> list[CallCompleted | BLeg | BadRow]:
    async with aclosing(source.records(lane, *window)) as found:
        return [reading_of(record) async for record in found]


def by_id(
    records: Sequence[CallCompleted | BLeg | BadRow],
) -> dict[str, CallCompleted | BLeg]:
    """Records by their source call id; a bad row has none."""
    return {r.source_call_id: r for r in records if not isinstance(r, BadRow)}


def exported(csv: bytes, tenant: str | None = None) -> dict[str, CallCompleted | BLeg]:
    """The records of the export by source call id."""
    header, *lines = csv.splitlines()
    rows = ExportRows(header, server_id="pbx-1", tenant=tenant)
    return by_id([rows.read(line, 1) for line in lines])


def one_row(**changed: Any) -> dict[str, Any]:
    """The export's first row by columns."""
    header, first, *_ = EXPORT.splitlines()
    return {**dict(zip(split_line(header), split_line(first), strict=True)), **changed}


async def test_every_call_equals_the_exports_field_by_field(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put_export(EXPORT, WRITTEN_AT)
    found = by_id(await records(source))
    assert len(found) == 16
    for uuid_, wanted in exported(EXPORT).items():
        if isinstance(wanted, BLeg):
            assert found[uuid_] == wanted
        else:
            assert expect(CallCompleted, found[uuid_]).model_dump() == wanted.model_dump()


async def test_the_published_events_are_equal_byte_for_byte(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put_export(EXPORT, WRITTEN_AT)
    calls = [r for r in await records(source) if isinstance(r, CallCompleted)]
    wanted = exported(EXPORT)
    assert all(
        call.to_json() == expect(CallCompleted, wanted[call.source_call_id]).to_json()
        for call in calls
    )
    assert {call.call_id for call in calls} == {
        call_id("pbx-1", call.source_call_id) for call in calls
    }


async def test_a_tenants_feed_has_only_its_calls(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put_export(EXPORT, WRITTEN_AT)
    found = await records(source, MCON.upper())
    assert len(found) == 13
    assert {record.tenant for record in found} == {MCON.upper()}, "the name of the feed"
    assert len(await records(source, RUCKEN)) == 3


async def test_windows_are_inclusive_and_by_start(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put(one_row(), WRITTEN_AT)
    start = int(one_row()["start_epoch"])
    assert len(await records(source, window=(start, start))) == 1
    assert await records(source, window=(start + 1, start + 9)) == []
    assert await records(source, window=(start - 9, start - 1)) == []


async def test_by_arrival_a_long_call_is_found_by_the_time_it_was_stored(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    """A row that is stored now may have begun two days ago."""
    await database_of_pbx.put(one_row(start_epoch=str(int(NOON) - 2 * 86_400)), WRITTEN_AT)
    just_now = (int(NOON) - 5, int(NOON))
    assert await records(source, window=just_now) == []
    assert len(await records(source.by_arrival, window=just_now)) == 1


@pytest.mark.parametrize(("second", "found"), [(-1, 0), (0, 1), (0.999, 1), (1, 0)])
async def test_by_arrival_no_fraction_of_a_second_is_missed(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource, second: float, found: int
) -> None:
    await database_of_pbx.put(one_row(), WRITTEN_AT + timedelta(seconds=second))
    assert len(await records(source.by_arrival, window=(int(NOON), int(NOON)))) == found


async def test_by_arrival_a_row_without_insert_date_is_found_by_its_calls_end(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put(one_row(), None)
    ended = int(datetime.fromisoformat(one_row()["end_stamp"]).timestamp())
    assert len(await records(source.by_arrival, window=(ended, ended))) == 1
    assert await records(source.by_arrival, window=(ended + 1, ended + 60)) == []


async def test_a_row_that_cannot_be_billed_is_a_bad_row_with_its_reason(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource
) -> None:
    await database_of_pbx.put(one_row(direction="sideways"), WRITTEN_AT)
    await database_of_pbx.put(one_row(xml_cdr_uuid=str(uuid.uuid4()), domain_name=""), WRITTEN_AT)
    found = [expect(BadRow, record) for record in await records(source)]
    bad = sorted(found, key=lambda row: row.reason)
    assert "direction: got 'sideways'" in expect(BadRow, bad[0]).reason
    assert "domain_name" in expect(BadRow, bad[1]).reason
    assert json.loads(expect(BadRow, bad[0]).raw)["xml_cdr_uuid"] == one_row()["xml_cdr_uuid"]


async def test_the_connection_is_read_only_even_if_the_role_may_write(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await asyncpg.connect(database_of_pbx.dsn)
    for statement in ("delete from v_xml_cdr", "update v_extensions set enabled = 'false'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await own.execute(statement)
    await own.close()
    await database_of_pbx.owner.execute(f"grant all on v_xml_cdr to {database_of_pbx.role}")
    async with source.connected() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("delete from v_xml_cdr")


REFUSALS = [
    ("revoke select on v_extensions from {role}", "grant the role select on v_xml_cdr"),
    ("drop table v_xml_cdr", "does `dsn` name FusionPBX's database"),
    ("alter table v_xml_cdr drop column billsec", "lacks a column that a bill needs"),
]


@pytest.mark.parametrize(("statement", "message"), REFUSALS)
async def test_errors_that_an_operator_must_fix_are_refused_with_advice(
    database_of_pbx: CallsDatabase, source: FusionPbxDatabaseSource, statement: str, message: str
) -> None:
    await database_of_pbx.owner.execute(statement.format(role=database_of_pbx.role))
    with pytest.raises(Refused, match=message):
        await records(source)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda dsn: f"{dsn}_other", Refused, "does not exist.*check the database's name"),
        (lambda dsn: dsn.rpartition(":")[0] + ":1/none", Retry, "cannot be reached"),
    ],
    ids=["no such database", "nobody listens"],
)
async def test_a_database_that_cannot_be_reached_is_reported_without_its_password(
    database_of_pbx: CallsDatabase,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str], str],
    error: type[Exception],
    message: str,
) -> None:
    server = database_of_pbx.server(monkeypatch, dsn=change(database_of_pbx.dsn))
    source = FusionPbxDatabaseSource("pbx-1", server)
    with pytest.raises(error, match=message) as caught:
        await records(source)
    assert "pa55" not in str(caught.value)
    await source.aclose()


async def test_an_invalid_dsn_is_refused_and_not_shown(
    database_of_pbx: CallsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = database_of_pbx.server(monkeypatch, dsn="secret-of-mine")
    with pytest.raises(BadInput, match="pbx-1: dsn") as caught:
        FusionPbxDatabaseSource("pbx-1", server)
    assert "secret-of-mine" not in str(caught.value)
