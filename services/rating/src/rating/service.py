"""Rating's whole way: calls, payments, profiles and tariffs in; the ledger moves; what it did out.

call.completed ─┐                                   ┌─▶ call.rated / call.unrated
payment.received├─▶ read ─▶ learn ─▶ settle ─▶ write┤
account.changed ┤        (profiles)  (in memory)    └─▶ balance.changed
tariff.published┘
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

import structlog

from rating.audit.loop import STALL_S, Audit
from rating.audit.money_counts import MoneyCounts, count_posted
from rating.audit.store import AuditStore
from rating.audit.store_money import MoneyStore
from rating.claims.claim_check import claim_problem
from rating.claims.loop import ClaimLoop
from rating.posting.batch import (
    CallRecord,
    RatingBatch,
    call_id_if_readable,
    call_record,
    payment_record,
    read_batch,
)
from rating.posting.records import ExistingRecords
from rating.posting.reference_data import ReferenceData
from rating.posting.settlement import MatchedCall, Settlement, match_calls
from rating.pricing.product_match import Match
from rating.settings import Settings
from rating.store import BatchTransaction, EntryExists, RatingStore
from rating.unrated.replayer import Replayer
from rating.unrated.store import ReplayStore
from ringfence.clock import Clock, SystemClock
from ringfence.kafka.batch import BatchRunner
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import run_together
from ringfence.observe.counting import CountLoop
from ringfence.observe.health import Health
from ringfence.observe.metrics import STAGE_SECONDS
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
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


LOOKS_FIRST = 10
"""Batches that are looked up in the ledger before they are settled, after a start or a surprise:
more than what may come again then."""


class Rating:
    """The handler: a batch's work in the database, and what is to be told of it.

    That nothing is charged twice is the ledger's unique index to say. Hardly a record comes twice
    but after a kill or a rebalance: so the next `looks_first` batches are looked up before they
    are settled, and others are taken for new. Where one then holds what stands already, all of it
    is undone, and settled again by looking first.
    """

    def __init__(
        self,
        *,
        store: RatingStore,
        books: ReferenceData,
        clock: Clock,
        retry_unrated_s: int,
        looks_first: int = LOOKS_FIRST,
    ) -> None:
        self._store = store
        self._books = books
        self._clock = clock
        self._retry_unrated = timedelta(seconds=retry_unrated_s)
        self._replays = ReplayStore(store.pool)
        self._looks_first = looks_first
        self._settles = asyncio.Lock()

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Read and settle a batch."""
        return await self.settle(read_batch(batch))

    async def settle(self, intake: RatingBatch) -> Outcome:
        """Settle what was read. Safe to call again: what stands already is answered as before."""
        async with self._settles:
            with _stage("learn"):
                refused = await self._learn(intake)
                await self._books.refresh(self._store)
                await self._mark_waiting(intake)
            outcome = await self._settle(intake)
        rejected = [*intake.rejected, *refused]
        outcome.reject += rejected
        await self._bury(rejected)
        return outcome

    async def replay(self) -> int:
        """Settle calls that are marked for it, and leave in the outbox what is to be told."""
        async with self._settles, self._replays.settling() as settling:
            marked = await settling.marked()
            if not marked:
                return 0
            await self._books.refresh(self._store)
            calls = [
                call_record(CallCompleted.model_validate_json(raw), raw.encode()) for raw in marked
            ]
            matched = self._match(calls)
            settlement = await self._settle_in(
                settling, RatingBatch(calls), matched, look_first=True
            )
            waiting = {row.told.call_id for row in settlement.unrated}
            settled = {call.call_id for call in calls} - waiting
            await settling.replayed(settled, waiting, settlement.outcome().publish)
        count_posted(settlement.entries, settlement.standings)
        return len(marked)

    async def post_claimed(self, after: UUID) -> UUID | None:
        """Post a page of waiting payments whose claim is good by now; where the page ended.

        The pages go by the payments' ids, so that one that cannot be posted stops no other.
        """
        now = self._clock.now()
        async with self._settles, self._store.settling() as settling:
            found = await settling.claims.claimed_by_now(after)
            if not found:
                await settling.claims.end_alarms_without_cause(now)
                return None
            payments = [payment_record(each.payment, each.correlation_id) for each in found]
            intake = RatingBatch(payments=payments)
            settlement = await self._settle_in(settling, intake, [], look_first=True)
            await settling.claims.publish(settlement.outcome().publish)
        count_posted(settlement.entries, settlement.standings)
        return found[-1].payment.payment_id

    async def _learn(self, intake: RatingBatch) -> list[Rejected]:
        """Keep new profiles and tariff versions before anything is rated by them."""
        rejected = []
        if intake.accounts:
            refused = await self._store.learn_accounts([account for account, _ in intake.accounts])
            rejected += [
                Rejected(received, f"currency: got {account.currency}, expected the ledger's own")
                for account, received in intake.accounts
                if account.account_id in refused
            ]
        for tariff, received in intake.tariffs:
            rates = await self._store.rates(tariff.version_id)
            if len(rates) == tariff.rows and rows_digest(rates) == tariff.sha256:
                await self._store.learn_tariff(tariff)
            else:
                reason = f"sha256: got {tariff.sha256}, expected that of the rows as they stand"
                rejected.append(Rejected(received, reason))
        return rejected

    async def _mark_waiting(self, intake: RatingBatch) -> None:
        """Have recent unrated calls tried again when what they may have waited for has come."""
        since = self._clock.now() - self._retry_unrated
        if intake.accounts:
            places = self._books.places([account.account_id for account, _ in intake.accounts])
            await self._replays.mark_places(places, since)
        if intake.tariffs:
            await self._replays.mark_for_tariff(since)

    async def _settle(self, intake: RatingBatch) -> Outcome:
        if not (intake.calls or intake.payments):
            return Outcome()
        with _stage("match"):
            matched = self._match(intake.calls)
        if not self._looks_first:
            try:
                return await self._settle_as(intake, matched, look_first=False)
            except EntryExists as surprise:
                log.info("looking first for a while", reason=str(surprise))
                self._looks_first = LOOKS_FIRST
        outcome = await self._settle_as(intake, matched, look_first=True)
        self._looks_first = max(0, self._looks_first - 1)
        return outcome

    async def _settle_as(
        self, intake: RatingBatch, matched: list[MatchedCall], *, look_first: bool
    ) -> Outcome:
        async with self._store.settling() as settling:
            settlement = await self._settle_in(settling, intake, matched, look_first=look_first)
        count_posted(settlement.entries, settlement.standings)
        return settlement.outcome()

    def _match(self, calls: Sequence[CallRecord]) -> list[MatchedCall]:
        return match_calls(self._books, calls, self._clock.now())

    async def _settle_in(
        self,
        settling: BatchTransaction,
        intake: RatingBatch,
        matched: list[MatchedCall],
        *,
        look_first: bool,
    ) -> Settlement:
        """Settle in a transaction. Raises EntryStands where something was taken for new and is not.

        What is charged or paid anew, the ledger's index tells; what is not, is asked for.
        """
        with _stage("open"):
            settlement = await self._open(settling, intake, matched, look_first)
        with _stage("settle"):
            settlement.settle(intake.payments, matched)
        with _stage("write"):
            unposted = settlement.unposted
            if unposted and not look_first and await settling.stand(unposted):
                raise EntryExists("something stands that is not charged now")
            await _write(settling, settlement)
            await self._write_claims(settling, settlement)
        return settlement

    async def _write_claims(self, settling: BatchTransaction, settlement: Settlement) -> None:
        if settlement.unclaimed:
            names = self._books.client_names(u.payment.account_id for u in settlement.unclaimed)
            await settling.claims.keep(settlement.unclaimed, names, self._clock.now())
        if settlement.claimed:
            await settling.claims.resolve(settlement.claimed, self._clock.now())

    async def _open(
        self,
        settling: BatchTransaction,
        intake: RatingBatch,
        matched: list[MatchedCall],
        look_first: bool,
    ) -> Settlement:
        """Lock the accounts first, then see what stands: no other worker can be in between."""
        matches = [one.match for one in matched if isinstance(one.match, Match)]
        checked = await _check_claims(settling, intake)
        # An unclaimed payment opens no account: its currency may be anybody's.
        accounts = {
            p.account_id: p.currency
            for p in (item.payment for item in intake.payments)
            if not claim_problem(p, checked.claims.get(p.payment_id))
        }
        accounts |= {match.account_id: match.currency for match in matches}
        standings = await settling.standings(accounts)
        calls = [one.call.call_id for one in matched]
        if look_first:
            entries = [one.call.entry_id for one in matched]
            entries += [item.payment.payment_id for item in intake.payments]
            known = await settling.known(entries, calls)
        else:
            known = await settling.without_entry(calls)
        known.claims, known.unclaimed = checked.claims, checked.unclaimed
        moved = {entry.account_id for entry in known.entries.values()} - standings.keys()
        if moved:  # a number that changed hands since it was charged; its account is open
            standings |= await settling.standings(dict.fromkeys(moved, ""))
        keys = {one.free_key for one in matched if one.free_key}
        return Settlement(self._books, known, standings, await settling.free_used(keys))

    async def _bury(self, rejected: Sequence[Rejected]) -> None:
        """Note calls that could not be read. One that came again altered is not dead: it stands."""
        dead = [
            (
                call_id_if_readable(d.received)
                or derive("dead", d.received.topic, d.received.partition, d.received.offset),
                d.reason.replace("\x00", ""),
                d.received.value.decode("utf-8", "replace").replace("\x00", ""),
            )
            for d in rejected
            if d.received.topic == CALL_COMPLETED.name
        ]
        if dead:
            await self._store.bury(dead)


def _stage(name: str) -> AbstractContextManager[object]:
    return STAGE_SECONDS.labels(NAME, name).time()


async def _check_claims(settling: BatchTransaction, intake: RatingBatch) -> ExistingRecords:
    """One look for all payments of a batch; none without payments."""
    ids = [item.payment.payment_id for item in intake.payments]
    claims, unclaimed = await settling.claims.look(ids) if ids else ({}, {})
    return ExistingRecords(claims=claims, unclaimed=unclaimed)


async def _write(settling: BatchTransaction, settlement: Settlement) -> None:
    """The ledger first: its unique index is what stops a charge from being made twice."""
    if settlement.entries:
        await settling.write_entries(settlement.entries)
        await settling.write_standings(settlement.moved())
    if settlement.free_moved:
        await settling.write_free_used(settlement.free_moved)
    if settlement.not_billed:
        await settling.write_not_billed(settlement.not_billed)
    if settlement.unrated:
        await settling.write_unrated(settlement.unrated)
    if settlement.resolved:
        await settling.resolve(settlement.resolved)


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Rate until told to stop."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.brokers()
    async with (
        await open_pool(dsn, service=NAME) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
    ):
        require_stores(health, pool, publisher)
        handler = Rating(
            store=RatingStore(pool),
            books=ReferenceData(),
            clock=SystemClock(),
            retry_unrated_s=settings.rating_retry_unrated_s,
        )
        progress = health.loop(NAME)
        runner = BatchRunner(
            RecordProcessor(handler.settle, publisher, consumer=NAME, read=read_batch),
            READS,
            bootstrap=bootstrap,
            group=NAME,
            progress=progress,
            max_records=settings.rating_batch_records,
        )
        replayer = Replayer(
            rating=handler, store=ReplayStore(pool), progress=health.loop("rating-replay")
        )
        claims = ClaimLoop(rating=handler, progress=health.loop("rating-claims"))
        relay = OutboxRelay(pool, publisher, schema="rating", progress=health.loop("rating-outbox"))
        audit_every_s = settings.rating_audit_every_s
        audit = Audit(
            store=AuditStore(pool),
            every_s=audit_every_s,
            progress=health.loop("rating-audit", stall_s=audit_every_s + STALL_S),
            behind=lambda: progress.lag > settings.rating_batch_records,
        )
        counts = CountLoop(
            MoneyCounts(MoneyStore(pool)).count, progress=health.loop("money-counts")
        )
        await run_together(
            stop, runner.run, replayer.run, claims.run, relay.run, audit.run, counts.run
        )
