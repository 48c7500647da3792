"""The types of responses about the reaction. Pure."""

from datetime import datetime
from typing import Literal

from accounts.answers import Answer


class ReactionBucket(Answer):
    """How many reactions took `from_s` or more, and less than `upto_s` (null: no bound)."""

    from_s: float
    upto_s: float | None
    count: int


class Reaction(Answer):
    """From the end of a call that used up the credit to the PBX's confirmation, since `since`.

    Seconds; null where nothing was switched off for a call. `charged` is the first part of it,
    from the end of the call to its charge; `switched` is the rest. `count` is at most 10,000: the
    newest.
    """

    since: datetime
    until: datetime
    count: int
    p50_s: float | None
    p99_s: float | None
    longest_s: float | None
    charged_p50_s: float | None
    switched_p50_s: float | None
    buckets: list[ReactionBucket]


class ClientReaction(Answer):
    """The last time that a call or a payment switched a service of a client; null before that.

    `total_s` is from the end of the call, or from the payment, to the PBX's confirmation.
    `words` say it.
    """

    account_id: str
    service_id: str | None
    became: Literal["on", "off"] | None
    caused_at: datetime | None
    posted_at: datetime | None
    confirmed_at: datetime | None
    total_s: float | None
    words: str
