"""The pause that a server asks for (`Retry-After`); it applies to all feeds of the server."""

import time
from collections.abc import Callable


class Cooldown:
    """The time until which a server must not be asked."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = 0.0

    def start(self, for_s: float) -> None:
        """Ask nothing for `for_s` seconds from now. Never shortens a pause that is running."""
        self._until = max(self._until, self._monotonic() + for_s)

    @property
    def remaining_s(self) -> float:
        """The seconds until the server may be asked again; 0 means now."""
        return max(0.0, self._until - self._monotonic())
