"""A batch on one server: read, record, switch, read back, confirm."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from ringfence.clock import Clock
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.drivers.driver import (
    ElementChange,
    Failure,
    HungUp,
    OperatorMustAct,
    PbxDriver,
    SwitchDone,
)
from suspender.metrics import ACTIONS, REACTION_SECONDS
from suspender.rules.elements import REST, Element, ServiceKey
from suspender.rules.hang_up import ends_calls
from suspender.rules.plan import (
    EXTENSION_WAYS,
    Confirmed,
    ElementContext,
    Failed,
    SwitchPlan,
    Turn,
    make_plan,
    released_by,
    result_of,
    switched_off_by,
    targets_of,
)
from suspender.rules.work import (
    BatchResult,
    ConfirmedService,
    DueService,
    FailedElement,
    FailedService,
    LooseElement,
)
from suspender.settings import Settings
from suspender.store_elements import SwitchedOffStore
from suspender.switching.store import WorkStore

_CALLS_AT_ONCE = 200
"""A driver bounds its own requests, and concurrent calls share what it reads."""
_ALARM_AFTER = 3
T = TypeVar("T")
log = structlog.get_logger()


@dataclass
class Batch:
    """The services and loose elements that are switched together.

    `done`: the result for each element that was switched. `gone`: loose elements that the server no
    longer has. `error`: the failure of the server as a whole.
    """

    turns: Sequence[Turn]
    due: Mapping[ServiceKey, DueService]
    loose: Mapping[Element, LooseElement]
    context: ElementContext
    plan: SwitchPlan | None = None
    done: dict[Element, SwitchDone | Failure] = field(default_factory=dict)
    gone: set[Element] = field(default_factory=set)
    error: Failure | None = None

    @property
    def elements(self) -> set[Element]:
        """All elements of the batch; no other batch may contain them while this one runs."""
        return {element for turn in self.turns for element in turn.elements} | set(self.loose)


async def driver_answer(answer: Awaitable[T]) -> T:
    """Await a driver's answer. Raises Retry, also for any transient error, or OperatorMustAct."""
    try:
        return await answer
    except Retry:
        raise
    except TRANSIENT_ERRORS as error:
        raise Retry(str(error) or repr(error)) from error


class BatchWorker:
    """Processes batches on one server. The caller holds the server's lock."""

    def __init__(
        self,
        server_id: str,
        driver: PbxDriver,
        *,
        store: WorkStore,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._server_id = server_id
        self._driver = driver
        self._store = store
        self._elements = SwitchedOffStore(store.pool)
        self._clock = clock
        self._settings = settings
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def do(self, batch: Batch) -> None:
        """Read, record, switch, confirm. A failure of the whole server becomes the batch's error.

        1. Read all elements. After a kill nothing has changed.
        2. Commit the records of what is on or off now, before the first toggle. After a kill there
           are records of elements that are on: a restore finds them on, and deletes the records.
        3. Switch, make it take effect, read back. After a kill the services are still due: their
           next batch keeps the records, and switches all elements again.
        4. Confirm, publish, and delete the records of released elements, in one transaction.
        """
        targets = targets_of(batch.turns, {e: row.product for e, row in batch.loose.items()})
        try:
            readings = await driver_answer(self._driver.read(targets))  # 1
            plan = make_plan(targets, batch.turns, batch.context, readings)
            batch.gone = await self._gone(batch, plan)
            batch.plan = plan
        except (OperatorMustAct, Retry) as error:
            batch.error = error
        else:
            await self._elements.record(self._server_id, plan.recordings, self._clock.now())  # 2
            await self._switch(batch, plan.changes)  # 3
        await self._finish(batch)  # 4

    async def fail(self, due: Sequence[DueService], reason: str) -> None:
        """Services that must not be switched now."""
        now = self._clock.now()
        failed = [fail(item, reason, False, now, self._settings) for item in due]
        await self._store.finish(BatchResult(self._server_id, failed=failed), now)

    async def _switch(self, batch: Batch, changes: Sequence[ElementChange]) -> None:
        for start in range(0, len(changes), self._driver.at_once):
            chunk = changes[start : start + self._driver.at_once]
            if batch.error is None:
                try:
                    batch.done.update(await driver_answer(self._driver.switch(chunk)))
                    continue
                except (OperatorMustAct, Retry) as error:
                    batch.error = error
            batch.done.update({change.target.element: batch.error for change in chunk})

    async def _gone(self, batch: Batch, plan: SwitchPlan) -> set[Element]:
        """Loose elements that the server no longer has.

        A missing element may only be hidden from us. It counts as gone if it is to be off, if other
        extensions of its tenant are shown, or if an operator released it.
        """
        gone = set[Element]()
        for element in sorted(plan.missing & batch.loose.keys()):
            is_gone = plan.off[element] or batch.loose[element].record.released
            if not is_gone and element.way in EXTENSION_WAYS:
                is_gone = await self._lists_others(element.tenant)
            if is_gone:
                gone.add(element)
        return gone

    async def _lists_others(self, tenant: str) -> bool:
        """Whether the server shows any extensions of a tenant; false where it cannot show them."""
        try:
            return len(await driver_answer(self._driver.extensions_of(tenant))) > 0
        except OperatorMustAct:
            return False

    async def _finish(self, batch: Batch) -> None:
        results = await asyncio.gather(*(self._result(batch, turn) for turn in batch.turns))
        confirmed = [item for item in results if isinstance(item, ConfirmedService)]
        failed = [item for item in results if isinstance(item, FailedService)]
        finished = BatchResult(self._server_id, confirmed, failed)
        if batch.plan is not None:
            keys = {item.due.service.key for item in confirmed}
            turns = [turn for turn in batch.turns if turn.key in keys]
            gone_off = {element for element in batch.gone if batch.plan.off[element]}
            finished.off = switched_off_by(batch.plan, batch.done) | gone_off
            finished.released = released_by(batch.plan, batch.done, turns) | batch.gone - gone_off
        finished.loose_failed = self._loose_failures(batch)
        now = self._clock.now()
        await self._store.finish(finished, now)
        for item in confirmed:
            _note_success(item, now)

    async def _result(self, batch: Batch, turn: Turn) -> ConfirmedService | FailedService:
        due = batch.due[turn.key]
        found: Confirmed | Failed
        if batch.plan is None:
            is_refused = isinstance(batch.error, OperatorMustAct)
            found = Failed(turn.key, str(batch.error), is_refused)
        else:
            found = result_of(turn, batch.plan, batch.done, self._server_id)
        if isinstance(found, Failed):
            return self._failure(due, found)
        try:
            calls = await self._end_calls(due, turn)
        except (OperatorMustAct, Retry) as error:
            reason = f"it is off, but its live calls could not be ended: {error}"
            return self._failure(due, Failed(turn.key, reason, isinstance(error, OperatorMustAct)))
        evidence = [found.evidence]
        if calls.ended:
            evidence.append(f"ended {len(calls.ended)} live calls: {', '.join(calls.ended)}")
        if calls.excluded:
            evidence.append(f"spared emergency calls: {', '.join(calls.excluded)}")
        return ConfirmedService(due, _text("; ".join(evidence)), found.proven, calls.ended)

    async def _end_calls(self, due: DueService, turn: Turn) -> HungUp:
        """End the live calls of a service that was switched off, if its holds ask for it."""
        if not ends_calls(due.account, due.service, self._clock.now()):
            return HungUp()
        product = turn.product
        extensions = {e.name for e in turn.named if e.way in EXTENSION_WAYS} | {*product.extensions}
        async with self._calls:
            rest = (REST,) if product.rest_of_tenant else ()
            if (open_names := (*product.extension_ranges, *rest)) and (
                product.way not in EXTENSION_WAYS
            ):
                tenant = product.tenant.lower()
                present = await driver_answer(self._driver.extensions_of(tenant))
                owned = await self._store.owned(self._server_id, tenant)
                extensions |= {e for e in present for n in open_names if owned.belongs(e, n)}
            return await driver_answer(self._driver.hang_up(product, sorted(extensions)))

    def _failure(self, due: DueService, found: Failed) -> FailedService:
        return fail(due, _text(found.reason), found.must_act, self._clock.now(), self._settings)

    def _loose_failures(self, batch: Batch) -> list[FailedElement]:
        failures = []
        for element, row in batch.loose.items():
            reason = _loose_reason(batch, element)
            if reason:
                off = batch.context.is_to_be_off(element)
                delay_s = _delay_s(row.attempts, self._settings)
                again_at = self._clock.now() + timedelta(seconds=delay_s)
                raises = row.attempts + 1 >= _ALARM_AFTER and not row.is_alarm_raised
                failures.append(FailedElement(row, _text(reason), again_at, off, raises))
                log.warning("not released", server_id=self._server_id, element=element, off=off)
        return failures


def _loose_reason(batch: Batch, element: Element) -> str:
    """Why a loose element is not in its desired state; empty if it is."""
    if batch.plan is None:
        return str(batch.error)
    answer = batch.plan.problems.get(element) or batch.done.get(element)
    if answer is not None and not isinstance(answer, SwitchDone):
        return str(answer)
    if element in batch.plan.missing - batch.gone:
        return "the server does not list it"
    return ""


def fail(
    due: DueService, reason: str, must_act: bool, now: datetime, settings: Settings
) -> FailedService:
    """A service that could not be switched, with the time of its next attempt."""
    service, delay_s = due.service, _delay_s(due.attempts, settings)
    publish = must_act or due.attempts + 1 >= settings.suspender_told_after
    ACTIONS.labels(service.server_id, service.wanted, "failed").inc()
    log.warning(
        "not confirmed", reason=reason, again_in_s=delay_s, wanted=service.wanted, **_context(due)
    )
    return FailedService(
        due,
        reason,
        now + timedelta(seconds=delay_s),
        publish and due.failure_published_seq < service.wanted_seq,
    )


def _note_success(item: ConfirmedService, now: datetime) -> None:
    due, wanted = item.due, item.due.service.wanted
    ACTIONS.labels(due.service.server_id, wanted, "confirmed").inc()
    REACTION_SECONDS.labels(wanted).observe((now - due.wanted_at).total_seconds())
    log.info("confirmed", wanted=wanted, evidence=item.evidence, **_context(due))


def _delay_s(attempts: int, settings: Settings) -> float:
    return min(settings.suspender_backoff_max_s, 2.0 ** min(attempts, 10))


def _context(due: DueService) -> dict[str, str]:
    service = due.service
    return {
        "correlation_id": service.correlation_id,
        "account_id": service.account_id,
        "service_id": service.service_id,
    }


def _text(text: str) -> str:
    """A text of a server as it can be stored and published: no NUL, of a bounded length."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:2000]
