"""How many services are off, and why, as metrics."""

from typing import get_args

from prometheus_client import Gauge

from ringfence.observe.counting import set_gauge
from ringfence_contracts.events.service import Hold
from suspender.upkeep.store_counts import CountStore

SERVICES = Gauge("ringfence_services", "Services (products) of all clients, on or off.")
OFF = Gauge(
    "ringfence_services_off",
    "Services that the PBX was last read back to have off, each once.",
)
OFF_BY_REASON = Gauge(
    "ringfence_services_off_by_reason",
    "Services that are off and are to stay off, by hold (funds, manual, forced, whmcs). One that"
    " two holds keep off counts under both.",
    ["reason"],
)
WOULD_BE_OFF = Gauge(
    "ringfence_services_would_be_off",
    "Services of clients in mode shadow that would be off if the clients were live.",
)
OPEN = Gauge(
    "ringfence_services_open",
    "Switches that are wanted and that no reading of the PBX has confirmed yet.",
    ["wanted"],
)


class ServiceCounts:
    """Counts services by state and reason. A reason without services shows 0."""

    def __init__(self, store: CountStore) -> None:
        self._store = store

    async def count(self) -> None:
        """Read the counts and set the metrics."""
        by_reason = await self._store.off_by_reason()
        numbers = await self._store.services()
        set_gauge(OFF_BY_REASON, {(hold,): by_reason.get(hold, 0) for hold in get_args(Hold)})
        SERVICES.set(numbers.all_services)
        OFF.set(numbers.off)
        WOULD_BE_OFF.set(numbers.would_be_off)
        set_gauge(OPEN, {("suspended",): numbers.cuts_open, ("active",): numbers.restores_open})
