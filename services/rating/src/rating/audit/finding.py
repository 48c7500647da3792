"""What a check of an invariant found. Differences that pass are kept apart from those that last."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence.loops import wait_or_stop

SHOWN_AT_MOST = 20
_LOOK_EVERY_S = 0.5
_LOOKS = 20

ViewRow = Any
"""A row of a view of differences, read by its columns' names."""


@dataclass
class Check:
    """One invariant: what it says, what was counted, and each difference as a line.

    `unknown` says why it could not be checked. `remarks` are worth knowing and no differences.
    """

    name: str
    says: str
    counted: str = ""
    differences: list[str] = field(default_factory=list)
    found: int = 0
    unknown: str = ""
    remarks: list[str] = field(default_factory=list)

    def differs(self, line: str) -> None:
        """Note a difference; only the first ones are kept as lines."""
        self.found += 1
        if len(self.differences) < SHOWN_AT_MOST:
            self.differences.append(line)

    @property
    def holds(self) -> bool:
        """Whether nothing differs, and all of it could be seen."""
        return self.found == 0 and not self.unknown


async def lasting(
    look: Callable[[], Awaitable[Sequence[ViewRow]]],
    key: Callable[[ViewRow], Hashable],
    wait_s: float,
    *,
    stop: asyncio.Event | None = None,
) -> list[ViewRow]:
    """The differences that every look saw for `wait_s` seconds; `key` names one.

    No more are looked for once `stop` is set.

    What is on its way from one service to another differs for a moment. On a busy installation
    something always does, so the differences are followed one by one.
    """
    now, stop = asyncio.get_running_loop().time, stop or asyncio.Event()
    deadline, every_s = now() + wait_s, max(_LOOK_EVERY_S, wait_s / _LOOKS)
    rows = list(await look())
    while rows and (left_s := deadline - now()) > 0:
        if await wait_or_stop(stop, min(every_s, left_s)):
            return rows
        seen = {key(row) for row in rows}
        rows = [row for row in await look() if key(row) in seen]
    return rows
