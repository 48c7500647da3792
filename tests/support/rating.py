"""A rating worker on a real database, with direct access to both; for tests of rating."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from rating.rerating.run import Rerating
from rating.rerating.store import RerateStore
from rating.service import Rating
from rating.store import RatingStore
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.tariff import RateRow, TariffPublished, fees_of, rows_digest
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    CALL_COMPLETED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
)
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON, account, received
from ringfence_testing.store_claims import insert_payments

NORTH = ("1", "North America", "0.01", 60, 60, 1)
BRITAIN = ("44", "United Kingdom", "0.02", 60, 60, 1)


class Bench:
    """Rating as its service runs it, one batch at a time."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self.dsn = dsn
        self.pool = pool
        self.store = RatingStore(pool)
        self.clock = FixedClock(NOON + timedelta(minutes=5))
        self.worker = self.new_worker()

    def new_worker(self, check_first: int = 0) -> Rating:
        """A worker; by default one that no longer checks batches against the ledger."""
        return Rating(
            store=self.store,
            clock=self.clock,
            retry_unrated_s=10**9,
            check_first=check_first,
        )

    def rerating(
        self, on_account: Callable[[int, int], None] = lambda done, total: None
    ) -> Rerating:
        return Rerating(
            store=RerateStore(self.pool),
            rates=self.store,
            clock=self.clock,
            on_account=on_account,
        )

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def value(self, query: str, *arguments: object) -> Any:
        return (await self.sql(query, *arguments))[0][0]

    async def publish_tariff(
        self,
        *rows: RateRow,
        version: int = 1,
        effective_from: datetime = NOON - timedelta(days=1),
        currency: str = "CAD",
    ) -> Outcome:
        await self.sql(
            "insert into accounts.tariff_version (version_id, tariff_id, name, currency,"
            " effective_from, rows, sha256, created_at, created_by) overriding system value"
            " values ($1, 'north', 'North', $4, $2, $3, 'x', now(), 'test')",
            version,
            effective_from,
            len(rows),
            currency,
        )
        for row in rows:
            await self.sql(
                "insert into accounts.tariff_rate (version_id, prefix, description, rate,"
                " initial_s, increment_s, status, connection_fee, minimum_cost, maximum_cost)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                version,
                *row[:6],
                *fees_of(row),
            )
        published = TariffPublished(
            tariff_id="north",
            version_id=version,
            name="North",
            currency=currency,
            effective_from=effective_from,
            rows=len(rows),
            sha256=rows_digest(sorted(rows)),
            published_at=NOON,
        )
        return await self.worker.handle([received(TARIFF_PUBLISHED, published)])

    async def save_accounts(self, *accounts: AccountChanged) -> Outcome:
        return await self.worker.handle([received(ACCOUNT_CHANGED, a) for a in accounts])

    async def pay(self, *payments: PaymentReceived) -> Outcome:
        """Insert payments in accounts and have rating receive them."""
        await self.hold(*payments)
        return await self.receive_payments(*payments)

    async def hold(self, *payments: PaymentReceived) -> None:
        """Insert payments in accounts."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await insert_payments(connection, payments)
        finally:
            await connection.close()

    async def receive_payments(self, *payments: PaymentReceived) -> Outcome:
        """Have rating receive payments, whether accounts holds them or not."""
        return await self.worker.handle([received(PAYMENT_RECEIVED, p) for p in payments])

    async def rate(self, *calls: CallCompleted, worker: Rating | None = None) -> Outcome:
        batch = [received(CALL_COMPLETED, c, c.call_id) for c in calls]
        return await (worker or self.worker).handle(batch)

    async def rate_with_retries(self, *calls: CallCompleted, worker: Rating) -> Outcome:
        """Process a batch again after each transient error, as the record processor does."""
        for _ in range(20):
            with suppress(Retry, asyncpg.DeadlockDetectedError):
                return await self.rate(*calls, worker=worker)
        raise AssertionError("20 attempts failed")

    async def replay(self) -> int:
        """Rate all marked calls again; how many they were."""
        replayed = 0
        while found := await self.worker.replay():
            replayed += found
        return replayed

    async def balance(self, account_id: str = "1001") -> int:
        return int(
            await self.value(
                "select balance_micro from rating.account where account_id = $1", account_id
            )
        )

    async def entries(self, account_id: str = "1001") -> list[tuple[str, int]]:
        rows = await self.sql(
            "select kind, amount_micro from rating.ledger where account_id = $1 order by version",
            account_id,
        )
        return [(row["kind"], row["amount_micro"]) for row in rows]

    async def outbox(self) -> list[dict[str, Any]]:
        rows = await self.sql("select topic, value from rating.outbox order by id")
        return [{"topic": row["topic"], **orjson.loads(row["value"])} for row in rows]

    async def free_used(self, account_id: str = "1001") -> int:
        return int(
            await self.value(
                "select coalesce(sum(used_s), 0)::int from rating.free_minutes"
                " where account_id = $1",
                account_id,
            )
        )

    async def free_used_by_bundle(self) -> dict[str, int]:
        """The free seconds used, by bundle, of the one product and month that has any."""
        rows = await self.sql(
            "select '' as bundle, used_s from rating.free_minutes"
            " union all select bundle, used_s from rating.free_bundle"
        )
        return {row["bundle"]: row["used_s"] for row in rows}

    async def drift(self) -> list[asyncpg.Record]:
        views = ("drift_i1", "drift_i2", "drift_i3", "drift_i4")
        return [row for view in views for row in await self.sql(f"select * from rating.{view}")]


def payment(
    key: str, amount_micro: int, account_id: str = "1001", **fields: Any
) -> PaymentReceived:
    return PaymentReceived.model_validate(
        {
            "payment_id": derive("payment", account_id, key),
            "account_id": account_id,
            "kind": "top-up",
            "amount_micro": amount_micro,
            "currency": "CAD",
            "received_at": NOON,
            **fields,
        }
    )


@asynccontextmanager
async def open_bench(database: str) -> AsyncIterator[Bench]:
    """A bench with a tariff, and a client with a product on it."""
    async with await open_pool(database, service="rating", size=6) as pool:
        bench = Bench(database, pool)
        await bench.publish_tariff(NORTH, BRITAIN)
        await bench.save_accounts(account())
        yield bench
