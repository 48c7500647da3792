"""Watches the balance of our account at Les.net: without balance, Les.net carries no call."""

import asyncio
from decimal import Decimal

import structlog

from cdr_ingest.lesnet.metrics import BALANCE_LOW, BALANCE_MICRO
from cdr_ingest.metrics import FAILURES
from cdr_ingest.polling.waiting import wait_reporting
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_pbx.errors import Refused
from ringfence_pbx.lesnet.api import LesnetApi

_LANE = "account/balance"
_READ_ERRORS: tuple[type[Exception], ...] = (Refused, *TRANSIENT_ERRORS)
log = structlog.get_logger()


class BalanceWatch:
    """Reads the balance every `every_s` seconds; logs an error each time it is below `limit`."""

    def __init__(
        self, api: LesnetApi, *, limit: Decimal, every_s: float, progress: Progress
    ) -> None:
        self._api = api
        self._limit = limit
        self._every_s = every_s
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Check until `stop` is set. A check that fails is repeated by the next one."""
        while not stop.is_set():
            await self.check()
            await wait_reporting(stop, self._every_s, self._progress.turned)

    async def check(self) -> bool | None:
        """Whether the balance is below the limit; None if it could not be read."""
        server_id = self._api.server_id
        try:
            balance = await self._api.balance()
        except _READ_ERRORS as error:
            FAILURES.labels(server_id, _LANE).inc()
            log.warning("provider balance unknown", server_id=server_id, reason=str(error))
            return None
        low = balance < self._limit
        BALANCE_MICRO.labels(server_id).set(int(balance * 1_000_000))
        BALANCE_LOW.labels(server_id).set(low)
        if low:
            log.error(
                "provider balance low: top up at Les.net, or calls stop for all of its clients",
                server_id=server_id,
                balance=str(balance),
                balance_below=str(self._limit),
            )
        return low
