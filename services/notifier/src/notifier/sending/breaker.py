"""The circuit breaker of the SMTP server: while it cannot be used, one probe at a time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class SmtpBreaker:
    """Shared by all connections of a process; each that may try reports how it went.

    `first_s` and `longest_s` bound the time between two probes, which doubles; a probe that
    never reports its end is given up after `probe_s`.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    probe_s: float = 60.0
    failures: int = field(default=0, init=False)
    next_probe_at: datetime = field(default=_NEVER, init=False)

    @property
    def is_open(self) -> bool:
        """Whether the server could not be used when it was last tried."""
        return self.failures > 0

    def may_try(self, now: datetime) -> bool:
        """Whether the caller may connect; while open, this makes the caller the one probe."""
        if not self.is_open:
            return True
        if now < self.next_probe_at:
            return False
        self.next_probe_at = now + timedelta(seconds=self.probe_s)
        return True

    def worked(self) -> None:
        """The server takes mail."""
        self.failures = 0

    def failed(self, now: datetime) -> None:
        """The server could not be used."""
        delay_s = min(self.longest_s, self.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        self.next_probe_at = now + timedelta(seconds=delay_s)
