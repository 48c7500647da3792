"""What every handler of a command gets, and what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from ringfence_contracts.events.operator import OperatorRequested
from suspender.rules.account import Cause
from suspender.rules.brake import BrakeLimits
from suspender.store import DecisionTransaction


class CommandAnswer(NamedTuple):
    """What came of a command, in words for the operator."""

    state: Literal["done", "refused"]
    words: str


@dataclass(frozen=True)
class Command:
    """What is to be carried out within a transaction (`transaction.connection`).

    `cause` is what decisions that follow from it bear.
    """

    request: OperatorRequested
    cause: Cause
    transaction: DecisionTransaction
    now: datetime
    limits: BrakeLimits


CommandHandler = Callable[[Command], Awaitable[CommandAnswer]]
"""Carries out a command. Raises Refusal with words, or Retry to have it tried again."""


class CommandRefused(Exception):
    """The command cannot be carried out. The message says why, and what to do instead."""


def argument(command: Command, name: str, expected: str) -> str:
    """An argument that has to be given. Raises Refusal."""
    value = command.request.arguments.get(name, "").strip()
    if not value:
        raise CommandRefused(f"{name}: got nothing, expected {expected}")
    return value
