"""Sets the passwords of logins on brokers that store them (SCRAM).

No password leaves this process: the brokers are sent a salted hash, and store that.
"""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from ringfence.kafka.brokers import Bootstrap, client_arguments
from ringfence_contracts.errors import RingfenceError

_MECHANISMS = {"sha256": 1, "sha512": 2}
"""By their number in Kafka's protocol. Both are set, so that clients may use either."""

_ITERATIONS = 8192
_SALT_BYTES = 32


class LoginNotSet(RingfenceError):
    """The brokers refuse a password: they have no SCRAM, or we may not change it."""


class _AlterScramResponse(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_AlterScramStruct]):  # type: ignore[misc]
    """AlterUserScramCredentials of Kafka's protocol, which aiokafka does not have."""

    API_KEY = 51

    def __init__(self, upsertions: list[tuple[Any, ...]]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: type[_AlterScramStruct]) -> _AlterScramStruct:
        """The request of the version that the broker speaks."""
        return request_struct_class([], self._upsertions, {})


async def set_passwords(bootstrap: Bootstrap, passwords: Mapping[str, str]) -> None:
    """Set the password of each login, for SCRAM-SHA-256 and SCRAM-SHA-512.

    A login that exists gets the new password. The client must be the brokers' administrator. Raises
    LoginNotSet, and KafkaError when no broker answers.
    """
    admin = AIOKafkaAdminClient(**client_arguments(bootstrap), request_timeout_ms=30_000)
    await admin.start()
    try:
        for digest in _MECHANISMS:  # one request may name a login once
            request = _AlterScram([_hashed(name, digest, passwords[name]) for name in passwords])
            # As in `granting`: aiokafka has no public method that sends a request of this kind.
            answer = await admin._send_to_controller(request)
            for login, code, reason, _ in answer.results:
                if code:
                    raise LoginNotSet(
                        f"the brokers refuse a password of {login}:"
                        f" {for_code(code).__name__}, {reason or 'no reason given'}"
                    )
    finally:
        await admin.close()


def _hashed(login: str, digest: str, password: str) -> tuple[Any, ...]:
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _ITERATIONS)
    return login, _MECHANISMS[digest], _ITERATIONS, salt, salted, {}
