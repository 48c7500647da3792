"""Commands for one service: switch it to its desired state again, or release what left it."""

from suspender.commands.command import Command, CommandAnswer, CommandRefused, argument
from suspender.commands.store_pauses import is_paused
from suspender.rules.account import AccountState, Decisions, apply_again, decide_account
from suspender.rules.service_state import Services, ServiceState
from suspender.store import LockedAccounts
from suspender.store_brake import is_brake_on
from suspender.store_elements import left_behind


async def reapply(command: Command) -> CommandAnswer:
    """`service.reapply` {account_id, service_id}: switch it as if it had just been decided."""
    account, _, service = await _find(command)
    name = f"product {service.service_id} of client {account.account_id}"
    if service.departed:
        raise CommandRefused(f"{name}: the client has this product no more")
    if not account.live:
        raise CommandRefused(
            f"client {account.account_id} is in shadow: nothing is switched for him; put him into"
            f" live mode first (ringfence mode live --clients {account.account_id})"
        )
    if service.would == "leave":
        raise CommandRefused(
            f"{name}: left alone, since Has VoIP Service is not yes, or his funds are not known yet"
        )
    decisions = Decisions()
    apply_again(service, command.cause, decisions)
    await command.transaction.write([account], (), decisions, command.now)
    return CommandAnswer("done", await _being_applied(command, name, service))


async def _being_applied(command: Command, name: str, service: ServiceState) -> str:
    connection = command.transaction.connection
    state = "off" if service.wanted == "suspended" else "on"
    found = f"{name} is to be {state}: server {service.server_id} is read and brought to that"
    if await is_paused(connection, service.server_id):
        return f"{found} when it is resumed: it is paused"
    if state == "off" and service.holds == ("funds",) and await is_brake_on(connection):
        return f"{found} when the brake is released"
    return f"{found} now; ringfence services {service.account_id} shows what came of it"


async def release(command: Command) -> CommandAnswer:
    """`service.release` {account_id, service_id, version}: switch on what left the product.

    `version` is the version of the profile that removed the elements, or the whole product.
    """
    account, services, service = await _find(command)
    version = _version(command)
    service.release_version = max(service.release_version, version)
    left = await left_behind(command.transaction.connection, service.key)
    decisions = Decisions()
    decide_account(account, services, command.cause, command.now, decisions)
    await command.transaction.write([account], (), decisions, command.now)
    name = f"product {service.service_id} of client {account.account_id}"
    if account.profile_version < version:
        return CommandAnswer(
            "done",
            f"{name}: what leaves it with version {version} of the client is released when that"
            f" version has arrived (it is at {account.profile_version} now)",
        )
    if not left:
        return CommandAnswer(
            "done", f"{name}: 0 elements are released: nothing that left it is off"
        )
    names = ", ".join(element.name for element in left)
    return CommandAnswer("done", f"{name}: {len(left)} elements are released: {names}"[:1000])


def _version(command: Command) -> int:
    expected = "the version of the client by which it left, a number from 1 on"
    text = argument(command, "version", expected)
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and int(text) > 0):
        raise CommandRefused(f"version: got {text}, expected {expected}")
    return int(text)


async def _find(command: Command) -> tuple[AccountState, Services, ServiceState]:
    """The service that a command names, with its account locked. Raises CommandRefused."""
    account_id = argument(command, "account_id", "the id of a client")
    service_id = argument(command, "service_id", "the id of one of the client's products")
    locked: LockedAccounts = await command.transaction.lock_known([account_id])
    account = locked.accounts.get(account_id)
    if account is None or account.profile is None:
        raise CommandRefused(f"account_id: got {account_id}, expected the id of a client")
    services = locked.services[account_id]
    if service_id not in services:
        known = ", ".join(sorted(s.service_id for s in services.values() if not s.departed))
        raise CommandRefused(
            f"service_id: got {service_id}, expected a product of client {account_id}:"
            f" {known or 'he has none'}"
        )
    return account, services, services[service_id]
