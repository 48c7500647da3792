"""Balance-watch's whole way: balances and profiles in; each crossing out, once.

balance.changed ─┐                                  ┌─▶ balance.low
                 ├─▶ read ─▶ compare ─▶ keep level ─┼─▶ balance.zero
account.changed ─┘                                  └─▶ balance.restored
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from balance_watch.settings import Settings
from balance_watch.store import WatchStore
from balance_watch.watch import Crossing, Watched, see_balance, see_profile
from ringfence.errors import Reject
from ringfence.events.account import AccountChanged
from ringfence.events.balance import BalanceChanged
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.publisher import open_publisher
from ringfence.kafka.quick import QuickReader
from ringfence.kafka.records import Outcome, Received, Rejected, parse
from ringfence.kafka.shell import Shell
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence.process import run_loops
from ringfence.topics import ACCOUNT_CHANGED, BALANCE_CHANGED

NAME = "balance-watch"

_BALANCES = QuickReader(BalanceChanged)


class _Seen(NamedTuple):
    change: BalanceChanged | AccountChanged
    cause_id: UUID
    thread: str


class BalanceWatch:
    """The handler: levels move in the database, crossings are told."""

    def __init__(self, *, store: WatchStore) -> None:
        self._store = store

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Compare a batch's changes with what is known. Safe to call again."""
        seen, outcome = _read(batch)
        if not seen:
            return outcome
        async with self._store.watching() as watching:
            accounts = await watching.accounts({item.change.account_id for item in seen})
            crossings, stale = _compare(accounts, seen)
            again = await watching.announced(stale) if stale else []
            await watching.write(accounts.values(), crossings)
        outcome.publish = [crossing.outgoing() for crossing in [*again, *crossings]]
        return outcome


def _read(batch: Sequence[Received]) -> tuple[list[_Seen], Outcome]:
    seen, outcome = [], Outcome()
    for received in batch:
        try:
            item = _Seen(_change(received), received.event_id, received.correlation_id)
        except Reject as reason:
            outcome.reject.append(Rejected(received, str(reason)))
        else:
            seen.append(item)
    return seen, outcome


def _change(received: Received) -> BalanceChanged | AccountChanged:
    if received.topic == BALANCE_CHANGED.name:
        return _BALANCES.parse(received)
    return parse(AccountChanged, received)


def _compare(
    accounts: dict[str, Watched], seen: Sequence[_Seen]
) -> tuple[list[Crossing], list[UUID]]:
    """Move the accounts; the new crossings, and the causes that were taken in before."""
    crossings: list[Crossing | None] = []
    stale: list[UUID] = []
    for change, cause_id, thread in seen:
        account = accounts.setdefault(
            change.account_id, Watched(change.account_id, change.currency)
        )
        if not isinstance(change, AccountChanged):
            if change.version <= account.balance_version:
                stale.append(cause_id)
            else:
                crossings.append(see_balance(account, change, cause_id, thread))
        elif change.version <= account.profile_version:
            stale.append(cause_id)
        else:
            crossings.append(see_profile(account, change, cause_id, thread))
    return [crossing for crossing in crossings if crossing], stale


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Watch until told to stop."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.kafka_bootstrap
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
    ):
        handler = BalanceWatch(store=WatchStore(pool))
        runner = BatchRunner(
            Shell(handler.handle, publisher, consumer=NAME),
            (BALANCE_CHANGED, ACCOUNT_CHANGED),
            bootstrap=bootstrap,
            group=NAME,
            progress=health.loop(NAME),
            max_records=settings.balance_watch_batch_records,
        )
        await run_loops(stop, runner.run)
