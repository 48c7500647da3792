"""The metrics of cdr-ingest, in addition to those of every service."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter(
    "ringfence_ingest_records_total", "Records accepted from a source.", ["server", "disposition"]
)
UNCONFIRMED = Counter(
    "ringfence_ingest_unconfirmed_rows_total",
    "Rows that their source listed and did not confirm; they wait in the unrated queue.",
    ["server", "reason"],
)
LEGS = Counter(
    "ringfence_ingest_legs_total",
    "Legs that left by a carrier, by what was decided about them.",
    ["server", "decision"],
)
FAILURES = Counter("ringfence_ingest_failures_total", "Polls that failed.", ["server", "lane"])
NEWEST_CALL = Gauge(
    "ringfence_ingest_newest_call_seconds", "Start of the newest call seen, epoch.", ["server"]
)
READ_UNTIL = Gauge(
    "ringfence_ingest_read_until_seconds", "How far a lane was read, epoch.", ["server", "lane"]
)
RETENTION_LEFT = Gauge(
    "ringfence_ingest_retention_left_seconds",
    "How long until the source forgets calls that were not read.",
    ["server", "lane"],
)
POSTS = Counter(
    "ringfence_ingest_posts_total", "Posts answered, by what was answered.", ["server", "result"]
)
POST_SECONDS = Histogram(
    "ringfence_ingest_post_seconds",
    "From a post's head read to its answer.",
    ["server"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PUSH_QUEUE = Gauge("ringfence_ingest_push_queue_records", "Posted records not yet safe.")
SOURCE_DOWN = Gauge(
    "ringfence_ingest_source_down", "1 while a lane cannot be read.", ["server", "lane"]
)
GAP_CALLS = Counter(
    "ringfence_ingest_gap_calls",
    "Calls that a source listed and that had not been ingested in their time.",
    ["server", "lane"],
)
