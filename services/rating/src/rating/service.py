"""The rating pipeline: consumes calls, payments, account profiles and tariffs, posts ledger entries
and publishes the resulting events.

call.completed ─┐                                  ┌─▶ call.rated / call.unrated
payment.received├─▶ read ─▶ save ─▶ apply ─▶ write ┤
account.changed ┤        (profiles) (in memory)    └─▶ balance.changed
tariff.published┘
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

import structlog

from rating.anti_entropy.store import OWNER
from rating.audit.loop import STALL_S, Audit
from rating.audit.money_counts import MoneyCounts, count_posted
from rating.audit.store import AuditStore
from rating.audit.store_money import MoneyStore
from rating.claims.claim_check import claim_problem
from rating.claims.loop import ClaimLoop
from rating.claims.store import ALARMS, Claims
from rating.exposure.long_calls import LONG_CALL_S, long_calls
from rating.exposure.store import ExposureStore
from rating.exposure.watch import ExposureWatch
from rating.jobs.wiring import job_loops
from rating.posting.batch import (
    CallRecord,
    RatingBatch,
    call_record,
    payment_record,
    read_batch,
    readable_call_id,
)
from rating.posting.events import events_of
from rating.posting.records import SettlementResult
from rating.posting.reference_data import ReferenceData
from rating.posting.settlement import MatchedCall, Settlement, match_calls
from rating.pricing.product_match import Match
from rating.reference_loader import ReferenceLoader
from rating.settings import Settings
from rating.store import PRUNED, BatchTransaction, EntryExists, RatingStore
from rating.unrated.replayer import Replayer
from rating.unrated.rows import row_loops
from rating.unrated.store import ReplayStore
from ringfence.anti_entropy.offsets import ConsumedOffsets
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import Clock, SystemClock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.counting import CountLoop
from ringfence.observe.health import Health
from ringfence.observe.metrics import STAGE_SECONDS
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.tariff import rows_digest
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Received, Rejected
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    CALL_COMPLETED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
)

NAME = "rating"
log = structlog.get_logger()
READS = (CALL_COMPLETED, PAYMENT_RECEIVED, ACCOUNT_CHANGED, TARIFF_PUBLISHED)


CHECK_FIRST = 10
"""Batches that are checked against the ledger after a start or a duplicate: more than can be
delivered again then."""


class Rating:
    """The handler of batches: what each becomes in the database, and which events it causes.

    The ledger's unique index prevents that anything is charged twice. Redelivery is rare except
    after a restart or a rebalance, so only the next `check_first` batches are checked against the
    ledger. If a later batch violates the unique index, it is rolled back and processed again with
    the check.
    """

    def __init__(
        self,
        *,
        store: RatingStore,
        clock: Clock,
        retry_unrated_s: int,
        check_first: int = CHECK_FIRST,
        long_call_s: int = LONG_CALL_S,
    ) -> None:
        self._store = store
        self._loader = ReferenceLoader(store)
        self._reference = self._loader.data
        self._clock = clock
        self._retry_unrated = timedelta(seconds=retry_unrated_s)
        self._replays = ReplayStore(store.pool)
        self._check_first = check_first
        self._long_call_s = long_call_s
        self._one_at_a_time = asyncio.Lock()

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Read and process a batch."""
        return await self.process_batch(read_batch(batch))

    async def process_batch(self, batch: RatingBatch) -> Outcome:
        """Process a batch. Idempotent: a record that was processed yields the same events again.

        The caller publishes the events, then commits the offsets.
        """
        async with self._one_at_a_time:
            # 1. Commit profiles and tariffs, so that the batch's calls are rated by them. A kill
            #    after it: the batch is delivered again, and the same rows change nothing.
            with _stage("learn"):
                refused = await self._save_reference_data(batch)
                await self._loader.refresh()
                await self._mark_unrated(batch)
            # 2. Commit entries, balances and queue in one transaction. A kill after it: the batch
            #    is delivered again, found in the ledger, and its events are published then.
            outcome = await self._process(batch)
        # 3. Record the dead calls. A kill before it: they are rejected and recorded again.
        rejected = [*batch.rejected, *refused]
        outcome.reject += rejected
        await self._record_dead_calls(rejected)
        return outcome

    async def replay(self) -> int:
        """Process queued calls that are marked for another attempt; how many there were.

        Their events are written to the outbox in the same transaction.
        """
        async with self._one_at_a_time, self._replays.transaction() as transaction:
            marked = await transaction.marked()
            if not marked:
                return 0
            await self._loader.refresh()
            calls = [
                call_record(CallCompleted.model_validate_json(raw), raw.encode()) for raw in marked
            ]
            matched = self._match(calls)
            result = await self._apply(transaction, RatingBatch(calls), matched, check_ledger=True)
            waiting = {row.event.call_id for row in result.unrated}
            settled = {call.call_id for call in calls} - waiting
            await transaction.finish_replay(settled, waiting, events_of(result.published))
        count_posted(result.entries, result.balances)
        return len(marked)

    async def post_claimed(self, after: UUID) -> UUID | None:
        """Post one page of waiting payments that accounts holds by now; where the page ended.

        Pages are in the order of the payments' ids, so that a payment that cannot be posted does
        not block others. Returns None after the last page.
        """
        now = self._clock.now()
        async with self._one_at_a_time, self._store.transaction() as transaction:
            found = await transaction.claims.claimed_by_now(after)
            if not found:
                await transaction.claims.end_alarms_without_cause(now)
                return None
            payments = [payment_record(each.payment, each.correlation_id) for each in found]
            batch = RatingBatch(payments=payments)
            result = await self._apply(transaction, batch, [], check_ledger=True)
            await transaction.claims.publish(events_of(result.published))
        count_posted(result.entries, result.balances)
        return found[-1].payment.payment_id

    async def current_reference(self) -> ReferenceData:
        """Accounts, products and tariffs as they are in the database now."""
        async with self._one_at_a_time:
            await self._loader.refresh()
        return self._reference

    async def _save_reference_data(self, batch: RatingBatch) -> list[Rejected]:
        """Save the batch's profiles and tariff versions; those that are rejected."""
        rejected = []
        if batch.accounts:
            refused = await self._store.save_accounts([account for account, _ in batch.accounts])
            rejected += [
                Rejected(received, f"currency: got {account.currency}, expected the ledger's own")
                for account, received in batch.accounts
                if account.account_id in refused
            ]
        for tariff, received in batch.tariffs:
            rates = await self._store.rates(tariff.version_id)
            if len(rates) == tariff.rows and rows_digest(rates) == tariff.sha256:
                await self._store.save_tariff(tariff)
            else:
                reason = f"sha256: got {tariff.sha256}, expected that of the version's rows"
                rejected.append(Rejected(received, reason))
        return rejected

    async def _mark_unrated(self, batch: RatingBatch) -> None:
        """Mark recent unrated calls that the batch's profiles and tariffs may resolve."""
        since = self._clock.now() - self._retry_unrated
        if batch.accounts:
            accounts = [account.account_id for account, _ in batch.accounts]
            await self._replays.mark_tenants(self._reference.tenants_of(accounts), since)
        if batch.tariffs:
            await self._replays.mark_for_tariff(since)

    async def _process(self, batch: RatingBatch) -> Outcome:
        if not (batch.calls or batch.payments):
            return Outcome()
        with _stage("match"):
            matched = self._match(batch.calls)
        if not self._check_first:
            try:
                return await self._commit(batch, matched, check_ledger=False)
            except EntryExists as duplicate:
                log.info("checking the ledger for duplicates for a while", reason=str(duplicate))
                self._check_first = CHECK_FIRST
        outcome = await self._commit(batch, matched, check_ledger=True)
        self._check_first = max(0, self._check_first - 1)
        return outcome

    async def _commit(
        self, batch: RatingBatch, matched: list[MatchedCall], *, check_ledger: bool
    ) -> Outcome:
        async with self._store.transaction() as transaction:
            result = await self._apply(transaction, batch, matched, check_ledger=check_ledger)
        count_posted(result.entries, result.balances)
        return Outcome(events_of(result.published), result.rejected)

    def _match(self, calls: Sequence[CallRecord]) -> list[MatchedCall]:
        return match_calls(self._reference, calls, self._clock.now())

    async def _apply(
        self,
        transaction: BatchTransaction,
        batch: RatingBatch,
        matched: list[MatchedCall],
        *,
        check_ledger: bool,
    ) -> SettlementResult:
        """Read what exists, settle in memory, write. Raises EntryExists for a duplicate.

        Without `check_ledger`, a duplicate entry violates the ledger's unique index. A record
        that yields no entry now but did before is found by a query.
        """
        with _stage("open"):
            settlement = await self._open(transaction, batch, matched, check_ledger)
        with _stage("settle"):
            result = settlement.apply(batch.payments, matched)
        with _stage("write"):
            unposted = result.unposted
            if unposted and not check_ledger and await transaction.any_exist(unposted):
                raise EntryExists(
                    "a call or payment that yields no entry now has one in the ledger"
                )
            await _write(transaction, result)
            await self._write_claims(transaction, result)
            if found := long_calls(matched, result, self._long_call_s):
                names = self._reference.client_names(c.account_id for c in found if c.account_id)
                await transaction.long_calls.raise_alarms(found, names, self._clock.now())
        return result

    async def _write_claims(self, transaction: BatchTransaction, result: SettlementResult) -> None:
        if result.unclaimed:
            names = self._reference.client_names(u.payment.account_id for u in result.unclaimed)
            await transaction.claims.save_unclaimed(result.unclaimed, names, self._clock.now())
        if result.claimed:
            await transaction.claims.resolve(result.claimed, self._clock.now())

    async def _open(
        self,
        transaction: BatchTransaction,
        batch: RatingBatch,
        matched: list[MatchedCall],
        check_ledger: bool,
    ) -> Settlement:
        """Lock the accounts, then read what exists, so that no other worker writes in between."""
        matches = [one.match for one in matched if isinstance(one.match, Match)]
        claims, unclaimed = await _read_claims(transaction, batch)
        # An unclaimed payment opens no account: its currency cannot be trusted.
        accounts = {
            p.account_id: p.currency
            for p in (item.payment for item in batch.payments)
            if not claim_problem(p, claims.get(p.payment_id))
        }
        accounts |= {match.account_id: match.currency for match in matches}
        balances = await transaction.lock_balances(accounts)
        calls = [one.call.call_id for one in matched]
        if check_ledger:
            entries = [one.call.entry_id for one in matched]
            entries += [item.payment.payment_id for item in batch.payments]
            existing = await transaction.existing(entries, calls)
        else:
            existing = await transaction.existing_without_entry(calls)
        existing.claims, existing.unclaimed = claims, unclaimed
        moved = {entry.account_id for entry in existing.entries.values()} - balances.keys()
        if moved:  # a number that changed hands since it was charged; its account is open
            balances |= await transaction.lock_balances(dict.fromkeys(moved, ""))
        keys = {key for one in matched if one.free_key for key in one.free_keys()}
        free_used = await transaction.free_used(keys)
        return Settlement(self._reference, existing, balances, free_used)

    async def record_dead(self, rejected: Rejected) -> None:
        """Record a call that became a dead letter without being processed. Idempotent."""
        await self._record_dead_calls([rejected])

    async def _record_dead_calls(self, rejected: Sequence[Rejected]) -> None:
        """Record calls that cannot be read.

        A call that came again with other content is not among them: the first one is settled.
        """
        dead = [
            (
                readable_call_id(d.received)
                or derive("dead", d.received.topic, d.received.partition, d.received.offset),
                d.reason.replace("\x00", ""),
                d.received.value.decode("utf-8", "replace").replace("\x00", ""),
            )
            for d in rejected
            if d.received.topic == CALL_COMPLETED.name
        ]
        if dead:
            await self._store.record_dead_calls(dead)


def _stage(name: str) -> AbstractContextManager[object]:
    return STAGE_SECONDS.labels(NAME, name).time()


async def _read_claims(transaction: BatchTransaction, batch: RatingBatch) -> Claims:
    """Read the claims of all payments of a batch in one query; no query without payments."""
    ids = [item.payment.payment_id for item in batch.payments]
    return await transaction.claims.read(ids) if ids else ({}, {})


async def _write(transaction: BatchTransaction, result: SettlementResult) -> None:
    """Write the ledger first: its unique index prevents that a charge is made twice."""
    if result.entries:
        await transaction.write_entries(result.entries)
        await transaction.write_balances(result.moved_balances())
    if result.free_used:
        await transaction.write_free_used(result.free_used)
    if result.not_billed:
        await transaction.write_not_billed(result.not_billed)
    if result.unrated:
        await transaction.write_unrated(result.unrated)
    if result.resolved:
        await transaction.resolve(result.resolved)


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Run the service until `stop` is set."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    if not await wait_for_dependencies(NAME, settings, health.readiness, stop):
        return
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        job_loops(settings, publisher, health, SystemClock()) as jobs,
    ):
        require_stores(health, pool, publisher)
        handler = Rating(
            store=RatingStore(pool),
            clock=SystemClock(),
            retry_unrated_s=settings.rating_retry_unrated_s,
            long_call_s=settings.rating_long_call_s,
        )
        progress = health.loop(NAME)
        failures = keep_failures(pool, ALARMS, group=NAME, progress=health.loop("rating-failures"))
        processor = RecordProcessor(
            handler.process_batch,
            publisher,
            consumer=NAME,
            read=read_batch,
            failures=failures,
            record_dead=handler.record_dead,
        )
        runner = BatchRunner(
            processor,
            READS,
            bootstrap=bootstrap,
            group=NAME,
            progress=progress,
            max_records=settings.rating_batch_records,
            offsets=ConsumedOffsets(pool, ALARMS, service=NAME, group=NAME, clock=SystemClock()),
        )
        replayer = Replayer(
            rating=handler, store=ReplayStore(pool), progress=health.loop("rating-replay")
        )
        claims = ClaimLoop(rating=handler, progress=health.loop("rating-claims"))
        exposure = ExposureWatch(
            rating=handler,
            store=ExposureStore(pool),
            clock=SystemClock(),
            progress=health.loop("rating-exposure"),
        )
        relay = OutboxRelay(pool, publisher, schema="rating", progress=health.loop("rating-outbox"))

        def behind() -> bool:
            return progress.lag > settings.rating_batch_records

        audit_every_s = settings.rating_audit_every_s
        audit = Audit(
            store=AuditStore(pool),
            every_s=audit_every_s,
            progress=health.loop("rating-audit", stall_s=audit_every_s + STALL_S),
            behind=behind,
        )
        counts = CountLoop(
            MoneyCounts(MoneyStore(pool)).count, progress=health.loop("money-counts")
        )
        rows = row_loops(pool, publisher, bootstrap, health, SystemClock())
        again = anti_entropy_of(OWNER, settings, pool, publisher, health)
        pruning = pruning_of(
            "rating", PRUNED, pool, settings.kept_days, health.loop("rating-pruning"), behind
        )
        loops = (
            runner, failures, replayer, claims, exposure, relay, audit, counts, again, pruning,
        )  # fmt: skip
        await run_together(stop, *(loop.run for loop in loops), *rows, *jobs)
