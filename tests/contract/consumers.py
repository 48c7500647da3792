"""Every consumer as it runs in its service: the real handler, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from accounts.confirmations import Confirmations
from accounts.store import Store as AccountsStore
from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from notifier.intake import Intake
from notifier.store import Store as NotifierStore
from notifier.template_files import load_templates
from rating.books import Books
from rating.service import Rating
from rating.store import RatingStore
from ringfence.kafka.records import Handler
from ringfence.postgres.pool import Pool, open_pool
from ringfence.testing.clock import FixedClock
from suspender.service import Suspender
from suspender.store import SuspenderStore

Build = Callable[[Pool], Handler]


def _rating(pool: Pool) -> Handler:
    return Rating(
        store=RatingStore(pool), books=Books(), clock=FixedClock(), retry_unrated_s=900
    ).handle


def _balance_watch(pool: Pool) -> Handler:
    return BalanceWatch(store=WatchStore(pool)).handle


def _suspender(pool: Pool) -> Handler:
    return Suspender(store=SuspenderStore(pool), woken=asyncio.Event()).handle


def _notifier(pool: Pool) -> Handler:
    return Intake(
        NotifierStore(pool),
        templates=load_templates(None),
        operator_email="operator@example.com",
        clock=FixedClock(),
        wake=asyncio.Event(),
    ).handle


def _accounts(pool: Pool) -> Handler:
    return Confirmations(AccountsStore(pool, FixedClock())).handle


CONSUMERS: dict[str, Build] = {
    "rating": _rating,
    "balance-watch": _balance_watch,
    "suspender": _suspender,
    "notifier": _notifier,
    "accounts": _accounts,
}


@asynccontextmanager
async def consumer(name: str, dsn: str) -> AsyncIterator[Handler]:
    """The handler of a service, acting in the service's own role."""
    pool = await open_pool(dsn, service=name)
    try:
        yield CONSUMERS[name](pool)
    finally:
        await pool.close()
