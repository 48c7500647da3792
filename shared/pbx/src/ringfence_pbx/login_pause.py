"""The pause after a refused login. A PBX counts failed logins and may ban the address."""

from collections.abc import Callable

from ringfence_pbx.errors import Refused

REFUSAL_PAUSE_S = 60.0
"""Seconds from a refused login to the next attempt."""


class LoginPause:
    """While the pause runs, every request fails with the last refusal, and no login is sent."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Raise Refused while the pause runs."""
        if self._reason and self._monotonic() < self._until:
            raise Refused(self._reason)

    def start(self, refusal: Refused) -> None:
        """Begin a pause: the server refused the login."""
        self._until, self._reason = self._monotonic() + REFUSAL_PAUSE_S, str(refusal)

    def end(self) -> None:
        """The server accepted a login."""
        self._reason = ""
