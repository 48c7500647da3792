"""What all scenarios are given, and what they return."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.invariants import Leniency
from tests.chaos.town import ChaosTown


@dataclass(frozen=True)
class Plan:
    """How much of it. `pause_s` is how long a process is stopped, `per_second` bounds the sends."""

    calls: int
    pause_s: float = 60.0
    clients_each: int = 2


@dataclass
class Done:
    """What a scenario leaves for the check."""

    before: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """The ledger at an earlier moment: nothing of it may have changed."""

    leniency: Leniency = field(default_factory=Leniency)
    notes: list[str] = field(default_factory=list)
    converge_s: float | None = None
    """Its own bound for the time to converge."""


@dataclass(frozen=True)
class Scenario:
    """A scenario by its name on the command line.

    `share`: the part of the calls of `--calls` that it sends. `needs`: see ChaosTown.
    """

    name: str
    title: str
    run: Callable[[ChaosTown, Plan], Awaitable[Done]]
    share: float = 0.2
    needs: frozenset[str] = frozenset()
