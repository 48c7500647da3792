"""The balance-watch pipeline: consumes balances and profiles, publishes each crossing once.

balance.changed ─┐                                            ┌─▶ balance.low
                 ├─▶ read ─▶ decide hold and level ─▶ commit ─┼─▶ balance.zero
account.changed ─┘                                            └─▶ balance.restored
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from balance_watch.anti_entropy.store import OWNER
from balance_watch.counts import ClientCounts
from balance_watch.settings import Settings
from balance_watch.store import ALARMS, PRUNED, WatchStore
from balance_watch.watch import Crossing, FundsPair, WatchedAccount, apply_balance, apply_profile
from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import SystemClock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.fast_decoder import FastDecoder
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.counting import CountLoop
from ringfence.observe.health import Health
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.balance import BalanceChanged
from ringfence_contracts.records import Outcome, Received, Rejected, parse
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_CHANGED

NAME = "balance-watch"

_BALANCES = FastDecoder(BalanceChanged)


class _Item(NamedTuple):
    change: BalanceChanged | AccountChanged
    cause_id: UUID
    correlation_id: str


class _BatchEffects(NamedTuple):
    """What a batch changed; `stale`: the ids of events that an earlier batch applied."""

    crossings: list[Crossing]
    pairs: list[FundsPair]
    stale: list[UUID]


class BalanceWatch:
    """The handler of batches: applies balances and profiles, and publishes the crossings."""

    def __init__(self, *, store: WatchStore) -> None:
        self._store = store

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Apply a batch in one transaction. Idempotent.

        Events that were applied before change nothing, and their crossings are published again
        from the record: a kill between the commit and the publishing loses no crossing.
        """
        items, outcome = _read(batch)
        if not items:
            return outcome
        async with self._store.transaction() as transaction:
            accounts = await transaction.accounts({item.change.account_id for item in items})
            crossings, pairs, stale = _apply_batch(accounts, items)
            again = await transaction.published(stale) if stale else []
            await transaction.write(accounts.values(), crossings, pairs)
        outcome.publish = [crossing.outgoing() for crossing in [*again, *crossings]]
        return outcome


def _read(batch: Sequence[Received]) -> tuple[list[_Item], Outcome]:
    items, outcome = [], Outcome()
    for received in batch:
        try:
            item = _Item(_change(received), received.event_id, received.correlation_id)
        except Reject as reason:
            outcome.reject.append(Rejected(received, str(reason)))
        else:
            items.append(item)
    return items, outcome


def _change(received: Received) -> BalanceChanged | AccountChanged:
    if received.topic == BALANCE_CHANGED.name:
        return _BALANCES.parse(received)
    return parse(AccountChanged, received)


def _apply_batch(accounts: dict[str, WatchedAccount], items: Sequence[_Item]) -> _BatchEffects:
    """Apply the changes to the accounts, in order; an older version changes nothing."""
    compared = _BatchEffects([], [], [])
    for change, cause_id, correlation_id in items:
        account = accounts.get(change.account_id)
        if account is None:
            account = WatchedAccount(change.account_id, change.currency)
            accounts[change.account_id] = account
        if not isinstance(change, AccountChanged):
            if change.version <= account.balance_version:
                compared.stale.append(cause_id)
                continue
            effect = apply_balance(account, change, cause_id, correlation_id)
        elif change.version <= account.profile_version:
            compared.stale.append(cause_id)
            continue
        else:
            effect = apply_profile(account, change, cause_id, correlation_id)
        if effect.crossing:
            compared.crossings.append(effect.crossing)
        if effect.pair:
            compared.pairs.append(effect.pair)
    return compared


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Watch until `stop` is set."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    if not await wait_for_dependencies(NAME, settings, health.readiness, stop):
        return
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
    ):
        require_stores(health, pool, publisher)
        store = WatchStore(pool)
        handler = BalanceWatch(store=store)
        progress = health.loop(NAME)
        failures = keep_failures(pool, ALARMS, group=NAME, progress=health.loop("failures"))
        runner = BatchRunner(
            RecordProcessor(handler.handle, publisher, consumer=NAME, failures=failures),
            (BALANCE_CHANGED, ACCOUNT_CHANGED),
            bootstrap=bootstrap,
            group=NAME,
            progress=progress,
            max_records=settings.balance_watch_batch_records,
            offsets=ConsumedOffsets(pool, ALARMS, service=NAME, group=NAME, clock=SystemClock()),
        )
        pruning = pruning_of(
            ALARMS.schema,
            PRUNED,
            pool,
            settings.kept_days,
            health.loop("pruning"),
            behind=lambda: progress.lag > settings.balance_watch_batch_records,
        )
        counts = CountLoop(ClientCounts(store).count, progress=health.loop("client-counts"))
        relay = OutboxRelay(pool, publisher, schema=ALARMS.schema, progress=health.loop("outbox"))
        again = anti_entropy_of(OWNER, settings, pool, publisher, health)
        loops = (runner, failures, relay, counts, again, pruning)
        await run_together(stop, *(loop.run for loop in loops))
