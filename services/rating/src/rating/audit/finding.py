"""The result of a check, and the distinction of lasting differences from transient ones."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence.loops import wait_or_stop

SHOWN_AT_MOST = 20
_POLL_EVERY_S = 0.5
_POLLS = 20

OnProgress = Callable[[str, int | None, int | None], None]
"""Called with what is being checked, and how much of it is done, of how much, if it is counted."""

ViewRow = Any
"""A row of a view of differences, read by its columns' names."""


@dataclass
class Check:
    """The check of one invariant: its text, what was counted, and each difference as a line.

    `found` is the number of differences, of which `differences` has the first ones. `unknown` is
    why the invariant could not be checked. `remarks` are facts that are not differences.
    """

    name: str
    says: str
    counted: str = ""
    differences: list[str] = field(default_factory=list)
    found: int = 0
    unknown: str = ""
    remarks: list[str] = field(default_factory=list)

    def differs(self, line: str) -> None:
        """Count a difference; only the first SHOWN_AT_MOST are kept as lines."""
        self.found += 1
        if len(self.differences) < SHOWN_AT_MOST:
            self.differences.append(line)

    @property
    def holds(self) -> bool:
        """Whether nothing differs and everything could be checked."""
        return self.found == 0 and not self.unknown


async def lasting_rows(
    read: Callable[[], Awaitable[Sequence[ViewRow]]],
    key: Callable[[ViewRow], Hashable],
    wait_s: float,
    *,
    stop: asyncio.Event | None = None,
) -> list[ViewRow]:
    """The differences that every read during `wait_s` seconds found; `key` identifies one.

    Reading ends early when `stop` is set.

    Data that is in flight between services differs for a moment. On a busy installation something
    always is, so each difference is followed on its own.
    """
    now, stop = asyncio.get_running_loop().time, stop or asyncio.Event()
    deadline, every_s = now() + wait_s, max(_POLL_EVERY_S, wait_s / _POLLS)
    rows = list(await read())
    while rows and (left_s := deadline - now()) > 0:
        if await wait_or_stop(stop, min(every_s, left_s)):
            return rows
        seen = {key(row) for row in rows}
        rows = [row for row in await read() if key(row) in seen]
    return rows
