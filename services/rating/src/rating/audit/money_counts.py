"""Metrics of money: what is posted, what clients owe, and calls that nobody is charged for.

Postings are counted when they are committed, not summed from the ledger: a day may have 80 million
entries, and Prometheus sums a counter over any window, restarts included. The postings of
`ringfence rerate` are not counted, because a correction is no traffic.
"""

from collections.abc import Mapping, Sequence

from prometheus_client import Counter, Gauge

from rating.audit.store_money import MoneyStore
from rating.ledger import AccountBalance, Entry
from ringfence.observe.counting import set_gauge

POSTED_MICRO = Counter(
    "ringfence_ledger_micro_total",
    "Amounts posted to the ledger by this process, by kind (charge, top-up, adjustment, reversal);"
    " way `in` raises balances, `out` lowers them. Re-ratings by command are not counted.",
    ["kind", "currency", "way"],
)
POSTED = Counter(
    "ringfence_ledger_entries_total",
    "Entries posted to the ledger by this process. Re-ratings by command are not counted.",
    ["kind", "currency"],
)
EXPOSURE_MICRO = Gauge(
    "ringfence_exposure_micro",
    "What clients owe: the sum of all balances below zero, as a positive number.",
    ["currency"],
)
PREPAID_MICRO = Gauge(
    "ringfence_prepaid_micro",
    "What clients have left: the sum of all balances above zero.",
    ["currency"],
)
IN_DEBT = Gauge("ringfence_clients_in_debt", "Clients whose balance is below zero.", ["currency"])
DEAD = Gauge(
    "ringfence_dead_calls",
    "Calls that cannot be read and were not settled since, among the 2,000 newest such records.",
)
DEAD_OLDEST = Gauge("ringfence_dead_oldest_seconds", "Age of the oldest of them; 0 without any.")
_WAYS = {
    "charge": ("out",),
    "top-up": ("in", "out"),
    "adjustment": ("in", "out"),
    "reversal": ("in",),
}


def count_posted(entries: Sequence[Entry], balances: Mapping[str, AccountBalance]) -> None:
    """Count committed entries; `balances` has their accounts' currencies."""
    sums: dict[tuple[str, str, str], int] = {}
    numbers: dict[tuple[str, str], int] = {}
    for entry in entries:
        kind, amount, currency = (
            entry.kind,
            entry.amount_micro,
            balances[entry.account_id].currency,
        )
        way = "in" if amount > 0 else "out"
        sums[kind, currency, way] = sums.get((kind, currency, way), 0) + abs(amount)
        numbers[kind, currency] = numbers.get((kind, currency), 0) + 1
    for labels, micro in sums.items():
        POSTED_MICRO.labels(*labels).inc(micro)
    for names, number in numbers.items():
        POSTED.labels(*names).inc(number)


class MoneyCounts:
    """The metrics of balances and of dead calls."""

    def __init__(self, store: MoneyStore) -> None:
        self._store = store

    async def count(self) -> None:
        """Read the sums and set the metrics."""
        sums = await self._store.balances()
        dead = await self._store.dead()
        set_gauge(EXPOSURE_MICRO, {(each.currency,): each.owed_micro for each in sums})
        set_gauge(PREPAID_MICRO, {(each.currency,): each.left_micro for each in sums})
        set_gauge(IN_DEBT, {(each.currency,): each.in_debt for each in sums})
        DEAD.set(dead.calls)
        DEAD_OLDEST.set(dead.oldest_s)
        for each in sums:
            _begin(each.currency)


def _begin(currency: str) -> None:
    """Start a currency's counters at 0: Prometheus sees a rise only from an existing value."""
    for kind, ways in _WAYS.items():
        POSTED.labels(kind, currency)
        for way in ways:
            POSTED_MICRO.labels(kind, currency, way)
