"""Takes rows that their PBX does not confirm into the unrated queue, and out of it (ADR 37).

Such a row has no values that could be rated. It waits under its own id with its reason, and one
alarm for each server and tenant informs the operator. The call that it lists, if there is one,
comes by `call.completed` once the PBX has confirmed it.
"""

from collections.abc import Sequence

from rating.claims.store import ALARMS
from rating.unrated.store_rows import QueuedRows
from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.clock import Clock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.brokers import Bootstrap
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import Publisher
from ringfence.loops import Loop
from ringfence.observe.health import Health
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.call import CallUnconfirmed
from ringfence_contracts.records import Outcome, Received, Rejected, parse
from ringfence_contracts.topics import CALL_UNCONFIRMED

NAME = "rating"
GROUP = "rating-rows"
"""A group of its own: rows are rare, and must not delay calls."""


class RowIntake:
    """The handler of batches. Idempotent: the last event of a row decides whether it waits."""

    def __init__(self, store: QueuedRows, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Queue rows that wait, and remove those that were confirmed."""
        outcome, events = Outcome(), []
        for received in batch:
            try:
                events.append(parse(CallUnconfirmed, received))
            except Reject as reason:
                outcome.reject.append(Rejected(received, str(reason)))
        if events:
            await self._store.apply(events, self._clock.now())
        return outcome


def row_loops(
    pool: Pool, publisher: Publisher, bootstrap: Bootstrap, health: Health, clock: Clock
) -> list[Loop]:
    """The consumer of unconfirmed rows, and what keeps its failures."""
    intake = RowIntake(QueuedRows(pool), clock)
    failures = keep_failures(pool, ALARMS, group=GROUP, progress=health.loop("rating-row-failures"))
    runner = BatchRunner(
        RecordProcessor(intake.handle, publisher, consumer=NAME, failures=failures),
        (CALL_UNCONFIRMED,),
        bootstrap=bootstrap,
        group=GROUP,
        progress=health.loop("rating-rows"),
        max_records=500,
        offsets=ConsumedOffsets(pool, ALARMS, service=NAME, group=GROUP, clock=clock),
    )
    return [runner.run, failures.run]
