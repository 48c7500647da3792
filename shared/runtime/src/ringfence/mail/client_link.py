"""Links to a client's own page: the notifier makes them for mails, accounts makes and reads them.

A link's token names the client, when it was made and for how long it is valid, and carries a mark
of the addresses that it was made for. All of it is signed by HMAC-SHA256 with a key that both
services have, so that a mail is not delayed by a question to another service, and no secret is
stored or published. It may be opened more than once: programs that check mail open links too.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ringfence.mail.signatures import coded, decoded, is_signature, signature

LINK_VALID = timedelta(days=7)
"""How long a link is valid at most."""

PATH = "/my"
"""Where the client's own page begins, below its public address."""

_AHEAD_AT_MOST = timedelta(minutes=5)
_LONGEST_TOKEN = 1000
_MICRO = timedelta(microseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)
_LOOK, _CHANGE = "v", "c"


class BadLink(ValueError):
    """A token that was not made with this key, or is past its end; its text says which."""


@dataclass(frozen=True)
class ClientLink:
    """What a token says. `may_change` is false for somebody who only looks in the client's place.

    `mark` is that of the addresses that the client had then.
    """

    account_id: str
    made_at: datetime
    ends_at: datetime
    may_change: bool
    mark: str


def make_client_link(
    account_id: str,
    addresses: Sequence[str],
    key: bytes,
    made_at: datetime,
    *,
    valid_for: timedelta = LINK_VALID,
    may_change: bool = True,
) -> str:
    """A token for the client's page; made of letters, digits, `-`, `_` and `.`."""
    micros, seconds = (made_at - _EPOCH) // _MICRO, int(valid_for.total_seconds())
    kind = _CHANGE if may_change else _LOOK
    named = f"{coded(account_id.encode())}.{micros:x}.{seconds:x}.{kind}.{mark_of(addresses, key)}"
    return f"{named}.{signature('client link', named, key)}"


def read_client_link(token: str, key: bytes, now: datetime) -> ClientLink:
    """What a token says. Raises BadLink for one that is forged, incomplete or past its end."""
    named, _, signed = token.rpartition(".")
    if len(token) > _LONGEST_TOKEN or not is_signature(signed, "client link", named, key):
        raise BadLink("the link was not made by us, or it is not complete")
    try:
        account, micros, seconds, kind, mark = named.split(".")
        made_at = _EPOCH + int(micros, 16) * _MICRO
        ends_at = made_at + min(timedelta(seconds=int(seconds, 16)), LINK_VALID)
        account_id = decoded(account).decode()
    except (ValueError, OverflowError):
        raise BadLink("the link cannot be read") from None
    if now >= ends_at or made_at - now > _AHEAD_AT_MOST:
        raise BadLink("the link is too old")
    return ClientLink(account_id, made_at, ends_at, kind == _CHANGE, mark)


def mark_of(addresses: Sequence[str], key: bytes) -> str:
    """A mark of the addresses that get a client's mails, from which they cannot be read."""
    return signature("client addresses", "\n".join(sorted(a.strip() for a in addresses)), key)


def link_url(page_url: str, token: str) -> str:
    """The link as it is in a mail. Browsers send what is behind the # to no server."""
    return f"{page_url.rstrip('/')}{PATH}#{token}"
