"""Decides the outcome of an attempt to send a mail from the SMTP server's reply. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.owed.notice import MailState

ReplyKind = Literal["accepted", "deferred", "refused", "unknown"]


@dataclass(frozen=True)
class Reply:
    """The server's reply to one attempt. `unknown`: the text was sent, and no reply arrived."""

    kind: ReplyKind
    text: str


@dataclass(frozen=True)
class RetryPolicy:
    """Retry delays and limit in seconds. Mails in doubt are retried only with `resend_in_doubt`."""

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
        """Whether `notice.sent` or `notice.failed` is published for it."""
        return self.state in ("sent", "failed", "in-doubt")


def decide_outcome(
    reply: Reply, *, attempts: int, due_at: datetime, now: datetime, policy: RetryPolicy
) -> DeliveryOutcome:
    """The outcome of attempt number `attempts` of a mail that was due at `due_at`.

    A permanent failure (5xx) is final. A temporary one (4xx, a lost connection) is retried after
    5 s, doubling up to 15 min, for 24 h. A mail that the server may have accepted is not sent
    again, so that a client gets at most one mail about a crossing; with `resend_in_doubt` it is
    retried, so that the client gets at least one.
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
