"""The loop of an owner that publishes again what a reader of its topics never received (ADR 39).

For each comparison of an owner's records with a reader's copy, at each look:

1. Read which of the records noted before are still missing; delete the others.
2. Publish again those that the reader should have read by now: its group has committed everything
   that was on the topic when they were noted. A kill before step 4 publishes them once more.
3. Note what is missing among the records that are new since the last look and older than the
   shortest age. They are published at a later look, if they are missing then.
4. Commit the notes and how far was compared.

So what is merely in flight is not published again, and what the reader rejects is published less
and less often, under an alarm.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from ringfence.anti_entropy.broker import BrokerView, PartitionEnds
from ringfence.anti_entropy.copies import (
    ALARMED_AFTER,
    EPOCH,
    Continuation,
    Continued,
    CopyCheck,
    MissingCopy,
    is_full_due,
    pair_name,
    restored_alarm,
    undelivered_alarm,
    wait_after,
)
from ringfence.anti_entropy.store import (
    ComparisonTransaction,
    CopyStore,
    NotedCopy,
)
from ringfence.clock import Clock
from ringfence.loops import run_loop, wait_or_stop
from ringfence.observe.health import Progress
from ringfence.postgres.alarms import Alarms
from ringfence_contracts.records import Outgoing

STALL_S = 900.0
"""Longer than a full comparison may take."""

UNDELIVERED, RESTORED = "not-delivered", "restored"
"""The keys of the alarms; their subjects are the comparison, and the service."""

_AT_ONCE = 2_000
"""How much is published again, and how much is noted, at one look."""

_NOTED_AT_MOST = 10_000
_OVERLAP = timedelta(minutes=1)
"""Longer than a transaction may take: its rows have the time of its beginning."""

_RESTORED_MARGIN = timedelta(minutes=10)
_LATER = timedelta(minutes=2)
"""An owner looks more often than this: records from so long after its last look are from later."""

_ATTENTIVE = timedelta(minutes=10)
"""For so long after a start, each look also compares in the other direction; then once a day."""

_DAY = timedelta(days=1)
_READ_BOUND_S = 10.0
_READ_POLL_S = 0.5

MISSING = Gauge(
    "ringfence_missing_copies",
    "Records of an owner that a reader of its topic does not have, as of the last look.",
    ["topic", "reader"],
)
REPUBLISHED = Counter(
    "ringfence_republished_total",
    "Records that were published again because the reader did not have them.",
    ["topic", "reader"],
)
log = structlog.get_logger()


class Publishes(Protocol):
    """The publisher."""

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Deliver all events. Raises Retry."""
        ...


@dataclass(frozen=True)
class Owner:
    """A service that takes part: its alarms, what it compares, how it continues after a restore.

    A service without topics to compare has neither; it only says that it runs.
    """

    service: str
    alarms: Alarms
    checks: Sequence[CopyCheck] = ()
    continuation: Continuation | None = None


class AntiEntropy:
    """Looks every `every_s` seconds. `broker` says how far readers have read.

    What is younger than half of `every_s` is not looked at: it is in flight.
    """

    def __init__(
        self,
        owner: Owner,
        *,
        store: CopyStore,
        publisher: Publishes,
        broker: BrokerView,
        clock: Clock,
        progress: Progress,
        every_s: float,
    ) -> None:
        self._owner = owner
        self._store = store
        self._publisher = publisher
        self._broker = broker
        self._clock = clock
        self._progress = progress
        self._every_s = every_s
        self._shortest_age = timedelta(seconds=every_s / 2)
        self._alarms = owner.alarms
        self._stop = asyncio.Event()
        self._ends: dict[str, tuple[datetime, PartitionEnds]] = {}
        self._attentive_until: datetime | None = None
        self._daily_at: datetime | None = None
        self._later: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; while a dependency fails, look again later."""
        self._stop = stop
        await run_loop(
            stop,
            self.look,
            "anti-entropy waits",
            progress=self._progress,
            every_s=self._every_s,
            full_batch=_AT_ONCE,
            longest_pause_s=60.0,
        )

    async def look(self) -> int:
        """Make every comparison once; how many records were noted as missing, at most."""
        now = self._clock.now()
        if self._attentive_until is None:
            await self._begin(now)
        await self._store.look(now)
        if self._owner.continuation is not None:
            await self._continue_above(self._owner.continuation, now)
        return max([0, *[await self._compare(check) for check in self._owner.checks]])

    async def _begin(self, now: datetime) -> None:
        """At the start: find out whether the topics hold records from after this database."""
        continuation, looked_at = self._owner.continuation, await self._store.begin(now)
        if continuation is not None and looked_at is not None:
            later = await self._broker.published_after(continuation.numbers, looked_at + _LATER)
            self._later = dict(later.numbers)
            if later.records:
                log.warning("topics are ahead of the database", records=later.records)
        self._attentive_until = now + _ATTENTIVE
        self._daily_at = now + _DAY

    async def _continue_above(self, continuation: Continuation, now: datetime) -> None:
        """Raise what is behind a reader's copy, or behind the topics, above it."""
        assert self._attentive_until is not None
        assert self._daily_at is not None
        is_daily = now > self._daily_at
        if now > self._attentive_until and not is_daily:
            return
        async with self._store.transaction(RESTORED) as transaction:
            if transaction is None:
                return
            ahead = dict(await continuation.ahead(transaction.connection))
            found_in = self._readers_in_words() if ahead else "its topics"
            for key, number in self._later.items():
                ahead[key] = max(number, ahead.get(key, 0))
            if ahead:
                continued = await continuation.continue_above(transaction.connection, ahead, now)
                await self._report_restored(transaction, continuation, continued, found_in, now)
            elif is_daily:
                service = self._owner.service
                await self._alarms.end_alarm(transaction.connection, RESTORED, service, now)
        self._later = {}
        if is_daily:
            self._daily_at = now + _DAY

    def _readers_in_words(self) -> str:
        readers = sorted({check.reader for check in self._owner.checks})
        return f"what its readers hold ({', '.join(readers)})"

    async def _report_restored(
        self,
        transaction: ComparisonTransaction,
        continuation: Continuation,
        continued: Continued,
        found_in: str,
        now: datetime,
    ) -> None:
        if not (continued.raised or continued.unknown):
            return
        service = self._owner.service
        log.warning(
            "restored: continues above what was published",
            accounts=len(continued.raised),
            unknown=len(continued.unknown),
        )
        done = continuation.in_words(len(continued.raised))
        text = restored_alarm(service, continued, found_in, done)
        await self._alarms.raise_alarm(transaction.connection, RESTORED, service, text, now)

    async def _compare(self, check: CopyCheck) -> int:
        """One comparison; how many records were noted or published again, whichever is more."""
        now, pair = self._clock.now(), pair_name(check)
        async with self._store.transaction(pair) as transaction:
            if transaction is None:
                return 0
            left, published = await self._publish_again(transaction, check, now)
            found = 0
            if left < _NOTED_AT_MOST:
                found = await self._note_new(transaction, check, now)
            await self._show(transaction, check, left + found, now)
        if left + found:
            # After the notes: what is noted was published before these ends, if it was at all.
            self._ends[pair] = (now, await self._broker.ends(check.topics))
        else:
            self._ends.pop(pair, None)
        if published == _AT_ONCE:
            await self._wait_until_read(check)
        self._progress.turned()
        return max(found, published)

    async def _wait_until_read(self, check: CopyCheck) -> None:
        """Wait for the reader, at most 10 s, so that the rest can follow without a pause."""
        loop = asyncio.get_running_loop()
        deadline, (_, ends) = loop.time() + _READ_BOUND_S, self._ends[pair_name(check)]
        while loop.time() < deadline and not await self._broker.has_read(check.reader, ends):
            if await wait_or_stop(self._stop, _READ_POLL_S):
                return

    async def _publish_again(
        self, transaction: ComparisonTransaction, check: CopyCheck, now: datetime
    ) -> tuple[int, int]:
        """Steps 1 and 2; how many noted records are left, and how many were published."""
        pair = pair_name(check)
        noted = await transaction.noted(pair, _NOTED_AT_MOST)
        if not noted:
            return 0, 0
        still = {
            copy.key: copy
            for copy in await check.still_missing(transaction.connection, [n.key for n in noted])
        }
        arrived = [n.key for n in noted if n.key not in still]
        if arrived:
            await transaction.delete_notes(pair, arrived)
        due = self._due(pair, noted, still, now)
        if due and await self._broker.has_read(check.reader, self._ends[pair][1]):
            copies = [still[n.key] for n in due]
            events = await check.events(transaction.connection, copies)
            await self._publisher.publish(events)
            waits = [(n.key, now + wait_after(n.attempts + 1)) for n in due]
            await transaction.count_attempt(pair, waits)
            self._report(check, [n.key for n in due])
            return len(still), len(due)
        return len(still), 0

    def _due(
        self,
        pair: str,
        noted: Sequence[NotedCopy],
        still: dict[str, MissingCopy],
        now: datetime,
    ) -> list[NotedCopy]:
        """What may be published now: noted before the reader's ends were taken."""
        if pair not in self._ends:
            return []
        taken_at = self._ends[pair][0]
        due = [n for n in noted if n.key in still and n.next_at <= now and n.seen_at <= taken_at]
        return due[:_AT_ONCE]

    def _report(self, check: CopyCheck, keys: Sequence[str]) -> None:
        topic = check.topics[0].name
        REPUBLISHED.labels(topic, check.reader).inc(len(keys))
        log.warning(
            "published again: the reader did not have it",
            topic=topic,
            reader=check.reader,
            records=len(keys),
            first=keys[0],
        )

    async def _note_new(
        self, transaction: ComparisonTransaction, check: CopyCheck, now: datetime
    ) -> int:
        """Step 3; how many records were noted."""
        pair = pair_name(check)
        state = await transaction.state(pair)
        state, was_restored = await transaction.with_reader(state, check.reader, _RESTORED_MARGIN)
        if was_restored:
            log.warning("the reader was restored: compared again", pair=pair)
            self._attentive_until = now + _ATTENTIVE
        beginning = EPOCH if check.horizon is None else now - check.horizon
        if is_full_due(state.full_at, now):
            state = replace(state, compared_until=beginning, full_at=now)
        since = max(state.compared_until, beginning) - _OVERLAP
        until = now - self._shortest_age
        copies = await check.missing(transaction.connection, since, until, _AT_ONCE)
        if copies:
            await transaction.note(pair, copies, now)
        if len(copies) == _AT_ONCE:  # the rest is looked for at once
            until = max(copies[-1].at, state.compared_until)
        await transaction.save_state(pair, replace(state, compared_until=until))
        return len(copies)

    async def _show(
        self, transaction: ComparisonTransaction, check: CopyCheck, missing: int, now: datetime
    ) -> None:
        """Set the metric; raise or end the alarm about what stays missing."""
        pair = pair_name(check)
        MISSING.labels(check.topics[0].name, check.reader).set(missing)
        failing = await transaction.failing(pair, ALARMED_AFTER) if missing else []
        if failing:
            text = undelivered_alarm(check, failing)
            await self._alarms.raise_alarm(transaction.connection, UNDELIVERED, pair, text, now)
        else:
            await self._alarms.end_alarm(transaction.connection, UNDELIVERED, pair, now)
