"""The outcome of damaged and malicious CDRs: every row of docs/hostile-values.md."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.postgres.pool import open_pool
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import CALL_COMPLETED, CALL_RATED, CALL_UNRATED
from ringfence_testing.records import NOON, account, call, from_bytes
from tests.support.rating import Bench, open_bench, payment

RATED, WAITS, DEAD = "rated", "waits", "dead"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


def written(**fields: Any) -> bytes:
    """An ordinary call with some of its fields as anybody might write them."""
    record = orjson.loads(call().to_json()) | fields
    parts = (f"{orjson.dumps(name).decode()}:{_raw(value)}" for name, value in record.items())
    return ("{" + ",".join(parts) + "}").encode()


class Raw(str):
    """JSON text that is not encoded again."""


def _raw(value: Any) -> str:
    return value if isinstance(value, Raw) else json.dumps(value)


async def take(bench: Bench, value: bytes) -> Outcome:
    return await bench.worker.handle([from_bytes(CALL_COMPLETED, value, call().call_id)])


def what_became(outcome: Outcome) -> str:
    topics = {event.topic for event in outcome.publish}
    if outcome.reject:
        return DEAD
    return RATED if CALL_RATED in topics else WAITS if CALL_UNRATED in topics else "nothing"


@pytest.mark.parametrize(
    ("fields", "became"),
    [
        ({"billsec": -60}, DEAD),
        ({"billsec": 10**30}, DEAD),
        ({"billsec": 7 * 86_400 + 1}, DEAD),
        ({"billsec": 7 * 86_400}, RATED),
        ({"billsec": Raw("NaN")}, DEAD),
        ({"billsec": Raw("Infinity")}, DEAD),
        ({"billsec": 60.5}, DEAD),
        ({"billsec": "1,080.00"}, DEAD),
        ({"billsec": None}, DEAD),
        ({"billsec": 60.0}, RATED),
        ({"billsec": "60"}, RATED),
        ({"answered_at": "2026-11-21T11:00:00Z"}, RATED),
        ({"answered_at": "1970-01-01T00:00:00Z"}, RATED),
        ({"ended_at": "2026-11-21T11:00:00Z"}, RATED),
        ({"started_at": "2099-01-01T00:00:00Z", "ended_at": "2099-01-01T00:01:00Z"}, WAITS),
        ({"started_at": "1970-01-01T00:00:00Z", "answered_at": None}, WAITS),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, DEAD),
        ({"ended_at": "9999-12-31T23:59:59-12:00"}, DEAD),
        ({"started_at": "2026-11-21T12:00:00"}, DEAD),
        ({"caller_name": "x" * 10_000}, RATED),
        ({"caller_name": "a\x00b"}, RATED),
        ({"caller_name": '=HYPERLINK("http://x","y")'}, RATED),
        ({"caller_name": "'; drop table rating.ledger; --"}, RATED),
        ({"caller_name": "📞🏴‍☠️ ‮evil"}, RATED),
        ({"caller_name": Raw('"\\ud800"')}, DEAD),
        ({"destination_number": "1" * 10_000}, WAITS),
        ({"destination_number": "14165550100\x00"}, WAITS),
        ({"destination_number": "1٤١٦٥٥٥٠١٠٠"}, WAITS),
        ({"destination_number": "'; delete from rating.account; --"}, WAITS),
        ({"destination_number": ""}, WAITS),
        ({"tenant": "NORTH.Example"}, RATED),
        ({"tenant": " north.example "}, RATED),
        ({"tenant": "north.example\x00"}, DEAD),
        ({"tenant": "n" * 2000}, DEAD),
        ({"tenant": "north.example.evil.example"}, WAITS),
        ({"tenant": "%"}, WAITS),
        ({"extension": "2112\x00"}, WAITS),
        ({"extension": "21\x0012"}, WAITS),
        ({"direction": "OUTBOUND"}, DEAD),
        ({"account_id": "1002", "cost_micro": -5}, RATED),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_each_row_of_the_page_is_true(
    bench: Bench, fields: dict[str, int], became: str
) -> None:
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert what_became(await take(bench, written(**fields))) == became
    assert await bench.balance("1002") == 0
    assert await bench.balance("1001") == (0 if became != RATED else await bench.balance("1001"))
    assert (await bench.balance("1001") < 0) == (became == RATED)
    places = await bench.value(
        "select (select count(*) from rating.ledger) + (select count(*) from rating.unrated)"
        " + (select count(*) from rating.dead_call)"
    )
    assert places == 1


async def test_a_batch_of_all_hostile_records_affects_no_other_call(bench: Bench) -> None:
    bad = [b"", b"\xff\xfe", b"[]", b"null", written(billsec=-1), written(caller_name="x" * 10**6)]
    good = [call(n) for n in range(10, 20)]
    records = [from_bytes(CALL_COMPLETED, value) for value in bad]
    records += [from_bytes(CALL_COMPLETED, c.to_json(), c.call_id) for c in good]
    outcome = await bench.worker.handle(records)
    assert len(outcome.reject) == 5
    assert await bench.balance() == -110_000


async def test_a_call_from_a_clock_that_was_ahead_is_rated_later(bench: Bench) -> None:
    await bench.rate(call(started_at=NOON + timedelta(days=3)))
    assert await bench.balance() == 0
    bench.clock.move(days=3)
    await bench.sql("update rating.unrated set replay_requested_at = now()")
    await bench.replay()
    assert await bench.balance() == -10_000


async def test_a_cleaned_call_that_comes_again_is_the_same_call(bench: Bench) -> None:
    for _ in range(2):
        outcome = await take(bench, written(caller_name="x" * 10_000))
        assert outcome.reject == []
    assert await bench.balance() == -10_000


async def test_a_payment_over_the_limit_is_rejected(bench: Bench) -> None:
    outcome = await bench.pay(payment("k", 10**17))
    assert "amount_micro: got 100000000000000000" in outcome.reject[0].reason
    assert await bench.balance() == 0
    await bench.pay(*(payment(f"k{n}", 10**15) for n in range(12)))
    assert await bench.balance() == 10**16


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(["2112", "1002", "north.example", "SOUTH.example", "outbound", "\x00"]),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
)
names = st.sampled_from([name for name in orjson.loads(call().to_json()) if name != "call_id"])


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.lists(st.dictionaries(names, anything, max_size=4), min_size=1, max_size=5))
def test_for_any_record_no_charge_is_negative_and_no_call_is_lost(
    database: str, changes: list[dict[str, Any]]
) -> None:
    asyncio.run(_survives(database, changes))


async def _survives(database: str, changes: list[dict[str, Any]]) -> None:
    async with _OpenedAgain(database) as bench:
        records = []
        for change in changes:
            found = call(int(await bench.value("select nextval('made')::int")))
            value = json.dumps(orjson.loads(found.to_json()) | change).encode()
            records.append(from_bytes(CALL_COMPLETED, value, found.call_id))
        await bench.worker.handle(records)
        ids = [record.event_id for record in records]
        for call_id in ids:
            places = await bench.value(
                "select (select count(*) from rating.ledger where cause_id = $1)"
                " + (select count(*) from rating.unrated where call_id = $1)"
                " + (select count(*) from rating.dead_call where call_id = $1)"
                " + (select count(*) from rating.not_billed where call_id = $1)",
                call_id,
            )
            assert places == 1
        assert not await bench.sql("select * from rating.ledger where amount_micro > 0")
        assert not await bench.drift()


class _OpenedAgain:
    """A bench on a database that other examples used before."""

    def __init__(self, database: str) -> None:
        self._database = database

    async def __aenter__(self) -> Bench:
        self._pool = await open_pool(self._database, service="rating", size=4)
        bench = Bench(self._database, self._pool)
        await bench.sql("create sequence if not exists made")
        if not await bench.sql("select * from rating.tariff"):
            await bench.publish_tariff(("1", "North America", "0.01", 60, 60, 1))
            await bench.save_accounts(account())
        return bench

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()
