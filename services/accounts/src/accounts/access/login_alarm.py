"""The alarm about many failed logins: raised while there are many, ended when there are not."""

import asyncio

from accounts.access.failed_logins import MANY, FailedLogins
from accounts.clients.store_publishing import ALARMS
from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.alarm import AlarmText

_KEY, _SUBJECT = "failed-logins", "api"
_EVERY_S = 5.0
TEXT = AlarmText(
    f"{MANY} or more logins at the API failed within 5 minutes",
    "see the addresses in the log of accounts (`login refused`): stop a client that uses an old"
    " token, or close the port to strangers; `ringfence token list` shows the tokens in use",
)


class LoginAlarm:
    """Looks at the failures every 5 seconds."""

    def __init__(
        self, pool: Pool, failures: FailedLogins, clock: Clock, progress: Progress
    ) -> None:
        self._pool = pool
        self._failures = failures
        self._clock = clock
        self._progress = progress
        self._open: bool | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Raise and end the alarm until `stop` is set."""
        await run_loop(
            stop,
            self.step,
            "alarm of failed logins not written",
            progress=self._progress,
            every_s=_EVERY_S,
        )

    async def step(self) -> None:
        """Write the alarm where it is not as it should be; after a start, in any case."""
        many = self._failures.many(asyncio.get_running_loop().time())
        if many == self._open:
            return
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            if many:
                await ALARMS.raise_alarm(connection, _KEY, _SUBJECT, TEXT, now)
            else:
                await ALARMS.end_alarm(connection, _KEY, _SUBJECT, now)
        self._open = many
