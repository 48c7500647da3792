"""Drift: elements that we switched off and somebody switched on are found, repaired, alarmed."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.leases import LEASE
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import account
from ringfence_testing.wait import until
from suspender.drivers.driver import (
    ElementReading,
    Failure,
    OperatorMustAct,
    PbxDriver,
    SwitchTarget,
)
from suspender.rules.elements import Element
from suspender.upkeep.drift.calls import CallWatch
from suspender.upkeep.drift.loop import DriftLoop
from suspender.upkeep.drift.scan import DriftScanner
from suspender.upkeep.drift.store import DriftStore
from suspender.upkeep.drift.store_calls import CallStore
from tests.support.upkeep import SuspenderTables

UNIT = 1_000_000
TRUNK = Element("gateway", "", "aa-bb")
OTHER = Element("gateway", "", "cc-dd")
PRODUCT = (
    account().services[0].model_copy(update={"suspend_by": "gateway", "gateway_ids": ("aa-bb",)})
)
OWNER = ("1001", "svc-1001")


class FakeServer:
    """A server as the set of elements that are on."""

    at_once = 100

    def __init__(self) -> None:
        self.on: set[Element] = set()
        self.unreadable: set[Element] = set()
        self.slow: asyncio.Event | None = None
        self.error: Exception | None = None
        self.asked: list[set[Element]] = []

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        self.asked.append({target.element for target in targets})
        if self.error is not None:
            raise self.error
        found = frozenset(self.on & self.asked[-1])
        if self.slow is not None:
            await self.slow.wait()
        return found

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        return {target.element: self._reading(target.element) for target in targets}

    def _reading(self, element: Element) -> ElementReading | Failure:
        if element in self.unreadable:
            return OperatorMustAct("no right to see it")
        return ElementReading("on" if element in self.on else "off")


class Watch:
    """A fake server, its records, and scans of it."""

    def __init__(self, rows: SuspenderTables, clock: Clock | None = None) -> None:
        self.rows = rows
        self.fake_pbx = FakeServer()
        self.clock = clock or SystemClock()
        self.woken = asyncio.Event()
        self.scanner = DriftScanner(
            store=DriftStore(rows.pool),
            drivers={"pbx1": cast(PbxDriver, self.fake_pbx)},
            clock=self.clock,
            woken=self.woken,
        )

    async def client(self, *, product: Service = PRODUCT, **service: Any) -> None:
        """Write a client who is suspended by gateway, with the record of the gateway."""
        await self.rows.client(services=(product,))
        await self.rows.service("1001", product, **service)
        await self.rows.record(TRUNK, OWNER)

    async def scan(self) -> list[tuple[str, bool]]:
        """Scan the server: the names of elements that were on, and whether each is repaired."""
        seen = await self.scanner.scan("pbx1")
        return [(found.element.name, found.repaired) for found in seen.found]

    async def waits(self) -> list[str]:
        """The elements that the worker will switch off again."""
        found = await self.rows.sql(
            "select element from suspender.switched_off where confirmed_at is null order by 1"
        )
        return [row["element"] for row in found]

    async def repaired(self) -> None:
        """The worker has switched them off."""
        self.fake_pbx.on.clear()
        await self.rows.sql(
            "update suspender.switched_off set confirmed_at = $1 where confirmed_at is null",
            self.clock.now(),
        )

    @asynccontextmanager
    async def looping(self, every_s: float = 300) -> AsyncIterator[None]:
        """Run the drift loop."""
        loop = DriftLoop(self.scanner, every_s=every_s, progress=Progress("drift"))
        async with running(loop):
            yield

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Run the watch for calls."""
        calls, progress = CallStore(self.rows.pool), Progress("calls")
        async with running(
            CallWatch(self.scanner, calls, progress=progress, every_s=0.05, rest_s=0.1)
        ):
            yield


@asynccontextmanager
async def running(loop: DriftLoop | CallWatch) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(loop.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="suspender", size=6) as pool:
        yield pool


@pytest.fixture
def rows(database: str, pool: Pool) -> SuspenderTables:
    return SuspenderTables(database, pool)


@pytest.fixture
def watch(rows: SuspenderTables) -> Watch:
    return Watch(rows)


async def test_an_element_that_was_switched_on_is_switched_off_again(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    before = count()
    assert await watch.scan() == [("aa-bb", True)]
    assert await watch.waits() == ["aa-bb"]
    assert watch.woken.is_set()
    assert count() == before + 1
    (alarm,) = await rows.published()
    assert (alarm.key, alarm.subject, alarm.severity) == (
        "drift",
        "pbx1/gateway/aa-bb",
        "warning",
    )
    assert "gateway aa-bb on server pbx1 is on, though" in alarm.message
    assert "client 1001, product svc-1001 (PBX of 1001)" in alarm.message
    assert alarm.account_id == "1001"
    assert "docs/runbooks/drift.md" in alarm.what_to_do
    await watch.repaired()
    assert await watch.scan() == []
    assert [state for _, _, state in await rows.alarms()] == ["raised", "ended"]
    assert await rows.value("select count(*) from report.drift") == 0


def count() -> float:
    labels = {"server": "pbx1"}
    return REGISTRY.get_sample_value("ringfence_suspender_drift_total", labels) or 0


async def test_drift_is_counted_once_while_the_worker_repairs_it(watch: Watch) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    await watch.scan()
    assert await watch.scan() == []
    assert watch.fake_pbx.asked == [{TRUNK}]


async def test_two_scans_at_the_same_time_count_once(watch: Watch, rows: SuspenderTables) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    found = await asyncio.gather(*(watch.scan() for _ in range(4)))
    assert sorted(found, reverse=True) == [[("aa-bb", True)], [], [], []]
    assert await rows.value("select cardinality(repairs) from suspender.drift") == 1


async def test_an_element_that_was_switched_off_during_a_scan_is_no_drift(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    watch.fake_pbx.on, watch.fake_pbx.slow = {TRUNK}, asyncio.Event()
    scan = asyncio.create_task(watch.scan())
    await until(lambda: watch.fake_pbx.asked)
    await rows.sql("update suspender.switched_off set confirmed_at = now()")
    watch.fake_pbx.slow.set()
    assert await scan == []
    assert await watch.waits() == []
    assert await rows.alarms() == []


async def test_the_fourth_drift_within_an_hour_is_alarmed_and_not_repaired(
    rows: SuspenderTables,
) -> None:
    clock = FixedClock(datetime.now(UTC))
    watch = Watch(rows, clock)
    await watch.client()
    for _ in range(3):
        watch.fake_pbx.on = {TRUNK}
        assert await watch.scan() == [("aa-bb", True)]
        await watch.repaired()
        clock.move(minutes=1)
        await watch.scan()
        clock.move(minutes=14)
    watch.fake_pbx.on = {TRUNK}
    assert await watch.scan() == [("aa-bb", False)]
    assert await watch.scan() == [("aa-bb", False)]
    assert await watch.waits() == []
    assert [state for _, _, state in await rows.alarms()] == ["raised", "ended"] * 3 + ["raised"]
    last = (await rows.published())[-1]
    assert last.severity == "critical"
    assert "3 times within an hour" in last.message
    assert "ringfence service reapply 1001 svc-1001" in last.what_to_do
    clock.move(minutes=16)
    assert await watch.scan() == [("aa-bb", True)]


async def test_an_open_alarm_is_replaced_when_repairs_stop(rows: SuspenderTables) -> None:
    clock = FixedClock(datetime.now(UTC))
    watch = Watch(rows, clock)
    await watch.client()
    for _ in range(4):
        watch.fake_pbx.on = {TRUNK}
        await watch.scan()
        await watch.repaired()
        clock.move(minutes=1)
    assert [(each.state, each.severity) for each in await rows.published()] == [
        ("raised", "warning"),
        ("ended", "warning"),
        ("raised", "critical"),
    ]


async def test_many_drifting_elements_are_one_alarm_about_the_server(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    trunks = {Element("gateway", "", f"gw-{number}") for number in range(20)}
    for element in trunks:
        await rows.record(element, OWNER)
        await rows.name(*OWNER, element)
    watch.fake_pbx.on = {TRUNK, *trunks}
    assert len(await watch.scan()) == 21
    (alarm,) = await rows.published()
    assert (alarm.key, alarm.subject) == ("drift", "pbx1")
    assert "21 elements that were switched off are on" in alarm.message
    await watch.repaired()
    watch.fake_pbx.on = {TRUNK}
    await watch.scan()
    assert await rows.alarms() == [
        ("drift", "pbx1", "raised"),
        ("drift", "pbx1/gateway/aa-bb", "raised"),
    ]
    await watch.repaired()
    await watch.scan()
    assert ("drift", "pbx1", "ended") in await rows.alarms()
    assert await _ended(rows)


@pytest.mark.parametrize(
    "case",
    [
        "on",
        "due",
        "due and gone",
        "shadow",
        "released",
        "found off",
        "unconfirmed",
        "paused",
        "claimed",
    ],
)
async def test_elements_that_are_not_confirmed_off_are_not_checked(
    watch: Watch, rows: SuspenderTables, case: str
) -> None:
    await watch.client(off=case != "on", due=case.startswith("due"), live=case != "shadow")
    changes = {
        "due and gone": "delete from suspender.named_element",
        "released": "update suspender.switched_off set released = true",
        "found off": "update suspender.switched_off set was_on = false",
        "unconfirmed": "update suspender.switched_off set confirmed_at = null",
        "paused": "insert into suspender.server_pause values ('pbx1', now(), null, 'olga')",
    }
    if case in changes:
        await rows.sql(changes[case])
    if case == "claimed":  # by a product that is to be on
        await rows.service("1002", PRODUCT, off=False)
        await rows.name("1002", "svc-1001", TRUNK)
    watch.fake_pbx.on = {TRUNK}
    assert await watch.scan() == []
    assert watch.fake_pbx.asked == []
    assert await rows.alarms() == []


async def test_elements_that_left_the_product_are_checked_while_the_hold_lasts(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client(departed=True)
    await rows.sql("delete from suspender.named_element")
    watch.fake_pbx.on = {TRUNK}
    assert await watch.scan() == [("aa-bb", True)]


async def test_elements_that_are_not_on_record_are_never_switched(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    await rows.name(*OWNER, OTHER)
    async with watch.looping(every_s=0.01):
        await until(lambda: len(watch.fake_pbx.asked) >= 2)
    assert watch.fake_pbx.asked[0] == {TRUNK}
    assert await watch.waits() == []
    assert await rows.alarms() == []


@pytest.mark.parametrize("error", [Retry("no answer"), ValueError("odd answer")])
async def test_a_server_that_does_not_answer_is_no_drift(
    watch: Watch, rows: SuspenderTables, error: Exception
) -> None:
    await watch.client()
    watch.fake_pbx.on, watch.fake_pbx.error = {TRUNK}, error
    async with watch.looping(every_s=0.01):
        await until(lambda: len(watch.fake_pbx.asked) >= 2)
        assert await rows.alarms() == []
        assert await rows.value("select error from report.drift_look") != ""
        watch.fake_pbx.error = None
        await until(watch.waits)
    assert await rows.value("select error from report.drift_look") == ""


@pytest.mark.parametrize(
    "change",
    [
        "delete from suspender.switched_off",
        "update suspender.switched_off set released = true",
        "update suspender.service set wanted = 'active', wanted_seq = 2",
    ],
)
async def test_an_alarm_ends_when_the_element_is_to_be_on(
    watch: Watch, rows: SuspenderTables, change: str
) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    async with watch.looping(every_s=0.01):
        await until(watch.waits)
        await rows.sql(change)
        await until(lambda: _ended(rows))
    assert await rows.value("select count(*) from report.drift") == 0


async def _ended(rows: SuspenderTables) -> bool:
    return ("drift", "pbx1/gateway/aa-bb", "ended") in await rows.alarms()


async def test_an_alarm_does_not_end_while_the_element_cannot_be_read(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    await watch.scan()
    await watch.repaired()
    watch.fake_pbx.unreadable = {TRUNK}
    await watch.scan()
    assert not await _ended(rows)
    watch.fake_pbx.unreadable = set()
    await watch.scan()
    assert await _ended(rows)


async def test_the_number_of_drifting_elements_is_a_metric(watch: Watch) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    async with watch.looping(every_s=0.01):
        await until(lambda: gauge() == 1)
        await watch.repaired()
        await until(lambda: gauge() == 0)


def gauge() -> float | None:
    return REGISTRY.get_sample_value("ringfence_suspender_drifting", {"server": "pbx1"})


async def charge(
    rows: SuspenderTables,
    version: int,
    answered_at: datetime,
    account_id: str = "1001",
    **more: Any,
) -> None:
    """Write a rated call of a service: a ledger entry and a newer balance."""
    explanation = {
        "service_id": f"svc-{account_id}",
        "direction": "outbound",
        "number": "14165550100",
        "started_at": answered_at.isoformat(),
        "answered_at": answered_at.isoformat(),
        **more,
    }
    await rows.sql(
        "with moved as ("
        "   insert into rating.account values ($1, 'CAD', -$2::bigint, $2)"
        "   on conflict (account_id) do update set version = excluded.version"
        " ) insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
        " balance_after_micro, cause_id, occurred_at, input_hash, explanation)"
        " values ($1, $2, $3, 'charge', $4, 0, $3, now(), '', $5)",
        account_id,
        version,
        uuid4(),
        -31_500,
        json.dumps(explanation),
    )


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)


async def test_a_call_after_the_suspension_causes_a_scan_at_once(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    async with watch.watching():
        await charge(rows, 7, ago(minutes=5))
        await until(watch.waits)
    (alarm,) = await rows.published()
    assert alarm.key == "drift"
    assert "a call to 14165550100, answered on" in alarm.message
    assert "which cost 0.0315 CAD" in alarm.message


@pytest.mark.parametrize(
    ("answered_s", "direction"), [(-600, "outbound"), (59, "outbound"), (600, "inbound")]
)
async def test_calls_from_before_the_suspension_and_inbound_calls_are_no_drift(
    watch: Watch, rows: SuspenderTables, answered_s: int, direction: str
) -> None:
    await watch.client()
    watch.fake_pbx.on = {TRUNK}
    cut = await rows.value("select confirmed_at from suspender.service")
    await charge(rows, 7, cut + timedelta(seconds=answered_s), direction=direction)
    async with watch.watching():
        await until(lambda: _seen(rows, 7))
    assert watch.fake_pbx.asked == []


async def _seen(rows: SuspenderTables, version: int) -> bool:
    found = await rows.sql("select version from suspender.drift_balance")
    return [row["version"] for row in found] == [version]


async def test_only_the_service_that_called_is_scanned(watch: Watch, rows: SuspenderTables) -> None:
    await watch.client()
    other = PRODUCT.model_copy(update={"service_id": "svc-1002", "gateway_ids": ("cc-dd",)})
    await rows.client("1002", services=(other,))
    await rows.service("1002", other)
    await rows.record(OTHER, ("1002", "svc-1002"))
    watch.fake_pbx.on = {TRUNK, OTHER}
    await charge(rows, 7, ago(minutes=5))
    async with watch.watching():
        await until(watch.waits)
        await charge(rows, 3, ago(minutes=70), "1002")
        await until(lambda: _count(rows, 2))
    assert watch.fake_pbx.asked == [{TRUNK}]


async def _count(rows: SuspenderTables, expected: int) -> bool:
    return bool(await rows.value("select count(*) from suspender.drift_balance") == expected)


async def test_a_call_is_not_lost_while_the_server_does_not_answer(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    watch.fake_pbx.on, watch.fake_pbx.error = {TRUNK}, Retry("no answer")
    await charge(rows, 7, ago(minutes=5))
    async with watch.watching():
        await until(lambda: len(watch.fake_pbx.asked) >= 2)
        watch.fake_pbx.error = None
        await until(watch.waits)


async def test_a_call_while_everything_is_off_is_alarmed_until_confirmed_off_again(
    watch: Watch, rows: SuspenderTables
) -> None:
    await watch.client()
    await charge(rows, 7, ago(minutes=5))
    async with watch.watching():
        await until(rows.alarms)
        assert await rows.alarms() == [("call-while-off", "1001/svc-1001", "raised")]
        await rows.sql("update suspender.service set confirmed_at = now()")
        await until(lambda: _ended_call(rows))


async def _ended_call(rows: SuspenderTables) -> bool:
    return ("call-while-off", "1001/svc-1001", "ended") in await rows.alarms()


@pytest.mark.parametrize("case", ["emergency", "repaired since", "being repaired"])
async def test_a_call_explained_by_drift_raises_no_alarm(
    watch: Watch, rows: SuspenderTables, case: str
) -> None:
    await watch.client()
    await rows.record(OTHER, OWNER)
    if case == "repaired since":
        await rows.sql("update suspender.switched_off set confirmed_at = now()")
    if case == "being repaired":
        await rows.sql(
            "update suspender.switched_off set confirmed_at = null where element = 'cc-dd'"
        )
    number = "911" if case == "emergency" else "14165550100"
    await charge(rows, 7, ago(minutes=5), number=number)
    async with watch.watching():
        await until(lambda: _seen(rows, 7))
        if case != "emergency":  # the second scan begins when the first has ended
            await until(lambda: len(watch.fake_pbx.asked) == 1)
            await charge(rows, 8, ago(minutes=5))
            await until(lambda: len(watch.fake_pbx.asked) == 2)
    assert await rows.alarms() == []


async def test_a_killed_scan_is_begun_again_soon_and_a_long_one_keeps_its_lease(
    rows: SuspenderTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise drift would last as long as the longest scan may take."""
    monkeypatch.setattr("suspender.upkeep.leases.RENEWED_EVERY_S", 0.01)
    clock = FixedClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    watch = Watch(rows, clock)
    await watch.client()
    store, killed_at = watch.scanner.store, clock.now()
    await store.register(["pbx1"], killed_at)
    assert await store.claim(["pbx1"], killed_at, killed_at + LEASE) == ["pbx1"]
    clock.set(killed_at + timedelta(seconds=30))
    watch.fake_pbx.slow = asyncio.Event()
    async with watch.looping():
        await until(lambda: watch.fake_pbx.asked, what="the look is begun again")
        clock.set(clock.now() + 3 * LEASE)
        await until(partial(_is_due_at, rows, clock.now() + LEASE))
        assert await store.claim(["pbx1"], clock.now(), clock.now() + LEASE) == []
        watch.fake_pbx.slow.set()
        await until(partial(_is_due_at, rows, clock.now() + timedelta(seconds=300)))


async def _is_due_at(rows: SuspenderTables, instant: datetime) -> bool:
    (row,) = await rows.sql("select next_at from suspender.drift_look")
    return bool(row["next_at"] == instant)
