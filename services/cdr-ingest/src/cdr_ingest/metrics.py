"""What cdr-ingest counts, besides what every service counts."""

from prometheus_client import Counter, Gauge

RECORDS = Counter(
    "ringfence_ingest_records_total", "Records accepted from a source.", ["server", "disposition"]
)
FAILURES = Counter("ringfence_ingest_failures_total", "Polls that failed.", ["server", "lane"])
NEWEST_CALL = Gauge(
    "ringfence_ingest_newest_call_seconds", "Start of the newest call seen, epoch.", ["server"]
)
READ_UNTIL = Gauge(
    "ringfence_ingest_read_until_seconds", "How far a lane was read, epoch.", ["server", "lane"]
)
