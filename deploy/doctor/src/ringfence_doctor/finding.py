"""What an examination of a server finds: one line each, with what to do about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One check of one thing: how it stands, and in plain words what to do where that is not well.

    Never holds a secret.
    """

    subject: str
    check: str
    state: State
    said: str
    do: str = ""


AHEAD_S = 120
"""A newest call that begins so much after now has a clock or a zone that is wrong."""


def newest_call(subject: str, at: datetime, now: datetime, check: str = "newest call") -> Finding:
    """When the newest call of a source began, and how long ago that is."""
    said = f"began {at:%Y-%m-%d %H:%M:%S} UTC, {age(at, now)}"
    if (at - now).total_seconds() > AHEAD_S:
        do = "compare the clocks, and the time zone of what it is read from"
        return Finding(subject, check, "warn", said, do)
    return Finding(subject, check, "ok", said)


def age(at: datetime, now: datetime) -> str:
    """How long ago something was, as a person says it; what lies ahead is told as such."""
    seconds = int((now - at).total_seconds())
    return f"{in_words(seconds)} ago" if seconds >= 0 else f"{in_words(-seconds)} ahead of now"


def in_words(seconds: int) -> str:
    """A span in its largest unit of which there are two: `90 s`, `7 min`, `26 h`, `3 d`."""
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
