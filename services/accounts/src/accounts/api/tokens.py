"""The users of the API: names and bearer tokens. Only digests of tokens are kept."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import is_id

MIN_TOKEN = 8


@dataclass(frozen=True)
class ApiUser:
    """A person or a system that holds a token."""

    name: str
    digest: bytes = field(repr=False)


def parse_tokens(text: str) -> tuple[ApiUser, ...]:
    """Parse `name:token,name:token`; a line break separates entries as a comma does.

    Raises BadInput, which names the number of the entry and never shows a token.
    """
    entries = [entry for part in text.splitlines() for entry in part.split(",") if entry.strip()]
    users = tuple(_user(number, entry.strip()) for number, entry in enumerate(entries, start=1))
    if not users:
        raise BadInput("API tokens", "nothing", "name:token pairs in RINGFENCE_ACCOUNTS_TOKENS")
    if len({user.digest for user in users}) < len(users):
        raise BadInput("API tokens", "a token twice", "a token of its own for every name")
    return users


def _user(number: int, entry: str) -> ApiUser:
    name, separator, token = entry.partition(":")
    if not separator or not is_id(name) or len(token) < MIN_TOKEN:
        expected = f"name:token, the token at least {MIN_TOKEN} characters"
        raise BadInput("API tokens", f"entry {number}", expected)
    return ApiUser(name, _digest(token.encode()))


def who_is(users: Sequence[ApiUser], presented: bytes) -> str | None:
    """The name of the user whose token was `presented`; None for an unknown token.

    All digests are compared, each in constant time, so that the duration reveals nothing about
    any token.
    """
    digest = _digest(presented)
    found = None
    for user in users:
        if hmac.compare_digest(user.digest, digest):
            found = user.name
    return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
