"""I3 from its checkpoint: which calls are looked at, which are sealed, and what is found later."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from rating.audit.checkpoints import place_check
from rating.audit.checkpoints.place_check import PlaceCheck
from rating.audit.checkpoints.store_places import PlacesStore
from rating.audit.invariants import verify
from rating.audit.store import AuditStore
from ringfence_contracts.events.call import CallCompleted
from ringfence_testing.records import call
from tests.support.rating import Bench, open_bench

EARLIER = timedelta(hours=1)
UNPRICED = {"extension": "2999"}


@pytest.fixture
async def bench(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Seven calls in three instants an hour ago, one of which waits for a price; pages of two."""
    monkeypatch.setattr(place_check, "_AT_ONCE", 2)
    async with open_bench(database) as bench:
        calls = [call(n) for n in range(6)] + [call(6, **UNPRICED)]
        await bench.rate(*calls)
        for first, minute in ((0, 0), (1, 1), (4, 2)):
            part = calls[first : {0: 1, 1: 4, 4: 7}[first]]
            await accept(bench, part, datetime.now(UTC) - EARLIER + timedelta(minutes=minute))
        yield bench


async def accept(bench: Bench, calls: Sequence[CallCompleted], at: datetime) -> None:
    await bench.sql(
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition, reason,"
        " accepted_at) select id, 'pbx1', 'north.example', '', 'published', '', $2"
        " from unnest($1::uuid[]) as n (id)",
        [each.call_id for each in calls],
        at,
    )


async def found(bench: Bench) -> list[str]:
    """What differs, by the checkpoint; by all calls it is the same."""
    check = await PlaceCheck(PlacesStore(bench.pool), wait_s=0, on_progress=lambda *_: None).run()
    return check.differences


async def found_by_all(bench: Bench) -> list[str]:
    checks, _ = await verify(
        AuditStore(bench.pool), wait_s=0, on_progress=lambda *_: None, full=True
    )
    (check,) = [check for check in checks if check.name == "I3"]
    return check.differences


async def sealed(bench: Bench) -> int:
    rows = await bench.sql("select records from rating.checkpoint_places")
    return rows[0]["records"] if rows else 0


async def open_calls(bench: Bench) -> set[UUID]:
    return {row["call_id"] for row in await bench.sql("select * from rating.checkpoint_open_call")}


def nowhere(number: int) -> str:
    return f"call {call(number).call_id} of pbx1: found nowhere"


async def test_calls_in_one_place_are_sealed_and_only_open_ones_are_looked_at_again(
    bench: Bench,
) -> None:
    assert await found(bench) == await found_by_all(bench) == []
    assert (await sealed(bench), await open_calls(bench)) == (7, {call(6).call_id})
    await bench.sql("delete from rating.unrated")
    assert await found(bench) == await found_by_all(bench) == [nowhere(6)]


async def test_an_open_call_that_was_settled_is_not_looked_at_again(bench: Bench) -> None:
    await found(bench)
    await bench.sql("delete from rating.unrated")
    await bench.rate(call(6))
    assert await found(bench) == []
    assert await open_calls(bench) == set()


async def test_nothing_from_a_wrong_call_on_is_sealed_until_it_is_repaired(bench: Bench) -> None:
    await bench.sql("create table kept as select * from rating.ledger")
    await bench.sql("delete from rating.ledger where cause_id = $1", call(2).call_id)
    assert await found(bench) == await found(bench) == await found_by_all(bench) == [nowhere(2)]
    assert await sealed(bench) == 1, "the instant of the wrong call has three, and the next one too"
    await bench.sql("delete from rating.ledger")
    await bench.sql("insert into rating.ledger select * from kept")
    assert await found(bench) == []
    assert (await sealed(bench), await open_calls(bench)) == (7, {call(6).call_id})


async def test_a_call_in_two_places_is_found(bench: Bench) -> None:
    await bench.sql(
        "insert into rating.dead_call (call_id, reason, record) values ($1, '', '')",
        call(6).call_id,
    )
    assert await found(bench) == await found_by_all(bench) == [], "it is dead no more"
    await bench.rate(call(20, **UNPRICED))
    await bench.sql("update rating.unrated set call_id = $1 where call_id = $2",
                    call(3).call_id, call(20).call_id)  # fmt: skip
    line = f"call {call(3).call_id} of pbx1: found in 2 places"
    assert await found_by_all(bench) == [line]
    assert await found(bench) == [], "it was sealed before: --full looks at all"


async def test_young_calls_are_looked_at_and_not_sealed(bench: Bench) -> None:
    await found(bench)
    await bench.rate(call(30))
    await accept(bench, [call(30), call(31)], datetime.now(UTC) - timedelta(minutes=1))
    assert await found(bench) == await found_by_all(bench) == [nowhere(31)]
    await bench.rate(call(31))
    assert await found(bench) == []
    assert await sealed(bench) == 7
