"""The input and the answer of a handler of operators' commands."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from ringfence_contracts.events.operator import OperatorRequested
from suspender.rules.account import Cause
from suspender.rules.brake import BrakeLimits
from suspender.store import DecisionTransaction


class CommandAnswer(NamedTuple):
    """The result of a command, in words for the operator."""

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
"""Carries out a command. Raises CommandRefused with the reason, or Retry for another attempt."""


class CommandRefused(Exception):
    """The command cannot be carried out. The message says why, and what to do instead."""


def argument(command: Command, name: str, expected: str) -> str:
    """A required argument, without blanks around it. Raises CommandRefused if it is missing."""
    value = command.request.arguments.get(name, "").strip()
    if not value:
        raise CommandRefused(f"{name}: got nothing, expected {expected}")
    return value
