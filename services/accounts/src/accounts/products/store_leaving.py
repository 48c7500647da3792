"""Elements that were switched off for a product and that no product names any more: SQL.

They stay off until the hold ends or their release is requested.
"""

from collections import defaultdict
from uuid import UUID, uuid4

from accounts.clients.account import Account
from accounts.clients.store_publishing import AuditEntry
from accounts.operations.store import enqueue_command
from accounts.products.elements import LeftElement, left_behind
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.elements import Element
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.operator import OperatorRequested


async def stays_off(
    connection: Connection, account_id: str, service_id: str
) -> tuple[LeftElement, ...]:
    """The elements that were switched off for a product and that no product names now.

    Elements that were off before are left out: a release does not switch them on.
    """
    rows = await connection.fetch(
        "select server_id, way, tenant, element from report.switched_off"
        " where account_id = $1 and service_id = $2 and was_on",
        account_id,
        service_id,
    )
    recorded: dict[str, list[Element]] = defaultdict(list)
    for row in rows:
        recorded[row["server_id"]].append(Element(row["way"], row["tenant"], row["element"]))
    found: list[LeftElement] = []
    for server_id, elements in sorted(recorded.items()):
        products = await connection.fetch(
            "select service from accounts.product where service->>'server_id' = $1", server_id
        )
        services = [Service.model_validate(row["service"]) for row in products]
        found += [LeftElement(server_id, element) for element in left_behind(elements, services)]
    return tuple(found)


async def is_confirmed_off(connection: Connection, account_id: str, service_id: str) -> bool:
    """Whether the PBX confirmed that a product is off.

    A suspension that was not confirmed is abandoned when the product is removed, so nothing of it
    stays off.
    """
    found = await connection.fetchval(
        "select confirmed from report.service_state where account_id = $1 and service_id = $2",
        account_id,
        service_id,
    )
    return bool(found == "suspended")


async def request_release(
    connection: Connection, account: Account, service_id: str, entry: AuditEntry, clock: Clock
) -> UUID:
    """Request the release of what left a product up to the account's version; the command's id.

    The command is published with the change that the connection's transaction makes.
    """
    event = OperatorRequested(
        request_id=uuid4(),
        service="suspender",
        command="service.release",
        arguments={
            "account_id": account.account_id,
            "service_id": service_id,
            "version": str(account.version),
        },
        requested_by=entry.who,
        reason=entry.reason,
        requested_at=clock.now(),
    )
    await enqueue_command(connection, event)
    return event.request_id
