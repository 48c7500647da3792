"""Decides in transactions: batches of events, orders that end by time, commands of operators."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog

from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.ids import derive
from suspender.commands import COMMANDS
from suspender.commands.command import Command, CommandAnswer, CommandHandler, CommandRefused
from suspender.commands.store import lock_request, write_answer
from suspender.commands.store_pauses import end_pauses
from suspender.metrics import BRAKE, CLIENTS_HELD, ELEMENTS_OFF
from suspender.rules.account import (
    AccountEvent,
    AccountState,
    Cause,
    Decisions,
    apply_event,
    decide_account,
)
from suspender.rules.brake import BrakeLimits, CommonTariff, by_credit, cause_in_words, message
from suspender.store import DecisionTransaction, SuspenderStore
from suspender.store_brake import BrakeStore, is_brake_on
from suspender.store_elements import elements_off

_AT_ONCE = 500
_POLL_EVERY_S = 1.0
log = structlog.get_logger()


class CausedEvent(NamedTuple):
    """An event with its id and correlation id."""

    event: AccountEvent
    cause: Cause


class Decider:
    """Decides, and sets `woken` when the worker may have work.

    `commands` are the handlers of operators' commands, by name.
    """

    def __init__(
        self,
        *,
        store: SuspenderStore,
        clock: Clock,
        limits: BrakeLimits,
        woken: asyncio.Event,
        commands: Mapping[str, CommandHandler] = COMMANDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._woken = woken
        self._commands = commands
        self._shown: set[str] = set()

    async def apply(self, items: Sequence[CausedEvent]) -> None:
        """Apply events in order and decide after each, in one transaction. Idempotent."""
        now = self._clock.now()
        decisions, new_profiles = Decisions(), dict[str, AccountState]()
        newly_held: set[str] = set()
        async with self._store.transaction() as transaction:
            locked = await transaction.lock({item.event.account_id for item in items})
            for event, cause in items:
                account = locked.accounts[event.account_id]
                before, version = _countable(account), account.profile_version
                if not apply_event(account, event, now):
                    continue
                if account.profile_version > version:
                    new_profiles[account.account_id] = account
                if _countable(account) not in (None, before):
                    newly_held.add(account.account_id)
                services = locked.services[account.account_id]
                decide_account(account, services, cause, now, decisions)
            await transaction.write(locked.accounts.values(), new_profiles.values(), decisions, now)
            if newly_held:
                await self._check_brake(transaction, newly_held, now)
        self._woken.set()

    async def _check_brake(
        self, transaction: DecisionTransaction, newly_held: Collection[str], decided_at: datetime
    ) -> None:
        """Turn the brake on if too many clients began a funds hold within the window."""
        if not self._limits.is_set:
            return
        store = BrakeStore(transaction.connection)
        brake = await store.lock()
        now = self._clock.now()
        since = now - self._limits.window
        if brake.counted_from >= decided_at:
            # The brake was released while this batch was decided, without its holds: they count
            # for the time after the release.
            await store.began_at(newly_held, now)
        if brake.on_since is not None:
            return
        begun = await store.begun(since, brake.counted_from)
        if len(begun) <= self._limits.clients:
            return
        clients = await store.live_clients()
        if not self._limits.exceeded(len(begun), clients):
            return
        charged: CommonTariff | None = await store.mostly_charged(by_credit(begun), since)
        cause = cause_in_words(begun, charged)
        text = message(len(begun), clients, self._limits.window, cause)
        await store.turn_on(now, cause, text)
        log.warning("brake on", cause=cause, clients=len(begun), of=clients)

    async def decide_due(self) -> int:
        """Decide again about accounts whose `decide_at` has come. Returns their number.

        One of their orders has ended, or a migration from an earlier version has set the instant.
        """
        now, decisions = self._clock.now(), Decisions()
        async with self._store.transaction() as transaction:
            locked = await transaction.lock_to_decide(now, _AT_ONCE)
            for account in locked.accounts.values():
                assert account.decide_at is not None
                at = account.decide_at.isoformat()
                event_id = derive("suspender.decision", account.account_id, at)
                cause = Cause(event_id, str(event_id))
                services = locked.services[account.account_id]
                decide_account(account, services, cause, now, decisions)
            if locked.accounts:
                await transaction.write(locked.accounts.values(), (), decisions, now)
        if decisions.switched:
            self._woken.set()
        return len(locked.accounts)

    async def run_command(self, request: OperatorRequested, cause: Cause) -> None:
        """Carry out an operator's command, at most once by its id, and store the answer."""
        handler = self._commands.get(request.command, _refuse_unknown)
        async with self._store.transaction() as transaction:
            if not await lock_request(transaction.connection, request):
                return
            command = Command(request, cause, transaction, self._clock.now(), self._limits)
            try:
                answer = await handler(command)
            except CommandRefused as refusal:
                answer = CommandAnswer("refused", str(refusal))
            await write_answer(transaction.connection, request, answer)
        log.info("command", command=request.command, state=answer.state, answer=answer.words)
        self._woken.set()

    async def show(self) -> None:
        """Set the metrics of the brake, of held clients and of elements that are off."""
        BRAKE.set(await is_brake_on(self._store.pool))
        CLIENTS_HELD.set(await self._store.clients_held())
        self._shown = await show_elements_off(self._store.pool, self._shown)

    async def end_pauses(self) -> None:
        """Resume the servers whose pause has ended by itself."""
        if await end_pauses(self._store.pool, self._clock.now()):
            self._woken.set()


async def show_elements_off(pool: Pool, shown: set[str]) -> set[str]:
    """Set the metric of elements that are off, by server; servers `shown` before may go to 0.

    Returns the servers that are shown now.
    """
    off = dict(await elements_off(pool))
    for server_id in shown | off.keys():
        ELEMENTS_OFF.labels(server_id).set(off.get(server_id, 0))
    return set(off)


async def _refuse_unknown(command: Command) -> CommandAnswer:
    known = ", ".join(sorted(COMMANDS))
    raise CommandRefused(f"command: got {command.request.command}, expected one of {known}")


def _countable(account: AccountState) -> int | None:
    """The crossing that began the account's funds hold, if the hold counts for the brake."""
    counts = account.held and account.live and account.prepaid and account.mail_owed
    return account.crossing if counts else None


class DecideLoop:
    """Decides every second about the accounts whose `decide_at` has come."""

    def __init__(self, decider: Decider, progress: Progress) -> None:
        self._decider = decider
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; while the database does not answer, try again."""
        await run_loop(
            stop,
            self._turn,
            "database does not answer",
            progress=self._progress,
            every_s=_POLL_EVERY_S,
            full_batch=_AT_ONCE,
        )

    async def _turn(self) -> int:
        decided = await self._decider.decide_due()
        await self._decider.end_pauses()
        await self._decider.show()
        return decided
