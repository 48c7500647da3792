"""Tokens of the API: those of the settings, and how one is recognized. Pure.

Only digests of tokens are kept.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from accounts.access.scopes import Caller
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import is_id

MIN_TOKEN = 8
UNGUESSABLE = 32
"""From this length on, guessing a random token is hopeless, at any rate of attempts."""


@dataclass(frozen=True)
class ApiToken:
    """A token in use, and what it allows. `expires_at` None: it does not expire."""

    caller: Caller
    digest: bytes = field(repr=False)
    expires_at: datetime | None = None


def parse_tokens(text: str) -> tuple[ApiToken, ...]:
    """Parse `name:token,name:token`; a line break separates entries as a comma does.

    These tokens allow everything: by one of them, the first others are created. Raises BadInput,
    which names the number of the entry and never shows a token.
    """
    entries = [entry for part in text.splitlines() for entry in part.split(",") if entry.strip()]
    tokens = tuple(_token(number, entry.strip()) for number, entry in enumerate(entries, start=1))
    if not tokens:
        raise BadInput("API tokens", "nothing", "name:token pairs in RINGFENCE_ACCOUNTS_TOKENS")
    if len({token.digest for token in tokens}) < len(tokens):
        raise BadInput("API tokens", "a token twice", "a token of its own for every name")
    return tokens


def _token(number: int, entry: str) -> ApiToken:
    name, separator, secret = entry.partition(":")
    if not separator or not is_id(name) or len(secret) < MIN_TOKEN:
        expected = f"name:token, the token at least {MIN_TOKEN} characters"
        raise BadInput("API tokens", f"entry {number}", expected)
    return ApiToken(Caller(name, frozenset(("admin",))), digest_of(secret.encode()))


def find_token(tokens: Sequence[ApiToken], presented: bytes, now: datetime) -> Caller | None:
    """The caller whose token was `presented`; None for an unknown or expired token.

    All digests are compared, each in constant time, so that the duration reveals nothing about
    any token.
    """
    digest = digest_of(presented)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        return None
    return found.caller


def digest_of(secret: bytes) -> bytes:
    """What is kept of a token: its SHA-256."""
    return hashlib.sha256(secret).digest()
