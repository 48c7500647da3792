"""Talk that is too long to be true, or that nobody pays for, raises alarms; nothing is free."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from rating.exposure.store import MAX_SUBJECTS, ExposureStore
from rating.exposure.watch import ExposureWatch
from ringfence.observe.health import Progress
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.topics import RATING_ALARM
from ringfence_testing.records import NOON, account, call
from tests.support.rating import BRITAIN, Bench, open_bench, payment

HOUR_S = 3600
PHANTOM_S = 43_201


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


@pytest.fixture
def watch(bench: Bench) -> ExposureWatch:
    return ExposureWatch(
        rating=bench.worker,
        store=ExposureStore(bench.pool),
        clock=bench.clock,
        progress=Progress("test"),
        grace=timedelta(0),
    )


async def alarms(bench: Bench) -> list[Alarm]:
    rows = await bench.sql(
        "select value from rating.outbox where topic = $1 order by id", RATING_ALARM.name
    )
    return [Alarm.model_validate_json(row["value"]) for row in rows]


async def states(bench: Bench) -> list[tuple[str, str, str]]:
    return [(alarm.key, alarm.subject, alarm.state) for alarm in await alarms(bench)]


async def wait_in_queue(bench: Bench) -> None:
    """The queue's times are the database's; the bench's clock is another."""
    await bench.sql("update rating.unrated set queued_at = $1", NOON)


async def test_a_call_of_twelve_hours_is_charged_and_an_operator_is_informed_once(
    bench: Bench,
) -> None:
    phantom = call(1, billsec=PHANTOM_S)
    for _ in range(2):  # delivered twice
        await bench.rate(phantom, worker=bench.new_worker(check_first=10))
    assert await bench.entries() == [("charge", -7_210_000)]
    (alarm,) = await alarms(bench)
    assert (alarm.key, alarm.account_id) == ("long-call", "1001")
    assert alarm.subject == f"pbx1/north.example/{phantom.source_call_id}"
    for words in ("12 h 0 min (43201 s)", "Ada North (1001)", "charged 7.21 CAD", "2112"):
        assert words in alarm.message
    assert f"ringfence explain {phantom.call_id}" in alarm.what_to_do


@pytest.mark.parametrize(("billsec", "raised"), [(4 * HOUR_S, 0), (4 * HOUR_S + 1, 1)])
async def test_only_a_call_longer_than_the_limit_raises_the_alarm(
    bench: Bench, billsec: int, raised: int
) -> None:
    await bench.rate(call(1, billsec=billsec))
    assert len(await alarms(bench)) == raised


async def test_a_long_call_that_waits_unrated_raises_the_alarm_as_well(bench: Bench) -> None:
    await bench.rate(call(1, billsec=PHANTOM_S, tenant="south.example"))
    (alarm,) = await alarms(bench)
    assert (alarm.key, alarm.account_id) == ("long-call", None)
    assert "waits unrated (unknown-product)" in alarm.message


async def test_a_long_call_that_costs_nothing_raises_no_alarm(bench: Bench) -> None:
    await bench.rate(call(1, billsec=PHANTOM_S, direction="local", destination_number="2113"))
    assert await alarms(bench) == []


async def test_long_calls_of_a_pbx_that_is_out_of_order_raise_a_bounded_number_of_alarms(
    bench: Bench,
) -> None:
    await bench.rate(*(call(n, billsec=PHANTOM_S) for n in range(MAX_SUBJECTS + 30)))
    subjects = [subject for _, subject, _ in await states(bench)]
    assert len(subjects) == MAX_SUBJECTS + 1
    assert subjects.count("pbx1/*") == 1


async def test_the_alarm_about_a_long_call_ends_after_a_day(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.rate(call(1, billsec=PHANTOM_S))
    await watch.look()
    assert len(await alarms(bench)) == 1
    bench.clock.move(hours=25)
    await watch.look()
    assert [state for _, _, state in await states(bench)] == ["raised", "ended"]


async def test_calls_of_an_extension_without_product_wait_under_one_alarm_for_their_tenant(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.rate(call(1, extension="2199", billsec=300), call(2, extension="2198", billsec=60))
    await wait_in_queue(bench)
    for _ in range(2):
        await watch.look()
    (alarm,) = await alarms(bench)
    assert (alarm.key, alarm.subject) == ("calls-without-product", "pbx1/north.example")
    for words in ("2 calls of tenant north.example on pbx1", "6 min 0 s", "2198, 2199"):
        assert words in alarm.message
    for words in ("ringfence product set", "ringfence doctor", "ringfence unrated replay"):
        assert words in alarm.what_to_do


async def test_the_alarm_about_calls_without_product_ends_when_they_are_charged(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.rate(call(1, extension="2199"))
    await wait_in_queue(bench)
    await watch.look()
    await bench.save_accounts(account(version=2, extensions=("2112", "2199")))
    await bench.sql("update rating.unrated set replay_requested_at = now()")
    assert await bench.replay() == 1
    await watch.look()
    assert [state for _, _, state in await states(bench)] == ["raised", "ended"]


async def test_unanswered_calls_and_calls_that_came_just_now_raise_no_alarm(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.rate(call(1, extension="2199", billsec=0))
    await wait_in_queue(bench)
    await bench.rate(call(2, extension="2198"))
    bench.clock.set(NOON)
    await watch.look()
    assert await alarms(bench) == []


async def test_invented_tenants_raise_a_bounded_number_of_alarms(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.rate(*(call(n, tenant=f"t{n:03}.example") for n in range(MAX_SUBJECTS + 30)))
    await wait_in_queue(bench)
    await watch.look()
    subjects = [subject for _, subject, _ in await states(bench)]
    assert len(subjects) == MAX_SUBJECTS + 1
    assert "pbx1/*" in subjects


async def test_unrated_talk_is_valued_at_the_dearest_rate_and_alarmed_beyond_the_credit(
    bench: Bench, watch: ExposureWatch
) -> None:
    """Ten minutes at 0.02 a minute are 0.20: within a credit of 0.25, beyond one of 0.15."""
    await bench.pay(payment("a", 250_000))
    await bench.rate(call(1, destination_number="011390612345678", billsec=600))
    await wait_in_queue(bench)
    await watch.look()
    assert await alarms(bench) == []
    await bench.pay(payment("b", -100_000, kind="adjustment"))
    await watch.look()
    (alarm,) = await alarms(bench)
    assert (alarm.key, alarm.subject, alarm.severity) == ("unrated-exposure", "1001", "critical")
    for words in ("1 call of client Ada North", "10 min 0 s", "at most 0.20 CAD", "0.15 CAD"):
        assert words in alarm.message
    assert "no-matching-prefix" in alarm.message
    assert "011390612345678" in alarm.message
    await bench.publish_tariff(BRITAIN, ("39", "Italy", "0.01", 60, 60, 1), version=2)
    await bench.sql("update rating.unrated set replay_requested_at = now()")
    await bench.replay()
    await watch.look()
    assert [state for _, _, state in await states(bench)] == ["raised", "ended"]


async def test_half_an_hour_of_unrated_talk_in_a_day_raises_the_alarm_whatever_the_credit(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.pay(payment("a", 100_000_000))
    await bench.rate(call(1, destination_number="011390612345678", billsec=1800))
    await wait_in_queue(bench)
    await watch.look()
    assert await alarms(bench) == []
    await bench.rate(call(2, destination_number="011390612345678", billsec=1))
    await wait_in_queue(bench)
    await watch.look()
    assert [(key, subject) for key, subject, _ in await states(bench)] == [
        ("unrated-exposure", "1001")
    ]


async def test_talk_of_a_metered_client_is_not_compared_with_his_credit(
    bench: Bench, watch: ExposureWatch
) -> None:
    await bench.save_accounts(account(version=2, service={"prepaid": False}))
    await bench.rate(call(1, destination_number="011390612345678", billsec=600))
    await wait_in_queue(bench)
    await watch.look()
    assert await alarms(bench) == []
