"""Decides in transactions: a batch of events, orders that ended by time, commands of operators."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog

from ringfence.clock import Clock
from ringfence.errors import Retry
from ringfence.events.operator import OperatorRequested
from ringfence.ids import derive
from ringfence.kafka.shell import UNWELL, wait_or_stop
from ringfence.observe.health import Progress
from suspender.account import Account, Cause, Decisions, Event, apply_event, decide_account
from suspender.brake import Charged, Limits, by_credit, cause_in_words, message
from suspender.metrics import BRAKE, CLIENTS_HELD
from suspender.store import Book, Deciding, SuspenderStore
from suspender.store_brake import BrakeStore, brake_since, is_brake_on

_AT_ONCE = 500
_LOOK_EVERY_S = 1.0
log = structlog.get_logger()


class Item(NamedTuple):
    """An event and what identifies it."""

    event: Event
    cause: Cause


class Decider:
    """Takes decisions; sets `woken` where the worker may have something to do."""

    def __init__(
        self, *, store: SuspenderStore, clock: Clock, limits: Limits, woken: asyncio.Event
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._woken = woken

    async def apply(self, items: Sequence[Item]) -> None:
        """Take in a batch of events, in order, and decide after each. Safe to call again."""
        now = self._clock.now()
        decisions, new_profiles = Decisions(), dict[str, Account]()
        newly_held: set[str] = set()
        async with self._store.deciding() as deciding:
            book = await deciding.lock({item.event.account_id for item in items})
            for event, cause in items:
                account = book.accounts[event.account_id]
                before, version = _countable(account), account.profile_version
                if not apply_event(account, event, now):
                    continue
                if account.profile_version > version:
                    new_profiles[account.account_id] = account
                if _countable(account) not in (None, before):
                    newly_held.add(account.account_id)
                services = book.services[account.account_id]
                decide_account(account, services, cause, now, decisions)
            await deciding.write(book.accounts.values(), new_profiles.values(), decisions, now)
            if newly_held:
                await self._look_at_brake(deciding, newly_held, now)
        self._woken.set()

    async def _look_at_brake(
        self, deciding: Deciding, newly_held: Collection[str], decided_at: datetime
    ) -> None:
        """Turn the brake on if too many clients began a funds hold within the window."""
        if not self._limits.is_set:
            return
        store = BrakeStore(deciding.connection)
        brake = await store.lock()
        now = self._clock.now()
        since = now - self._limits.window
        if brake.counted_from >= decided_at:
            # It was released while this batch was decided, and could not see its holds: they
            # belong to the time after it.
            await store.began_at(newly_held, now)
        if brake.on_since is not None:
            return
        begun = await store.begun(since, brake.counted_from)
        if len(begun) <= self._limits.clients:
            return
        clients = await store.live_clients()
        if not self._limits.exceeded(len(begun), clients):
            return
        charged: Charged | None = await store.mostly_charged(by_credit(begun), since)
        cause = cause_in_words(begun, charged)
        text = message(len(begun), clients, self._limits.window, cause)
        await store.turn_on(now, cause, text)
        log.warning("brake on", cause=cause, clients=len(begun), of=clients)

    async def decide_due(self) -> int:
        """Decide again about accounts whose time has come; how many.

        An order of theirs has ended by itself, or they were taken over from an earlier version.
        """
        now, decisions = self._clock.now(), Decisions()
        async with self._store.deciding() as deciding:
            book = await deciding.lock_to_decide(now, _AT_ONCE)
            for account in book.accounts.values():
                assert account.decide_at is not None
                at = account.decide_at.isoformat()
                event_id = derive("suspender.decision", account.account_id, at)
                cause = Cause(event_id, str(event_id))
                services = book.services[account.account_id]
                decide_account(account, services, cause, now, decisions)
            if book.accounts:
                await deciding.write(book.accounts.values(), (), decisions, now)
        if decisions.switched:
            self._woken.set()
        return len(book.accounts)

    async def obey(self, request: OperatorRequested, cause: Cause) -> None:
        """Do what an operator asked for, at most once, and keep the answer."""
        async with self._store.deciding() as deciding:
            store = BrakeStore(deciding.connection)
            if request.command == "brake.undo":
                state, words = await self._undo(deciding, store, request, cause)
            elif request.command == "brake.release":
                state, words = await self._release(store, request)
            else:
                await store.lock()
                state = "" if await store.is_answered(request) else "refused"
                words = (
                    f"command: got {request.command}, expected brake.release or brake.undo:"
                    " the suspender knows no other"
                )
            if state:
                await store.answer(request, state, words)
                log.info("command", command=request.command, state=state, answer=words)
        self._woken.set()

    async def _release(self, store: BrakeStore, request: OperatorRequested) -> tuple[str, str]:
        """State and words of the answer; no state where the request was answered before."""
        brake = await store.lock()
        if await store.is_answered(request):
            return "", ""
        if brake.on_since is None:
            return _NOT_ON
        paused = await store.paused()
        await store.release(self._clock.now())
        return "done", f"brake released: {paused} cuts that waited go on"

    async def _undo(
        self, deciding: Deciding, store: BrakeStore, request: OperatorRequested, cause: Cause
    ) -> tuple[str, str]:
        """As `_release`; the holds count as absent before the brake is released."""
        now = self._clock.now()
        seen = await brake_since(deciding.connection)
        began = (seen or now) - self._limits.window
        book = Book({}, {})
        if seen is not None:
            book = await deciding.lock(await store.to_undo(began))
        brake = await store.lock()
        if await store.is_answered(request):
            return "", ""
        if brake.on_since is None:
            return _NOT_ON
        if brake.on_since != seen or set(await store.to_undo(began)) - book.accounts.keys():
            raise Retry("more clients were held while the brake's holds were being undone")
        switched = await self._lift(deciding, book, cause)
        await store.release(now)
        return (
            "done",
            f"brake undone: {len(book.accounts)} clients are no longer held for these funds holds,"
            f" {switched} services are switched on or not cut",
        )

    async def _lift(self, deciding: Deciding, book: Book, cause: Cause) -> int:
        """Have these accounts' funds holds count as absent; how many services that switches."""
        now, decisions = self._clock.now(), Decisions()
        for account in book.accounts.values():
            if account.held:
                account.undone_hold = account.hold
            decide_account(account, book.services[account.account_id], cause, now, decisions)
        await deciding.write(book.accounts.values(), (), decisions, now)
        return len(decisions.switched)

    async def show(self) -> None:
        """Set the metrics of what is held."""
        BRAKE.set(await is_brake_on(self._store.pool))
        CLIENTS_HELD.set(await self._store.clients_held())


_NOT_ON = ("refused", "the brake is not on: nothing waits for it")


def _countable(account: Account) -> int | None:
    """The funds hold of an account in so far as it counts for the brake."""
    counts = account.held and account.live and account.prepaid and account.mail_owed
    return account.crossing if counts else None


class DecideLoop:
    """Looks every second for accounts that have to be decided again by time."""

    def __init__(self, decider: Decider, progress: Progress) -> None:
        self._decider = decider
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; while the database does not answer, try again."""
        while not stop.is_set():
            decided = 0
            try:
                decided = await self._decider.decide_due()
                await self._decider.show()
            except UNWELL as error:
                log.warning("database does not answer", reason=repr(error))
            self._progress.turned(read=decided)
            if decided < _AT_ONCE:
                await wait_or_stop(stop, _LOOK_EVERY_S)
