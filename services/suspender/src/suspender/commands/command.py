"""What every handler of a command gets, and what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from ringfence_contracts.events.operator import OperatorRequested
from suspender.rules.account import Cause
from suspender.rules.brake import Limits
from suspender.store import Deciding


class Answer(NamedTuple):
    """What came of a command, in words for the operator."""

    state: Literal["done", "refused"]
    words: str


@dataclass(frozen=True)
class Command:
    """What is to be carried out within a transaction (`deciding.connection`).

    `cause` is what decisions that follow from it bear.
    """

    request: OperatorRequested
    cause: Cause
    deciding: Deciding
    now: datetime
    limits: Limits


Handler = Callable[[Command], Awaitable[Answer]]
"""Carries out a command. Raises Refusal with words, or Retry to have it tried again."""


class Refusal(Exception):
    """The command cannot be carried out. The message says why, and what to do instead."""


def argument(command: Command, name: str, expected: str) -> str:
    """An argument that has to be given. Raises Refusal."""
    value = command.request.arguments.get(name, "").strip()
    if not value:
        raise Refusal(f"{name}: got nothing, expected {expected}")
    return value
