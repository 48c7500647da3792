"""Rows that a PBX does not confirm wait in the unrated queue, and an alarm informs the operator."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from rating.jobs.drops import RowDrop
from rating.unrated.rows import RowIntake
from rating.unrated.store import ReplayStore
from rating.unrated.store_rows import MAX_TENANTS, QueuedRows
from ringfence.postgres.jobs import Job
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.call import CallUnconfirmed
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import CALL_UNCONFIRMED, RATING_ALARM
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON, received
from tests.support.rating import Bench, open_bench

ROW = CallUnconfirmed(
    row_id=derive("test-row", 1),
    server_id="pbx-1",
    tenant="a.example.com",
    state="waiting",
    reason="not-confirmed",
    detail="pbx-1 lists this row but finds no call",
    source_call_id="0f4205b4-907a-40c3-9012-f037b64ce422",
    billsec=3600,
    started_at=NOON - timedelta(hours=1),
    seen_at=NOON,
    asked_at=NOON,
    row='"a","b"',
)


def other(number: int, **changed: Any) -> CallUnconfirmed:
    return ROW.model_copy(update={"row_id": derive("test-row", number), **changed})


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


async def receive(bench: Bench, *events: CallUnconfirmed) -> None:
    intake = RowIntake(QueuedRows(bench.pool), FixedClock(NOON))
    outcome = await intake.handle([received(CALL_UNCONFIRMED, event) for event in events])
    assert (list(outcome.publish), outcome.reject) == ([], [])


async def queue(bench: Bench) -> list[tuple[Any, ...]]:
    rows = await bench.sql(
        "select call_id, reason, billsec, queued_at, is_row from report.unrated order by call_id"
    )
    return [tuple(row) for row in rows]


async def alarms(bench: Bench) -> list[tuple[str, str]]:
    return [(alarm.subject, alarm.state) for alarm in await raised(bench)]


async def raised(bench: Bench) -> list[Alarm]:
    rows = await bench.sql(
        "select value from rating.outbox where topic = $1 order by id", RATING_ALARM.name
    )
    return [Alarm.model_validate_json(row["value"]) for row in rows]


async def test_a_row_waits_with_its_reason_under_one_alarm(bench: Bench) -> None:
    for _ in range(2):  # delivered twice
        await receive(bench, ROW, other(2, reason="unreadable"))
    assert sorted(await queue(bench)) == sorted(
        [
            (ROW.row_id, "row-not-confirmed", 3600, NOON, True),
            (other(2).row_id, "row-unreadable", 3600, NOON, True),
        ]
    )
    (alarm,) = await raised(bench)
    assert (alarm.key, alarm.subject) == ("rows-unconfirmed", "pbx-1/a.example.com")
    assert (alarm.severity, alarm.state) == ("critical", "raised")
    for word in ("2 rows of tenant a.example.com", "7200 s of talk", "not charged", ROW.detail):
        assert word in alarm.message
    for word in ("extensions", "ringfence unrated drop", "unconfirmed-rows"):
        assert word in alarm.what_to_do


async def test_a_confirmed_row_leaves_the_queue_and_the_last_one_ends_the_alarm(
    bench: Bench,
) -> None:
    await receive(bench, ROW, other(2))
    await receive(bench, ROW.model_copy(update={"state": "confirmed"}))
    assert [row[0] for row in await queue(bench)] == [other(2).row_id]
    assert await alarms(bench) == [("pbx-1/a.example.com", "raised")]
    await receive(bench, other(2, state="confirmed"))
    assert await queue(bench) == []
    assert (await alarms(bench))[1:] == [("pbx-1/a.example.com", "ended")]


async def test_every_tenant_has_its_alarm_but_invented_ones_have_a_bound(bench: Bench) -> None:
    rows = [other(n, tenant=f"t{n:03}.example.com") for n in range(MAX_TENANTS + 30)]
    await receive(bench, *rows)
    subjects = [subject for subject, _ in await alarms(bench)]
    assert len(subjects) == MAX_TENANTS + 1
    assert "pbx-1/*" in subjects
    await receive(bench, *(row.model_copy(update={"state": "confirmed"}) for row in rows))
    assert [state for _, state in await alarms(bench)].count("ended") == MAX_TENANTS + 1


async def test_no_replay_rates_a_row_and_a_request_for_it_stays_until_it_was_asked_again(
    bench: Bench,
) -> None:
    await receive(bench, ROW)
    queued = ReplayStore(bench.pool)
    await queued.mark_tenants([("pbx-1", "a.example.com")], NOON - timedelta(days=1))
    assert await requested(bench) == []
    await bench.sql("update rating.unrated set replay_requested_at = $1", NOON)
    assert await bench.worker.replay() == 0
    assert await requested(bench) == [ROW.row_id]
    await receive(bench, ROW.model_copy(update={"asked_at": NOON - timedelta(seconds=1)}))
    assert await requested(bench) == [ROW.row_id], "asked before the request"
    await receive(bench, ROW.model_copy(update={"asked_at": NOON + timedelta(seconds=1)}))
    assert await requested(bench) == []


async def requested(bench: Bench) -> list[Any]:
    return [row["row_id"] for row in await bench.sql("select row_id from report.row_requested")]


async def drop(bench: Bench, **arguments: str) -> Mapping[str, Any]:
    job = Job(UUID(int=1), "unrated.drop", arguments, "op", NOON, NOON, 1)
    return await RowDrop(bench.pool, FixedClock(NOON)).run(job, lambda *_: None)


async def test_a_dropped_row_is_dead_and_never_queued_again(bench: Bench) -> None:
    await receive(bench, ROW, other(2))
    short = str(ROW.row_id)[:8]
    assert await drop(bench, rows=short, why="forged") == {"dropped": [str(ROW.row_id)]}
    await receive(bench, ROW)
    assert [row[0] for row in await queue(bench)] == [other(2).row_id]
    (dead,) = await bench.sql("select call_id, reason from rating.dead_call")
    assert (dead["call_id"], dead["reason"]) == (
        ROW.row_id,
        "dropped by an operator: the PBX does not hold such a call: forged",
    )
    await drop(bench, rows=str(other(2).row_id), why="forged")
    assert (await alarms(bench))[-1] == ("pbx-1/a.example.com", "ended")
    with pytest.raises(BadInput, match="did not confirm"):
        await drop(bench, rows=short, why="again")


async def test_i3_counts_rows_that_wait(bench: Bench) -> None:
    await bench.sql(
        "insert into cdr_ingest.unconfirmed_row (row_id, server_id, lane, tenant, source_call_id,"
        " reason, detail, billsec, started_at, row_text, seen_at, asked_at)"
        " values ($1, 'pbx-1', '*', 'a.example.com', '', 'unreadable', '', 60, $2, '', $2, $2)",
        ROW.row_id,
        NOON,
    )
    drift = "select call_id, places from rating.drift_i3"
    assert [tuple(r) for r in await bench.sql(drift)] == [(ROW.row_id, 0)], "it is lost"
    await receive(bench, ROW)
    assert await bench.sql(drift) == []
    await drop(bench, rows=str(ROW.row_id), why="forged")
    assert await bench.sql(drift) == []
    await bench.sql("delete from rating.dead_call")
    await bench.sql("update cdr_ingest.unconfirmed_row set confirmed_at = now()")
    assert await bench.sql(drift) == []
