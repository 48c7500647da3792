"""What an examination of a server finds: one line each, with what to do about it."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

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


@runtime_checkable
class Examinable(Protocol):
    """A source that can be examined more closely than by reading from it."""

    async def examine(self) -> list[Finding]:
        """Every check of it. Changes nothing on the server, and raises nothing."""
        ...
