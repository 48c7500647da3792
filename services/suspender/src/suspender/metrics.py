"""The suspender's own metrics."""

from prometheus_client import Counter, Gauge, Histogram

ACTIONS = Counter(
    "ringfence_suspender_actions_total",
    "Attempts to bring a service to its wanted state.",
    ["server", "wanted", "result"],
)
REACTION_SECONDS = Histogram(
    "ringfence_suspender_reaction_seconds",
    "From wanted to confirmed by reading the PBX back.",
    ["wanted"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
BRAKE = Gauge("ringfence_suspender_brake", "1 while cutting for funds is paused by the brake.")
CLIENTS_HELD = Gauge(
    "ringfence_suspender_clients_held", "Live clients to whom a funds hold applies."
)
ELEMENTS_OFF = Gauge(
    "ringfence_suspender_elements_off", "Elements that are switched off by us.", ["server"]
)
LOOSE = Gauge(
    "ringfence_suspender_loose_elements",
    "Elements that wait to be switched on (or off again) though no service is due.",
    ["server"],
)
