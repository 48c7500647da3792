"""Decides what becomes of a mail after the SMTP server's answer, or without one. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.owed.notice import MailState

ReplyKind = Literal["accepted", "deferred", "refused", "unknown"]


@dataclass(frozen=True)
class Reply:
    """What the server answered. `unknown`: the text went out, and no answer to it came."""

    kind: ReplyKind
    text: str


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often a mail is tried; in-doubt ones only if `resend_in_doubt` says so."""

    first_s: float = 5.0
    longest_s: float = 900.0
    give_up_after_s: float = 86_400.0
    resend_in_doubt: bool = False


@dataclass(frozen=True)
class DeliveryOutcome:
    """A mail's next state; `next_attempt_at` matters for `waiting` alone."""

    state: MailState
    attempts: int
    next_attempt_at: datetime
    reason: str

    @property
    def is_published(self) -> bool:
        """Whether `notice.sent` or `notice.failed` reports it."""
        return self.state in ("sent", "failed", "in-doubt")


def decide_outcome(
    reply: Reply, *, attempts: int, due_at: datetime, now: datetime, policy: RetryPolicy
) -> DeliveryOutcome:
    """What becomes of a mail after its attempt number `attempts`; it was due at `due_at`.

    A refusal (5xx) is final. A deferral (4xx, a lost connection) is tried again after 5 s,
    doubling to 15 min, for 24 h. A mail that the server may have taken is not sent again, for a
    client must not read twice of one crossing, unless the operator prefers that to none.
    """
    if reply.kind == "accepted":
        return DeliveryOutcome("sent", attempts, now, "")
    if reply.kind == "refused":
        return DeliveryOutcome("failed", attempts, now, reply.text)
    if reply.kind == "unknown" and not policy.resend_in_doubt:
        return DeliveryOutcome("in-doubt", attempts, now, reply.text)
    again_at = now + timedelta(seconds=_delay_s(attempts, policy))
    if again_at > due_at + timedelta(seconds=policy.give_up_after_s):
        return DeliveryOutcome(
            "failed", attempts, now, f"given up after {attempts} attempts: {reply.text}"
        )
    return DeliveryOutcome("waiting", attempts, again_at, reply.text)


def _delay_s(attempts: int, policy: RetryPolicy) -> float:
    return min(policy.longest_s, policy.first_s * 2.0 ** min(max(attempts, 1) - 1, 30))
