"""The loop that decides legs whose call came after them.

For each leg that is due:

1. Its origin is read, and the leg decided, queued as unrated, or given up.
2. The event is published. A kill after this publishes the same event again.
3. The leg is saved with its decision; the bytes of the event replace those of an earlier one.
"""

import asyncio

from cdr_ingest.ingest import call_completed
from cdr_ingest.legs.batch import look_at
from cdr_ingest.legs.store import MAX_DUE, LegStore
from cdr_ingest.metrics import LEGS
from ringfence.clock import Clock
from ringfence.kafka.publisher import Publisher
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence_contracts.events.call import CallCompleted

LOOK_EVERY_S = 1.0
_STUCK_EVERY_TURNS = 60


class LegLoop:
    """Looks at legs without decision, with growing pauses."""

    def __init__(
        self, store: LegStore, publisher: Publisher, *, clock: Clock, progress: Progress
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._progress = progress
        self._turns = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Decide what is due, until `stop` is set."""
        await run_loop(
            stop,
            self.run_once,
            "legs wait",
            progress=self._progress,
            every_s=LOOK_EVERY_S,
            full_batch=MAX_DUE,
        )

    async def run_once(self) -> int:
        """Look at one page of legs; how many there were."""
        if self._turns % _STUCK_EVERY_TURNS == 0:
            await self.publish_stuck()
        self._turns += 1
        now = self._clock.now()
        legs = await self._store.due(now)
        if not legs:
            return 0
        outcome = look_at(legs, await self._store.origins_of(legs), now)
        events = [call_completed(call, key) for call, key in outcome.publish]
        await self._publisher.publish(events)
        await self._store.save(outcome.rows, [(event.event_id, event.value) for event in events])
        await self._store.delete(outcome.paid_for)
        for call, _ in outcome.publish:
            LEGS.labels(call.server_id, call.leg_decision).inc()
        return len(legs)

    async def publish_stuck(self) -> None:
        """Publish decisions again that did not reach rating."""
        stuck = await self._store.stuck(self._clock.now())
        await self._publisher.publish(
            [call_completed(CallCompleted.model_validate_json(value), key) for key, value in stuck]
        )
