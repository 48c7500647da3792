"""The result of one check of the doctor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

CheckState = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    `subject` is what was checked: a server, a tenant, Kafka. `message` describes the state, and
    `action` what to do unless `state` is "ok". Never holds a secret.
    """

    subject: str
    check: str
    state: CheckState
    message: str
    action: str = ""

    def as_json(self) -> dict[str, str]:
        """The object that `ringfence doctor --json` prints; its keys are public."""
        return {
            "subject": self.subject,
            "check": self.check,
            "state": self.state,
            "said": self.message,
            "do": self.action,
        }


AHEAD_S = 120
"""A newest call that begins later than this after now is due to a wrong clock or time zone."""


def newest_call(
    subject: str, at: datetime, now: datetime, check: str = "newest call"
) -> CheckResult:
    """When the newest call of a source began; a warning if that is in the future."""
    message = f"began {at:%Y-%m-%d %H:%M:%S} UTC, {age(at, now)}"
    if (at - now).total_seconds() > AHEAD_S:
        action = "compare the clocks, and the time zone of what it is read from"
        return CheckResult(subject, check, "warn", message, action)
    return CheckResult(subject, check, "ok", message)


def age(at: datetime, now: datetime) -> str:
    """How long ago `at` was, such as `7 min ago`, or `7 min ahead of now`."""
    seconds = int((now - at).total_seconds())
    return f"{in_words(seconds)} ago" if seconds >= 0 else f"{in_words(-seconds)} ahead of now"


def in_words(seconds: int) -> str:
    """A duration in the largest unit of which there are at least two: `90 s`, `7 min`, `3 d`."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
