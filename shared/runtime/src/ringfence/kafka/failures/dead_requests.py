"""Handles dead records again, or drops them, when an operator asks for it."""

from typing import Any, Protocol

import structlog

from ringfence.clock import Clock
from ringfence.kafka.failures.store_dead import DeadRecord, DeadRequest, DeadStore
from ringfence_contracts.records import Outcome, Received

log = structlog.get_logger()


class HandlesAgain(Protocol):
    """The processor of a consumer."""

    def read(self, batch: Any) -> Any:
        """Decode a batch."""
        ...

    async def handle(self, read: Any) -> Outcome:
        """Do its work in the database. Idempotent."""
        ...

    async def publish(self, batch: Any, outcome: Outcome) -> None:
        """Publish its events."""
        ...


class DeadRequests:
    """Does what was requested, at most once by the id of the request.

    A retry is the ordinary handling of the record: what it did before is not done twice.
    """

    def __init__(self, store: DeadStore, processor: HandlesAgain, clock: Clock) -> None:
        self._store = store
        self._processor = processor
        self._clock = clock

    async def work(self) -> int:
        """Answer the requests that wait; how many."""
        requests = await self._store.requests()
        for request in requests:
            state, words, decision = await self._do(request)
            await self._store.answer(request, state, words, decision, self._clock.now())
            log.info("dead record", command=request.command, state=state, answer=words)
        return len(requests)

    async def _do(self, request: DeadRequest) -> tuple[str, str, str | None]:
        """The state of the answer, its words, and the record's new state."""
        record = await self._store.record(request.dead_id)
        if record is None:
            return "refused", "the record is not kept any more", None
        if record.state != "dead":
            return "refused", f"the record was {record.state} before", None
        if request.command == "dead.drop":
            return "done", "the record is dropped: nothing is done with it", "dropped"
        return await self._retry(record)

    async def _retry(self, record: DeadRecord) -> tuple[str, str, str | None]:
        if not record.is_whole:
            words = "the record is too large to be kept whole: send it again from its topic"
            return "refused", words, None
        batch: list[Received] = [record.received]
        try:
            outcome = await self._processor.handle(self._processor.read(batch))
        except Exception as error:  # a bug that only this record causes must not end the service
            log.warning("dead record cannot be handled", reason=repr(error))
            return "refused", f"it cannot be handled: {error!r}", None
        if outcome.reject:
            return "refused", f"it is rejected again: {outcome.reject[0].reason}", None
        await self._processor.publish(batch, outcome)
        return "done", "the record was handled", "retried"
