"""Pipeline: services, topics, invariants and the API."""

from ringfence_dashboards.board import Board, Panel, Query, Row, quantile

_RATE = "$__rate_interval"
_NOW = Row(
    "Now",
    (
        Panel(
            "Services down",
            "Processes that do not answer: docs/runbooks/service-down.md",
            (Query('count(up{job="ringfence"} == 0) or vector(0)'),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Records behind",
            "Not yet read, of all consumers.",
            (Query("sum(ringfence_lag_records)"),),
            kind="stat",
        ),
        Panel(
            "Differences in invariants",
            "0, or money or switching is wrong: docs/runbooks/invariants.md",
            (Query("sum(max by (invariant) (ringfence_drift))"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Invariants checked",
            "Since the last count.",
            (Query("time() - max(ringfence_drift_audited_timestamp_seconds > 0)"),),
            unit="s",
            kind="stat",
        ),
        Panel(
            "Dead records, 24 h",
            "Parked because they could not be read: docs/runbooks/dead-letters.md",
            (Query("sum(increase(ringfence_rejected_total[24h]))"),),
            kind="stat",
            bad_from=1,
        ),
    ),
)
_TOPICS = Row(
    "Topics",
    (
        Panel(
            "Records behind",
            "By consumer.",
            (Query("sum by (consumer) (ringfence_lag_records)", "{{consumer}}"),),
        ),
        Panel(
            "Events per second",
            "Read and published, by consumer.",
            (
                Query(
                    f"sum by (consumer, way) (rate(ringfence_events_total[{_RATE}]))",
                    "{{consumer}} {{way}}",
                ),
            ),
        ),
        Panel(
            "Waiting for the broker",
            "Events that are written and not yet delivered.",
            (Query("max by (service) (ringfence_outbox_rows)", "{{service}}"),),
        ),
    ),
)
_BATCHES = Row(
    "Batches",
    (
        Panel(
            "From read to safe",
            "The slowest hundredth, by consumer.",
            (Query(quantile(0.99, "ringfence_batch_seconds", "consumer"), "{{consumer}}"),),
            unit="s",
        ),
        Panel(
            "Records in a batch",
            "On average, by consumer.",
            (
                Query(
                    f"sum by (consumer) (rate(ringfence_batch_records_sum[{_RATE}]))"
                    f" / sum by (consumer) (rate(ringfence_batch_records_count[{_RATE}]))",
                    "{{consumer}}",
                ),
            ),
        ),
        Panel(
            "What the time goes into",
            "Seconds of each second, by consumer and stage.",
            (
                Query(
                    f"sum by (consumer, stage) (rate(ringfence_stage_seconds_sum[{_RATE}]))",
                    "{{consumer}} {{stage}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Tried again and parked",
            "Per hour, by consumer.",
            (
                Query(
                    "sum by (consumer) (increase(ringfence_retries_total[1h]))",
                    "again, {{consumer}}",
                ),
                Query(
                    "sum by (consumer, topic) (increase(ringfence_rejected_total[1h]))",
                    "parked, {{consumer}} {{topic}}",
                ),
            ),
        ),
    ),
)
_API = Row(
    "API",
    (
        Panel(
            "Requests per second",
            "By route.",
            (
                Query(
                    f"sum by (method, route) (rate(ringfence_api_requests_total[{_RATE}]))",
                    "{{method}} {{route}}",
                ),
            ),
        ),
        Panel(
            "Refused and failed",
            "Per minute, by status.",
            (
                Query(
                    "60 * sum by (status)"
                    f' (rate(ringfence_api_requests_total{{status=~"[45].."}}[{_RATE}]))',
                    "{{status}}",
                ),
            ),
        ),
        Panel(
            "Time to answer",
            "The slowest hundredth, by route.",
            (
                Query(
                    quantile(0.99, "ringfence_api_seconds", "method", "route"),
                    "{{method}} {{route}}",
                ),
            ),
            unit="s",
        ),
    ),
)
_PROCESSES = Row(
    "Processes",
    (
        Panel(
            "Memory",
            "Resident, by service.",
            (
                Query(
                    'sum by (service) (process_resident_memory_bytes{job="ringfence"})',
                    "{{service}}",
                ),
            ),
            unit="bytes",
        ),
        Panel(
            "Processor",
            "Seconds of each second, by service.",
            (
                Query(
                    "sum by (service)"
                    f' (rate(process_cpu_seconds_total{{job="ringfence"}}[{_RATE}]))',
                    "{{service}}",
                ),
            ),
            unit="s",
        ),
    ),
)
BOARD = Board(
    "ringfence-pipeline",
    "ringfence: pipeline",
    "Services, topics, invariants and the API.",
    (_NOW, _TOPICS, _BATCHES, _API, _PROCESSES),
)
