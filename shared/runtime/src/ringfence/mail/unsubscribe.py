"""Tokens in unsubscribe links: the notifier makes them, accounts reads them.

A token names the account and the instant of the mail, and is signed by HMAC-SHA256 with a key that
both services have. It can be used more than once: unsubscribing is idempotent.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

VALID_FOR = timedelta(days=400)
"""Longer than laws ask for (60 days in Canada, 30 in the United States)."""

SHORTEST_KEY = 16
_AHEAD_AT_MOST = timedelta(days=1)
_SIGNED_BYTES = 24
_LONGEST_TOKEN = 1000


class BadToken(ValueError):
    """A token that was not made with this key, or too long ago; its text says which."""


def make_token(account_id: str, key: bytes, at: datetime) -> str:
    """A token for the account, valid from `at` on; made of letters, digits, `-`, `_` and `.`."""
    named = f"{_coded(account_id.encode())}.{int(at.timestamp()):x}"
    return f"{named}.{_signature(named, key)}"


def read_token(token: str, key: bytes, now: datetime) -> str:
    """The account that a token names. Raises BadToken."""
    named, _, signature = token.rpartition(".")
    if len(token) > _LONGEST_TOKEN or not hmac.compare_digest(
        _signature(named, key).encode(), signature.encode()
    ):
        raise BadToken("the link was not made by us, or it is not complete")
    account, _, seconds = named.partition(".")
    try:
        made_at = datetime.fromtimestamp(int(seconds, 16), UTC)
        account_id = base64.urlsafe_b64decode(account + "=" * (-len(account) % 4)).decode()
    except (ValueError, OverflowError, OSError, binascii.Error):
        raise BadToken("the link cannot be read") from None
    if now - made_at > VALID_FOR or made_at - now > _AHEAD_AT_MOST:
        raise BadToken("the link is too old")
    return account_id


def _signature(named: str, key: bytes) -> str:
    signed = hmac.new(key, b"ringfence unsubscribe 1\n" + named.encode(), hashlib.sha256)
    return _coded(signed.digest()[:_SIGNED_BYTES])


def _coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
