"""How long a server wants to be left alone: what one of its lanes is told holds for all."""

import time
from collections.abc import Callable


class Cooldown:
    """One server's wish not to be asked."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = 0.0

    def leave_alone(self, for_s: float) -> None:
        """Ask nothing for so many seconds from now; a shorter wish does not end a longer one."""
        self._until = max(self._until, self._monotonic() + for_s)

    @property
    def left_s(self) -> float:
        """The seconds until it may be asked again; 0: now."""
        return max(0.0, self._until - self._monotonic())
