"""What `ringfence doctor` says of the calls that cdr-ingest has: legs, numbers, products."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ringfence_local.embedded.ports import free_port
from ringfence_testing.records import call
from tests.support.doctor import Run, doctor_command, examined

RECORD = (
    "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition, started_at,"
    " originating_id) values ($1, $2, 't', '', $3, $4, $5)"
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str) -> Run:
    monkeypatch.setenv("TEST_KEY", "k" * 40)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    return doctor_command(monkeypatch, tmp_path)


def fusionpbx(**changed: Any) -> dict[str, Any]:
    """An unreachable FusionPBX: what was ingested from it is checked all the same."""
    url = f"http://127.0.0.1:{free_port()}"
    return {"kind": "fusionpbx", "url": url, "api_key": {"env": "TEST_KEY"}, **changed}


def vodia(**changed: Any) -> dict[str, Any]:
    url, password = f"http://127.0.0.1:{free_port()}", {"env": "TEST_KEY"}
    entry = {"kind": "vodia", "url": url, "user": "admin", "password": password}
    return {**entry, "tenants": ["north.example"], **changed}


async def sql(dsn: str, query: str, *arguments: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(query, *arguments)
    finally:
        await connection.close()


async def note(
    dsn: str, server_id: str, *, leg_of: uuid.UUID | None = None, days: float = 0.1
) -> uuid.UUID:
    """A record of a call, or of a leg of another one."""
    record_id, at = uuid.uuid4(), datetime.now(UTC) - timedelta(days=days)
    disposition = "b-leg" if leg_of else "published"
    await sql(dsn, RECORD, record_id, server_id, disposition, at, leg_of)
    return record_id


async def give_up(dsn: str, leg: uuid.UUID, origin: uuid.UUID | None) -> None:
    """The leg's call did not come in time, or it names none."""
    query = (
        "insert into cdr_ingest.leg (record_id, originating_id, message_key, value, talk_s,"
        " entry_id, state) values ($1, $2, 'k', '', 60, $1, 'given-up')"
    )
    await sql(dsn, query, leg, origin)


async def dial(dsn: str, *numbers: str, days: float = 0.1, **fields: Any) -> None:
    """Outbound calls to these numbers, as they were published."""
    for number in numbers:
        at = datetime.now(UTC) - timedelta(days=days)
        found = call(
            source_call_id=str(uuid.uuid4()),
            started_at=at,
            **{"destination_number": number, **fields},
        )
        await sql(dsn, RECORD, found.call_id, "pbx1", "published", at, None)
        query = "insert into cdr_ingest.published_call (record_id, value) values ($1, $2)"
        await sql(dsn, query, found.call_id, found.to_json())


async def test_without_records_nothing_is_said_of_legs(run: Run, database: str) -> None:
    await note(database, "pbx2")
    await note(database, "pbx1", days=8)
    found = await examined(run, "pbx1", fusionpbx())
    assert "legs" not in found
    assert "dialled numbers" not in found


async def test_a_pbx_that_records_no_legs_is_asked_to(run: Run, database: str) -> None:
    await note(database, "pbx1")
    check = (await examined(run, "pbx1", fusionpbx()))["legs"]
    assert check["state"] == "warn"
    assert "none of its newest records is a leg" in check["said"]
    assert "`log-b-leg`" in check["do"]
    assert "ringfence server sign-export pbx1" in check["do"]


async def test_a_pbx_that_records_legs_is_ok(run: Run, database: str) -> None:
    await note(database, "pbx1", leg_of=await note(database, "pbx1"))
    check = (await examined(run, "pbx1", fusionpbx()))["legs"]
    assert (check["state"], check["said"][:2]) == ("ok", "1 ")


async def test_legs_without_their_call_are_counted_by_what_is_missing(
    run: Run, database: str
) -> None:
    origin = uuid.uuid4()
    for named in (None, None, origin):
        leg = await note(database, "pbx1", leg_of=origin)
        await give_up(database, leg, named)
    check = (await examined(run, "pbx1", fusionpbx()))["legs"]
    assert check["state"] == "warn"
    assert "3 legs of the last week" in check["said"]
    assert "2 name no call, and the call of 1 did not come" in check["said"]
    assert "sign-export" in check["do"]


async def test_a_vodia_whose_calls_left_by_a_second_trunk_is_asked_to_post(
    run: Run, database: str
) -> None:
    origin = await note(database, "v1")
    leg = await note(database, "v1", leg_of=origin)
    assert (await examined(run, "v1", vodia()))["legs"]["state"] == "ok"
    await give_up(database, leg, origin)
    check = (await examined(run, "v1", vodia()))["legs"]
    assert check["state"] == "warn"
    assert "1 calls of the last week came in by one trunk and left by another" in check["said"]
    assert "/cdr/v1/json" in check["do"]
    posting = (await examined(run, "v1", vodia(push={"open": True})))["legs"]
    assert "see that its posts arrive" in posting["do"]


async def test_numbers_that_lost_their_plus_are_counted(run: Run, database: str) -> None:
    """9603331234 is of the Maldives, 3612345678 of Hungary or Texas."""
    await dial(database, "14165550100", "4165550100", "0119603331234", "+9603331234", "911", "*97")
    check = (await examined(run, "pbx1", fusionpbx()))["dialled numbers"]
    assert check["state"] == "ok"
    assert check["said"] == "none of 6 numbers dialled within two days seems to have lost its +"
    await dial(database, "9603331234", "3612345678", "9603331235")
    await dial(database, "447700900123", direction="inbound")
    await dial(database, "9607771234", days=3)
    check = (await examined(run, "pbx1", fusionpbx()))["dialled numbers"]
    assert check["state"] == "warn"
    assert "of 9 numbers dialled within two days, 2 are of another country" in check["said"]
    assert "9603331235, 9603331234: their + was lost. 1 more of ten digits" in check["said"]
    assert "docs/push.md" in check["do"]


async def test_numbers_whose_plus_a_post_shows_are_known(run: Run, database: str) -> None:
    await dial(database, "9603331234", lost_prefix="+", source="freeswitch-push")
    check = (await examined(run, "pbx1", fusionpbx()))["dialled numbers"]
    assert check["state"] == "ok"
    assert "1 were written without their + and are known" in check["said"]


async def test_calls_that_no_product_has_are_listed_by_extension_and_did(
    run: Run, database: str
) -> None:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("unknown-product", {"extension": "2119"}),
        ("unknown-product", {"extension": "2119"}),
        ("ambiguous-product", {"direction": "inbound", "caller_destination": "5195550177"}),
        ("no-matching-prefix", {"extension": "2112"}),
        ("unknown-product", {"extension": "2120", "billsec": 0}),
    ]
    for number, (reason, fields) in enumerate(kinds):
        waiting = call(number, **{"billsec": 60, **fields})
        await sql(
            database,
            "insert into rating.unrated (call_id, server_id, tenant, reason, detail, billsec,"
            " started_at, input_hash, call) values ($1, 'pbx1', 'north.example', $2, '', $3, $4,"
            " '', $5)",
            waiting.call_id,
            reason,
            waiting.billsec,
            waiting.started_at,
            waiting.to_json().decode(),
        )
    check = (await examined(run, "pbx1", fusionpbx()))["calls without product"]
    assert check["state"] == "warn"
    assert check["said"] == (
        "3 calls of north.example wait, 3 min 0 s of talk, because no single product has their"
        " extension or DID: 2119 (2), 5195550177 (1)"
    )
    assert "`ringfence unrated replay --tenant north.example`" in check["do"]
    other = {"pbx2": fusionpbx(), "pbx1": fusionpbx()}
    result = await run("--json", "--server", "pbx2", **other)
    assert "calls without product" not in result.stdout
