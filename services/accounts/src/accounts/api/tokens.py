"""Who may use the API: names and their bearer tokens. Tokens are kept as digests only."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import is_id

MIN_TOKEN = 8


@dataclass(frozen=True)
class ApiUser:
    """Somebody, or some system, that holds a token."""

    name: str
    digest: bytes = field(repr=False)


def parse_tokens(text: str) -> tuple[ApiUser, ...]:
    """Read `name:token,name:token`; lines separate as commas do.

    Raises BadInput, which names the entry's place and never shows a token.
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
    """The name of the one who holds the token `presented`, or None.

    Digests are compared, all of them and each in constant time, so that the time taken tells
    nothing about any token.
    """
    digest = _digest(presented)
    found = None
    for user in users:
        if hmac.compare_digest(user.digest, digest):
            found = user.name
    return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
