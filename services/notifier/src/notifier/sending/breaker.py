"""The circuit breaker of the SMTP server: while it is unusable, one connection probes it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class SmtpBreaker:
    """Shared by all connections of a process. A caller that may try reports success or failure.

    The time between two probes doubles from `first_s` to `longest_s`. If a probe does not report
    within `probe_s`, the next caller may probe.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    probe_s: float = 60.0
    failures: int = field(default=0, init=False)
    next_probe_at: datetime = field(default=_NEVER, init=False)

    @property
    def is_open(self) -> bool:
        """Whether the last attempt found the server unusable."""
        return self.failures > 0

    def may_try(self, now: datetime) -> bool:
        """Whether the caller may connect. While open, True makes the caller the one probe."""
        if not self.is_open:
            return True
        if now < self.next_probe_at:
            return False
        self.next_probe_at = now + timedelta(seconds=self.probe_s)
        return True

    def worked(self) -> None:
        """Report that the server accepts mail: close the breaker."""
        self.failures = 0

    def failed(self, now: datetime) -> None:
        """Report that the server was unusable: open the breaker until the next probe."""
        delay_s = min(self.longest_s, self.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        self.next_probe_at = now + timedelta(seconds=delay_s)
