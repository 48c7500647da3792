"""Works on one server while this replica holds its lock: batches of restores and suspensions."""

import asyncio
from collections.abc import Sequence

import structlog

from ringfence.breaker import Breaker
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from suspender.drivers.driver import Failure, OperatorMustAct, PbxDriver
from suspender.rules.elements import Element
from suspender.rules.plan import Turn
from suspender.rules.suspension import SwitchState
from suspender.rules.turns import needs_rest
from suspender.rules.work import DueService, LooseElement
from suspender.switching.batch import Batch, BatchWorker, driver_answer
from suspender.switching.store import WorkStore

QUEUES: tuple[SwitchState, ...] = ("active", "suspended")
_NOT_HELD = (
    "balance-watch does not hold this client for funds, so the service stays on: if no payment has"
    " just come in, another program wrote to balance.zero"
)
log = structlog.get_logger()


class ServerWorker:
    """Switches what is due on one server, while no other replica does.

    Two queues run at the same time, so that no restore waits for a long batch of suspensions. They
    never switch the same element at the same time.
    """

    def __init__(
        self,
        server_id: str,
        driver: PbxDriver,
        *,
        store: WorkStore,
        batches: BatchWorker,
        breaker: Breaker,
        stop: asyncio.Event,
    ) -> None:
        self._server_id = server_id
        self._driver = driver
        self._store = store
        self._batches = batches
        self._breaker = breaker
        self._stop = stop
        self._held: set[Element] = set()
        self._ended = 0
        self._loose: dict[SwitchState, list[LooseElement]] = {queue: [] for queue in QUEUES}
        self._again = asyncio.Event()

    def wake(self, loose: Sequence[tuple[SwitchState, LooseElement]] | None = None) -> None:
        """Have the queues read again what is due; `loose` replaces the known loose elements."""
        if loose is not None:
            self._loose = {queue: [row for at, row in loose if at == queue] for queue in QUEUES}
        self._again.set()

    async def run(self) -> None:
        """Work until nothing is due."""
        try:
            async with self._store.lock_server(self._server_id) as is_locked:
                if is_locked:
                    await self._run_queues()
        except TRANSIENT_ERRORS as error:
            log.warning("suspender waits", server_id=self._server_id, reason=repr(error))

    async def _run_queues(self) -> None:
        running: dict[SwitchState, asyncio.Task[None]] = {}
        try:
            while True:
                if self._again.is_set() or not running:
                    self._again.clear()
                    for queue in QUEUES:
                        if queue not in running:
                            running[queue] = asyncio.create_task(self._run_queue(queue))
                again = asyncio.create_task(self._again.wait())
                await asyncio.wait({*running.values(), again}, return_when=asyncio.FIRST_COMPLETED)
                again.cancel()
                for queue in [queue for queue in running if running[queue].done()]:
                    running.pop(queue).result()
                if not running and not self._again.is_set():
                    return
        finally:
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _run_queue(self, queue: SwitchState) -> None:
        while self._breaker.allows() and not self._stop.is_set():
            batch = await self._next(queue)
            if batch is None:
                return
            held = batch.elements
            self._held |= held
            try:
                await self._batches.do(batch)
            finally:
                self._held -= held
                self._ended += 1
            if isinstance(batch.error, Retry):
                self._breaker.failed()
            else:
                self._breaker.succeeded()  # the server answered, even if services failed

    async def _next(self, queue: SwitchState) -> Batch | None:
        """The next batch of a queue; None: nothing is due that the other queue does not hold."""
        limit = 1 if self._breaker.failing else self._driver.at_once
        due = await self._founded(await self._store.due(self._server_id, queue, limit))
        loose, self._loose[queue] = self._loose[queue][:limit], []
        if not due and not loose:
            return None
        rest = await self._list_rest(due)
        ended = -1
        while ended != self._ended:  # a batch that ended during the read may have changed the rows
            ended = self._ended
            survey = await self._store.survey(self._server_id, due, loose, rest)
        # No await from here until the elements are held: the other queue must not take them.
        turns = self._fitting(survey.turns)
        taken = self._held.union(*(turn.elements for turn in turns))
        free = survey.context.records.keys() - taken
        rows = {row.record.element: row for row in loose if row.record.element in free}
        if not turns and not rows:
            return None
        return Batch(turns, {item.service.key: item for item in due}, rows, survey.context)

    async def _founded(self, due: Sequence[DueService]) -> list[DueService]:
        """Those that may be switched: a funds hold is checked with its owner before the cut.

        The others fail: they are looked at again, and the operator learns of them.
        """
        unfounded = await self._store.without_hold(due)
        if unfounded:
            await self._batches.fail(
                [item for item in due if item.service.key in unfounded], _NOT_HELD
            )
        return [item for item in due if item.service.key not in unfounded]

    def _fitting(self, turns: Sequence[Turn]) -> list[Turn]:
        """The turns that fit into a batch, at least one; none with elements of the other queue."""
        chosen: list[Turn] = []
        elements: set[Element] = set()
        for turn in turns:
            if turn.elements & self._held:
                continue
            if chosen and len(elements | turn.elements) > self._driver.at_once:
                break
            chosen.append(turn)
            elements |= turn.elements
        return chosen

    async def _list_rest(self, due: Sequence[DueService]) -> dict[str, frozenset[str] | Failure]:
        """All extensions of the tenants whose rest is named, each tenant with its own failure."""
        found: dict[str, frozenset[str] | Failure] = {}
        for tenant in sorted({tenant for item in due if (tenant := needs_rest(item.service))}):
            try:
                found[tenant] = await driver_answer(self._driver.extensions_of(tenant))
            except (OperatorMustAct, Retry) as error:
                found[tenant] = error
        return found
