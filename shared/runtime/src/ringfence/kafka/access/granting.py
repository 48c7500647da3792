"""Grants the rights of `acls` on brokers with access control; revokes nothing."""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from ringfence.kafka.access.acls import SETUP, accesses
from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence_contracts.errors import RingfenceError


class Resource(IntEnum):
    """Kinds of resources, by their number in Kafka's protocol (ResourceType)."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """Operations, by their number in Kafka's protocol (AclOperation)."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8


_LITERAL = 3
_ALLOW = 3
_ANY_HOST = "*"


class Grant(NamedTuple):
    """One rule: a login may do an operation on one topic or group, or on `*`, all of them."""

    login: str
    operation: Operation
    resource: Resource
    name: str


class NotGranted(RingfenceError):
    """The brokers refuse a rule: they have no access control, or we may not change it."""


def grants() -> Iterator[Grant]:
    """Every rule that the logins need."""
    for access in accesses():
        for name in access.reads:
            yield Grant(access.login, Operation.READ, Resource.TOPIC, name)
            yield Grant(access.login, Operation.DESCRIBE, Resource.TOPIC, name)
        for name in access.writes:
            yield Grant(access.login, Operation.WRITE, Resource.TOPIC, name)
            yield Grant(access.login, Operation.DESCRIBE, Resource.TOPIC, name)
        for name in access.groups:
            yield Grant(access.login, Operation.READ, Resource.GROUP, name)
        for name in access.describes:
            yield Grant(access.login, Operation.DESCRIBE, Resource.TOPIC, name)
        for name in access.watches:
            yield Grant(access.login, Operation.DESCRIBE, Resource.GROUP, name)
    yield Grant(SETUP, Operation.CREATE, Resource.TOPIC, "*")
    yield Grant(SETUP, Operation.DESCRIBE, Resource.TOPIC, "*")


async def apply_grants(bootstrap: Bootstrap) -> int:
    """Create every rule on the brokers; returns how many rules there are. Idempotent.

    The login must be the brokers' administrator. Raises NotGranted, and KafkaError when no
    broker answers.
    """
    admin = AIOKafkaAdminClient(**client_arguments(bootstrap), request_timeout_ms=30_000)
    await admin.start()
    try:
        count = 0
        for grant in grants():
            await _apply(admin, grant)
            count += 1
        return count
    finally:
        await admin.close()


async def _apply(admin: AIOKafkaAdminClient, grant: Grant) -> None:
    request = CreateAclsRequest(
        resource_type=grant.resource,
        resource_name=grant.name,
        resource_pattern_type_filter=_LITERAL,
        principal=f"User:{grant.login}",
        host=_ANY_HOST,
        operation=grant.operation,
        permission_type=_ALLOW,
    )
    # aiokafka can build and send this request, but has no public method that does.
    answer = await admin._send_to_controller(request)
    for code, reason in answer.creation_responses:
        if code:
            raise NotGranted(
                f"the brokers refuse {grant.operation.name} of {grant.resource.name} {grant.name}"
                f" for {grant.login}: {for_code(code).__name__}, {reason or 'no reason given'}"
            )
