"""How many clients are at each level, as a metric."""

from itertools import product

from prometheus_client import Gauge

from balance_watch.store import WatchStore
from ringfence.observe.counting import set_gauge

CLIENTS = Gauge(
    "ringfence_clients",
    "Clients by the level of their credit (ok, low, exhausted; unknown until a balance was seen)"
    " and by the mode in which they run.",
    ["level", "mode"],
)
HELD = Gauge(
    "ringfence_clients_without_funds",
    "Clients to whom a funds hold applies, by mode: those of mode shadow keep their service.",
    ["mode"],
)
_LEVELS = ("ok", "low", "exhausted", "unknown")
_MODES = ("live", "shadow")


class ClientCounts:
    """Counts clients by level and mode. A level without clients shows 0."""

    def __init__(self, store: WatchStore) -> None:
        self._store = store

    async def count(self) -> None:
        """Read the counts and set the metrics."""
        clients: dict[tuple[str, ...], int] = dict.fromkeys(product(_LEVELS, _MODES), 0)
        held: dict[tuple[str, ...], int] = {(mode,): 0 for mode in _MODES}
        for row in await self._store.clients():
            clients[row.level, row.mode] += row.clients
            held[row.mode,] += row.held
        set_gauge(CLIENTS, clients)
        set_gauge(HELD, held)
