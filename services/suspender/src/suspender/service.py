"""The suspender pipeline: consumes holds, orders and profiles, switches the PBX, confirms.

balance.zero ───────┐
balance.restored ───┼─▶ decide ─▶ wanted state ─▶ worker ─▶ PBX ─▶ read back ─▶ service.suspended
account.changed ────┤             (a row)                                       service.restored
operator.requested ─┘                                                           …suspension-failed
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import SystemClock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.health import Health
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.balance import BalanceRestored, BalanceZero
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.records import Outcome, Received, Rejected, parse
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    OPERATOR_REQUESTED,
)
from ringfence_pbx.servers import load_servers
from suspender.anti_entropy.store import OWNER
from suspender.decider import CausedEvent, DecideLoop, Decider
from suspender.drivers.wiring import open_drivers
from suspender.rules.account import Cause
from suspender.rules.brake import BrakeLimits
from suspender.settings import Settings
from suspender.store import ALARMS, PRUNED, SuspenderStore
from suspender.switching.store import WorkStore
from suspender.switching.worker import Worker
from suspender.upkeep.wiring import open_upkeep

NAME = "suspender"
READS = (BALANCE_ZERO, BALANCE_RESTORED, ACCOUNT_CHANGED, OPERATOR_REQUESTED)
_MODELS: dict[str, type[BalanceZero | BalanceRestored | AccountChanged | OperatorRequested]] = {
    BALANCE_ZERO.name: BalanceZero,
    BALANCE_RESTORED.name: BalanceRestored,
    ACCOUNT_CHANGED.name: AccountChanged,
    OPERATOR_REQUESTED.name: OperatorRequested,
}


class Suspender:
    """The handler of batches: events change the desired state of an account's services."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Apply a batch. Idempotent: what was applied before changes nothing.

        1. Apply all events of accounts in one transaction. After a kill, the batch is redelivered,
           and its events are no longer newer than what is known.
        2. Apply each command for this service in a transaction of its own. After a kill, the
           commands that were answered are skipped by their ids.
        """
        outcome = Outcome()
        items: list[CausedEvent] = []
        requests: list[tuple[OperatorRequested, Cause]] = []
        for received in batch:
            try:
                event = parse(_MODELS[received.topic], received)
                cause = Cause(received.event_id, received.correlation_id)
            except Reject as reason:
                outcome.reject.append(Rejected(received, str(reason)))
                continue
            if not isinstance(event, OperatorRequested):
                items.append(CausedEvent(event, cause))
            elif event.service == NAME:
                requests.append((event, cause))
        if items:
            await self._decider.apply(items)
        for request, cause in requests:
            await self._decider.run_command(request, cause)
        return outcome


def limits_of(settings: Settings) -> BrakeLimits:
    """The brake's limits."""
    return BrakeLimits(
        settings.suspender_brake_clients,
        settings.suspender_brake_percent,
        timedelta(seconds=settings.suspender_brake_window_s),
    )


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Suspend and restore until `stop` is set."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    servers = load_servers(settings.servers_file)
    clock = SystemClock()
    if not await wait_for_dependencies(NAME, settings, health.readiness, stop):
        return
    async with (
        await open_pool(dsn, service=NAME, size=8 + len(servers.servers)) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        open_drivers(servers) as drivers,
    ):
        require_stores(health, pool, publisher)
        worker = Worker(
            store=WorkStore(pool),
            drivers=drivers,
            clock=clock,
            settings=settings,
            progress=health.loop("worker"),
        )
        decider = Decider(
            store=SuspenderStore(pool),
            clock=clock,
            limits=limits_of(settings),
            woken=worker.woken,
        )
        failures = keep_failures(pool, ALARMS, group=NAME, progress=health.loop("failures"))
        runner = BatchRunner(
            RecordProcessor(Suspender(decider).handle, publisher, consumer=NAME, failures=failures),
            READS,
            bootstrap=bootstrap,
            group=NAME,
            progress=health.loop(NAME),
            max_records=settings.suspender_batch_records,
            offsets=ConsumedOffsets(pool, ALARMS, service=NAME, group=NAME, clock=clock),
        )
        by_time = DecideLoop(decider, health.loop("decide-by-time"))
        relay = OutboxRelay(pool, publisher, schema="suspender", progress=health.loop("outbox"))
        async with open_upkeep(settings, servers, clock, health, worker.woken) as upkeep:
            again = anti_entropy_of(OWNER, settings, pool, publisher, health)
            pruning = pruning_of(
                "suspender", PRUNED, pool, settings.kept_days, health.loop("pruning")
            )
            loops = (runner, failures, by_time, worker, relay, again, pruning)
            await run_together(stop, *(loop.run for loop in loops), *upkeep)
