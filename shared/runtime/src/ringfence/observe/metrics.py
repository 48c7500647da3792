"""The metrics that every service has, in Prometheus' format at `/metrics`."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("ringfence_events_total", "Events read and published.", ["consumer", "way"])
REJECTED = Counter("ringfence_rejected_total", "Records parked as dead.", ["consumer", "topic"])
RETRIES = Counter("ringfence_retries_total", "Batches tried again.", ["consumer"])
LAG = Gauge("ringfence_lag_records", "Records not yet read.", ["consumer"])
BATCH_SECONDS = Histogram(
    "ringfence_batch_seconds",
    "From a batch read to all of it safe.",
    ["consumer"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
BATCH_SIZE = Histogram(
    "ringfence_batch_records",
    "Records in a batch.",
    ["consumer"],
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
)
STAGE_SECONDS = Histogram(
    "ringfence_stage_seconds",
    "What a batch's time goes into.",
    ["consumer", "stage"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5),
)
OUTBOX = Gauge("ringfence_outbox_rows", "Events written and not yet delivered.", ["service"])
