"""Tokens in unsubscribe links: the notifier makes them, accounts reads them.

A token names the account and the instant of the mail, and is signed by HMAC-SHA256 with a key that
both services have. It can be used more than once: unsubscribing is idempotent.
"""

from datetime import UTC, datetime, timedelta

from ringfence.mail.signatures import coded, decoded, is_signature, signature

VALID_FOR = timedelta(days=400)
"""Longer than laws ask for (60 days in Canada, 30 in the United States)."""

_AHEAD_AT_MOST = timedelta(days=1)
_LONGEST_TOKEN = 1000


class BadToken(ValueError):
    """A token that was not made with this key, or too long ago; its text says which."""


def make_token(account_id: str, key: bytes, at: datetime) -> str:
    """A token for the account, valid from `at` on; made of letters, digits, `-`, `_` and `.`."""
    named = f"{coded(account_id.encode())}.{int(at.timestamp()):x}"
    return f"{named}.{signature('unsubscribe', named, key)}"


def read_token(token: str, key: bytes, now: datetime) -> str:
    """The account that a token names. Raises BadToken."""
    named, _, signed = token.rpartition(".")
    if len(token) > _LONGEST_TOKEN or not is_signature(signed, "unsubscribe", named, key):
        raise BadToken("the link was not made by us, or it is not complete")
    account, _, seconds = named.partition(".")
    try:
        made_at = datetime.fromtimestamp(int(seconds, 16), UTC)
        account_id = decoded(account).decode()
    except (ValueError, OverflowError, OSError):
        raise BadToken("the link cannot be read") from None
    if now - made_at > VALID_FOR or made_at - now > _AHEAD_AT_MOST:
        raise BadToken("the link is too old")
    return account_id
