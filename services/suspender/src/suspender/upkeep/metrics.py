"""Metrics of inventories and of drift."""

from prometheus_client import Counter, Gauge

INVENTORY_AGE_S = Gauge(
    "ringfence_suspender_inventory_age_seconds",
    "Since a server was last read as a whole.",
    ["server"],
)
DRIFT = Counter(
    "ringfence_suspender_drift_total",
    "Elements that we switched off and that were found on.",
    ["server"],
)
DRIFTING = Gauge(
    "ringfence_suspender_drifting", "Elements that we switched off and that are on now.", ["server"]
)
