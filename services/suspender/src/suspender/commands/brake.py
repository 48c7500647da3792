"""Releases the brake, or undoes the holds that turned it on."""

from ringfence_contracts.errors import Retry
from suspender.commands.command import Command, CommandAnswer
from suspender.rules.account import Decisions, decide_account
from suspender.store import LockedAccounts
from suspender.store_brake import BrakeStore, brake_since

_NOT_ON = CommandAnswer("refused", "the brake is not on: nothing waits for it")


async def release_brake(command: Command) -> CommandAnswer:
    """`brake.release`: the suspensions that wait are carried out."""
    store = BrakeStore(command.transaction.connection)
    brake = await store.lock()
    if brake.on_since is None:
        return _NOT_ON
    paused = await store.paused()
    await store.release(command.now)
    return CommandAnswer("done", f"brake released: {paused} cuts that waited go on")


async def undo_brake(command: Command) -> CommandAnswer:
    """`brake.undo`: the holds count as absent, then the brake is released."""
    transaction = command.transaction
    store = BrakeStore(transaction.connection)
    seen = await brake_since(transaction.connection)
    began = (seen or command.now) - command.limits.window
    locked = LockedAccounts({}, {})
    if seen is not None:
        locked = await transaction.lock(await store.to_undo(began))
    brake = await store.lock()
    if brake.on_since is None:
        return _NOT_ON
    if brake.on_since != seen or set(await store.to_undo(began)) - locked.accounts.keys():
        raise Retry("more clients were held while the brake's holds were being undone")
    switched = await _lift(command, locked)
    await store.release(command.now)
    return CommandAnswer(
        "done",
        f"brake undone: {len(locked.accounts)} clients are no longer held for these funds holds,"
        f" {switched} services are switched on or not cut",
    )


async def _lift(command: Command, locked: LockedAccounts) -> int:
    """Let the funds holds of these accounts count as absent. Returns how many services change."""
    now, decisions = command.now, Decisions()
    for account in locked.accounts.values():
        if account.held:
            account.undone_hold = account.hold
        services = locked.services[account.account_id]
        decide_account(account, services, command.cause, now, decisions)
    await command.transaction.write(locked.accounts.values(), (), decisions, now)
    return len(decisions.switched)
