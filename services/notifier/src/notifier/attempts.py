"""Decides what becomes of a message after the SMTP server's answer, or for want of one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.notice import State

Verdict = Literal["accepted", "deferred", "refused", "unknown"]


@dataclass(frozen=True)
class Reply:
    """What the server said. `unknown`: it had the mail, and its answer never came."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Persistence:
    """How long and how often a mail is tried; in-doubt ones only if `resend_in_doubt` says so."""

    first_s: float = 5.0
    longest_s: float = 900.0
    give_up_after_s: float = 86_400.0
    resend_in_doubt: bool = False


@dataclass(frozen=True)
class Fate:
    """A message's next state; `next_attempt_at` matters for `pending` alone."""

    state: State
    attempts: int
    next_attempt_at: datetime
    reason: str

    @property
    def is_told(self) -> bool:
        """Whether `notice.sent` or `notice.failed` tells of it."""
        return self.state in ("sent", "failed", "in-doubt")


def decide_fate(
    reply: Reply, *, attempts: int, created_at: datetime, now: datetime, persistence: Persistence
) -> Fate:
    """What becomes of a message after its attempt number `attempts`.

    A refusal (5xx) is final. A deferral (4xx, a lost connection) is tried again after 5 s,
    doubling to 15 min, for 24 h. A mail that the server may have taken is not sent again, for a
    client must not read twice of one crossing, unless the operator prefers that to none.
    """
    if reply.verdict == "accepted":
        return Fate("sent", attempts, now, "")
    if reply.verdict == "refused":
        return Fate("failed", attempts, now, reply.text)
    if reply.verdict == "unknown" and not persistence.resend_in_doubt:
        return Fate("in-doubt", attempts, now, reply.text)
    again_at = now + timedelta(seconds=_delay_s(attempts, persistence))
    if again_at > created_at + timedelta(seconds=persistence.give_up_after_s):
        return Fate("failed", attempts, now, f"given up after {attempts} attempts: {reply.text}")
    return Fate("pending", attempts, again_at, reply.text)


def _delay_s(attempts: int, persistence: Persistence) -> float:
    return min(persistence.longest_s, persistence.first_s * 2.0 ** min(max(attempts, 1) - 1, 30))
