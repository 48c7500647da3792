"""Looks after the account at Les.net itself, which is prepaid: empty, it carries nobody's calls."""

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
_UNREAD: tuple[type[Exception], ...] = (Refused, *TRANSIENT_ERRORS)
log = structlog.get_logger()


class BalanceWatch:
    """Asks for the balance every `every_s`; below `limit` an operator is told, each time."""

    def __init__(
        self, api: LesnetApi, *, limit: Decimal, every_s: float, progress: Progress
    ) -> None:
        self._api = api
        self._limit = limit
        self._every_s = every_s
        self._progress = progress

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a look that fails is made up for by the next."""
        while not stop.is_set():
            await self.check()
            await wait_reporting(stop, self._every_s, self._progress.turned)

    async def check(self) -> bool | None:
        """Whether the balance is below the limit; None if it can not be told."""
        server_id = self._api.server_id
        try:
            balance = await self._api.balance()
        except _UNREAD as error:
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
