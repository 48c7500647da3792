"""A circuit breaker: a server that fails repeatedly is not called for a while."""

import time
from collections.abc import Callable


class Breaker:
    """Opens for `rest_s` seconds after `after` failures in a row; then an attempt may probe."""

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
        """Whether it is open or half open: `after` or more attempts in a row have failed."""
        return self._failures >= self._after

    def succeeded(self) -> None:
        """Record that the server answered; closes the breaker."""
        self._failures = 0

    def failed(self) -> None:
        """Record that an attempt failed."""
        self._failures += 1
        if self._failures >= self._after:
            self._closed_again_at = self._monotonic() + self._rest_s
