"""The suspender on a real database, with a fake PBX: send events, then read rows and outbox."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from ringfence.clock import Clock, SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import AccountChanged, Order, Service
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceRestored, BalanceZero
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.events.service import ServiceSuspended
from ringfence_contracts.records import Outcome, Received
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    BY_NAME,
    OPERATOR_REQUESTED,
)
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON, account, received
from ringfence_testing.wait import until
from suspender.decider import Decider
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    HungUp,
    Inventory,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
)
from suspender.rules.brake import BrakeLimits
from suspender.rules.elements import Element
from suspender.service import Suspender
from suspender.settings import Settings
from suspender.store import SuspenderStore
from suspender.switching.store import WorkStore
from suspender.switching.worker import Worker, find_loose

UNIT = 1_000_000
SETTINGS = Settings(suspender_poll_s=0.05, suspender_backoff_max_s=0.2, suspender_breaker_s=0.3)
NO_BRAKE = BrakeLimits(0, 0, timedelta(minutes=10))


class FakePbx:
    """A server as a set of elements that are off; it can be made to refuse or to fail.

    Names in `missing` it does not have; names in `stuck` it cannot switch, for the reason given.
    `at_switch` is called before and after each toggle, and may raise: the process dies there.
    """

    def __init__(self, at_once: int = 100) -> None:
        self.at_once = at_once
        self.off_now: set[Element] = set()
        self.values: dict[Element, str] = {}
        self.missing: set[str] = set()
        self.stuck: dict[str, Failure] = {}
        self.extensions: dict[str, set[str]] = {}
        self.switched: list[str] = []
        self.calls: list[str] = []
        self.refuses = ""
        self.fails = False
        self.proven = True
        self.at_switch: Callable[[str, Element], None] = lambda moment, element: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.hung_up: list[tuple[str, tuple[str, ...]]] = []
        self.live_calls = HungUp()
        self.hang_up_fails = False

    @property
    def off(self) -> set[str]:
        """The names of the elements that are off."""
        return {element.name for element in self.off_now}

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The state of each element."""
        self._called("read")
        return {target.element: self._reading(target.element) for target in targets}

    async def switch(self, changes: Sequence[ElementChange]) -> dict[Element, SwitchDone | Failure]:
        """Switch each element by itself."""
        assert len(changes) <= self.at_once
        self._called("bring")
        if any(change.off for change in changes):
            await self.gate.wait()
        return {change.target.element: self._switch(change) for change in changes}

    async def extensions_of(self, tenant: str) -> frozenset[str]:
        """The extensions that the test set for the tenant."""
        self._called("extensions_of")
        return frozenset(self.extensions.get(tenant, ()))

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """The calls that the test set."""
        self._called("hang_up")
        if self.hang_up_fails:
            raise Retry("no list of calls")
        self.hung_up.append((product.service_id, tuple(extensions)))
        return self.live_calls

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """The elements that are not off."""
        return frozenset({target.element for target in targets} - self.off_now)

    async def inventory(self) -> Inventory:
        """An empty inventory."""
        return Inventory()

    async def aclose(self) -> None:
        """Nothing to close."""

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.fails:
            raise Retry("no answer")

    def _reading(self, element: Element) -> ElementReading:
        if element.name in self.missing:
            return ElementReading("missing")
        value = self.values.get(element, "")
        if element.way == "outbound":
            return ElementReading("on" if value else "off", value)
        return ElementReading("off" if element in self.off_now else "on", value)

    def _switch(self, change: ElementChange) -> SwitchDone | Failure:
        element = change.target.element
        if self.refuses:
            return OperatorMustAct(self.refuses)
        if element.name in self.stuck:
            return self.stuck[element.name]
        self.at_switch("before", element)
        way = "off" if change.off else "on"
        self.switched.append(f"{element.name} {way}")
        (self.off_now.add if change.off else self.off_now.discard)(element)
        if element.way == "outbound":
            self.values[element] = "" if change.off else change.value
        self.at_switch("after", element)
        return SwitchDone(f"{element.name} read back: {way}", self.proven)


class SuspenderHarness:
    """The handler, the worker, the fake PBX and the database. `clock` is used for decisions."""

    def __init__(
        self, dsn: str, pool: Pool, *, limits: BrakeLimits = NO_BRAKE, clock: Clock | None = None
    ) -> None:
        self.dsn = dsn
        self.store = SuspenderStore(pool)
        self.work = WorkStore(pool)
        self.clock = clock or FixedClock(NOON)
        self.decider = Decider(
            store=self.store, clock=self.clock, limits=limits, woken=asyncio.Event()
        )
        self.suspender = Suspender(self.decider)
        self.fake_pbx = FakePbx()
        self._crossings: dict[str, int] = {}
        self._holds: dict[str, int] = {}

    async def send(self, *records: Received) -> Outcome:
        """Handle a batch; no record may be rejected."""
        outcome = await self.suspender.handle(records)
        assert outcome.reject == []
        return outcome

    async def profile(self, version: int = 1, account_id: str = "1001", **fields: Any) -> None:
        await self.send(profile(version, account_id, **fields))

    def next_zero(self, account_id: str = "1001", **fields: Any) -> Received:
        """The record of the next funds hold of an account, with the next crossing."""
        crossing = self._next(self._crossings, account_id)
        hold = self._next(self._holds, account_id)
        return received(BALANCE_ZERO, zero(crossing, account_id, hold=hold, **fields))

    def next_restored(self, account_id: str = "1001", **fields: Any) -> Received:
        """The record of the end of an account's funds hold."""
        crossing = self._next(self._crossings, account_id)
        fields = {"hold": self._holds.get(account_id, 0), **fields}
        return received(BALANCE_RESTORED, restored(crossing, account_id, **fields))

    @staticmethod
    def _next(counts: dict[str, int], account_id: str) -> int:
        counts[account_id] = counts.get(account_id, 0) + 1
        return counts[account_id]

    async def zero(self, account_id: str = "1001", **fields: Any) -> None:
        await self.send(self.next_zero(account_id, **fields))

    async def restored(self, account_id: str = "1001", **fields: Any) -> None:
        await self.send(self.next_restored(account_id, **fields))

    async def command(self, name: str, request_id: UUID | None = None, **fields: Any) -> UUID:
        """Send an operator's command. Returns its id."""
        request = OperatorRequested(
            **{
                "request_id": request_id or uuid4(),
                "service": "suspender",
                "command": name,
                "requested_by": "olga",
                "requested_at": NOON,
                **fields,
            }
        )
        await self.send(received(OPERATOR_REQUESTED, request))
        return request.request_id

    async def answers(self) -> list[tuple[str, str]]:
        """The commands' states and answers, in order."""
        rows = await self.sql("select state, answer from report.command order by answered_at")
        return [(row["state"], row["answer"]) for row in rows]

    @asynccontextmanager
    async def working(
        self, drivers: Mapping[str, Any] | None = None, workers: int = 1
    ) -> AsyncIterator[None]:
        """Run workers on the fake PBX, or on `drivers` by server id."""
        stop = asyncio.Event()
        chosen = {"pbx1": self.fake_pbx} if drivers is None else drivers
        running = [
            asyncio.create_task(
                Worker(
                    store=self.work,
                    drivers=chosen,
                    clock=SystemClock(),
                    settings=SETTINGS,
                    progress=Progress("worker"),
                ).run(stop)
            )
            for _ in range(workers)
        ]
        try:
            yield
        finally:
            stop.set()
            self.fake_pbx.gate.set()
            await asyncio.gather(*running)

    async def until_done(self, *server_ids: str) -> None:
        """Wait until nothing is due on these servers, no element is loose, and no retry waits."""

        async def done() -> bool:
            waiting = await self.sql(
                "select from suspender.service where wanted_seq > confirmed_seq"
                " union all select from suspender.switched_off where attempts > 0"
            )
            return not waiting and await self.settled(*server_ids)

        await until(done)

    async def until_attempted(self, service_id: str, times: int) -> None:
        """Wait until at least `times` attempts on a service have failed."""

        async def attempted() -> bool:
            return bool((await self.row(service_id))["attempts"] >= times)

        await until(attempted)

    async def until_confirmed(self, service_id: str) -> None:
        """Wait until the desired state of a service is confirmed."""

        async def confirmed() -> bool:
            row = await self.row(service_id)
            return bool(row["wanted_seq"] == row["confirmed_seq"])

        await until(confirmed)

    async def until_alarm(self, key: str) -> None:
        """Wait until an alarm of kind `key` is open."""

        async def is_open() -> bool:
            query = "select from report.alarm where key = $1 and ended_at is null"
            return bool(await self.sql(query, key))

        await until(is_open)

    async def work_done(self) -> None:
        """Run a worker until nothing is due."""
        async with self.working():
            await until(self.settled)

    async def settled(self, *server_ids: str) -> bool:
        """Whether no service is due and no element is loose."""
        if await self.work.servers_with_work():
            return False
        loose, _ = await find_loose(self.work, server_ids or ("pbx1",))
        return not loose

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def row(self, service_id: str = "svc-1001") -> asyncpg.Record:
        """A service's row in suspender.service."""
        (found,) = await self.sql(
            "select * from suspender.service where service_id = $1", service_id
        )
        return found

    async def on_record(self) -> dict[str, bool]:
        """The elements on record as switched off, and whether they were read back as off."""
        rows = await self.sql(
            "select element, confirmed_at is not null as confirmed from report.switched_off"
            " where was_on order by element"
        )
        return {row["element"]: row["confirmed"] for row in rows}

    async def wanted(self, service_id: str = "svc-1001") -> str:
        return str((await self.row(service_id))["wanted"])

    async def events(self) -> list[Any]:
        """The events published so far, without alarms, in order."""
        return [event for event in await self.outbox() if not isinstance(event, Alarm)]

    async def outbox(self) -> list[EventData]:
        """All events and alarms published so far, in order."""
        rows = await self.sql("select topic, value from suspender.outbox order by id")
        return [BY_NAME[row["topic"]].data.model_validate_json(row["value"]) for row in rows]

    async def suspensions(self) -> list[ServiceSuspended]:
        return [event for event in await self.events() if isinstance(event, ServiceSuspended)]

    async def alarms(self) -> list[tuple[str, str, str]]:
        """Key, subject and state of the alarms that were published, in order."""
        found = [event for event in await self.outbox() if isinstance(event, Alarm)]
        return [(alarm.key, alarm.subject, alarm.state) for alarm in found]


def profile(version: int = 1, account_id: str = "1001", **fields: Any) -> Received:
    """The record of a client's profile."""
    return received(ACCOUNT_CHANGED, profile_event(version, account_id, **fields))


def profile_event(version: int = 1, account_id: str = "1001", **fields: Any) -> AccountChanged:
    """A client's profile; no order unless `orders` are given.

    Its product's one extension is named after the product, so that no two clients share it.
    """
    service = {"extensions": (f"svc-{account_id}",), **fields.pop("service", {})}
    return account(account_id, version=version, service=service, **{"orders": (), **fields})


def products(*service_ids: str, **fields: Any) -> tuple[Service, ...]:
    """Products of a client, each with an extension of its own name."""
    (pattern,) = account().services
    return tuple(
        pattern.model_copy(update={"service_id": service_id, "extensions": (service_id,), **fields})
        for service_id in service_ids
    )


def order(
    kind: str, product: str | None = None, until: datetime | None = None, reason: str = ""
) -> Order:
    """An order by hand."""
    return Order(
        kind=kind, service_id=product, given_by="olga", since=NOON, until=until, reason=reason
    )


def extension(name: str, way: str = "extensions") -> Element:
    """An extension of the default client's tenant."""
    return Element(way, "north.example", name)  # type: ignore[arg-type]


def zero(crossing: int, account_id: str = "1001", **fields: Any) -> BalanceZero:
    """The begin of a funds hold, by credit unless `reason` is given."""
    return BalanceZero(**{**_facts(crossing, account_id, -UNIT), "reason": "credit", **fields})


def restored(crossing: int, account_id: str = "1001", **fields: Any) -> BalanceRestored:
    """The end of a funds hold."""
    levels = {"level_before": "exhausted", "level": "ok"}
    return BalanceRestored(**{**_facts(crossing, account_id, 20 * UNIT), **levels, **fields})


def _facts(crossing: int, account_id: str, balance_micro: int) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "crossing": crossing,
        "balance_version": crossing,
        "balance_micro": balance_micro,
        "outstanding_micro": 0,
        "threshold_micro": None,
        "currency": "CAD",
        "occurred_at": NOON,
    }


def reasons(events: Sequence[ServiceSuspended]) -> list[tuple[tuple[str, ...], bool]]:
    """Of each suspension, the holds, and whether the zero mail is due."""
    return [(event.holds, event.zero_mail) for event in events]
