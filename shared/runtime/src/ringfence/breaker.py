"""A circuit breaker: a server that fails again and again is left alone for a while."""

import time
from collections.abc import Callable


class Breaker:
    """Opens after `after` failures in a row, for `rest_s` seconds; then one attempt may probe."""

    def __init__(
        self, *, after: int, rest_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._after = after
        self._rest_s = rest_s
        self._monotonic = monotonic
        self._failures = 0
        self._closed_again_at = 0.0

    def allows(self) -> bool:
        """Whether an attempt may be made now."""
        return self._failures < self._after or self._monotonic() >= self._closed_again_at

    @property
    def failing(self) -> bool:
        """Whether the last attempts failed often enough that only a probe is in order."""
        return self._failures >= self._after

    def succeeded(self) -> None:
        """The server answered."""
        self._failures = 0

    def failed(self) -> None:
        """The server could not be had."""
        self._failures += 1
        if self._failures >= self._after:
            self._closed_again_at = self._monotonic() + self._rest_s
