"""Why the brokers gave no answer, in words for a page, with what to do."""

import asyncio

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from ringfence.kafka.brokers import Bootstrap
from ringfence.kafka.refusal import connection_problem

_NOT_ALLOWED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
_AWAY = (KafkaConnectionError, OSError, TimeoutError)
_BOUND_S = 3.0
_LONGEST = 300


async def broker_problem(bootstrap: Bootstrap, error: Exception) -> str:
    """One sentence for what failed, and one for what to do."""
    if isinstance(error, _NOT_ALLOWED):
        return (
            "The console's Kafka login is not allowed to see this."
            " Run `ringfence topics acls --apply` with the brokers' administrator."
        )
    if isinstance(error, ValueError):  # a setting, in the words of `client_arguments`
        return f"The console cannot ask the brokers: {str(error)[:_LONGEST]}."
    if not isinstance(error, _AWAY):
        return (
            f"The brokers answer with an error ({type(error).__name__}). The console asks again by"
            " itself; if it stays so, `ringfence doctor` says more."
        )
    try:
        refused = await asyncio.wait_for(connection_problem(bootstrap, _BOUND_S), _BOUND_S)
    except Exception:  # it is asked for better words alone
        refused = None
    if refused is not None:
        return f"The brokers refuse the console: {refused.message}. To do: {refused.remedy}."
    return (
        f"Kafka does not answer at {bootstrap} ({type(error).__name__})."
        " Start it, or correct RINGFENCE_KAFKA_BOOTSTRAP; `ringfence doctor` says more."
    )
