"""Sources: whether every call comes, and how late."""

from ringfence_dashboards.board import Board, Panel, Query, Row, quantile

_NOW = Row(
    "Now",
    (
        Panel(
            "Lanes down",
            "Sources that cannot be read: docs/runbooks/source-down.md",
            (Query("sum(max by (server, lane) (ringfence_ingest_source_down))"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Least time left",
            "Until a source forgets calls that were not read.",
            (Query("min(ringfence_ingest_retention_left_seconds)"),),
            unit="s",
            kind="stat",
        ),
        Panel(
            "Posted records not yet safe",
            "The queue of the receiver.",
            (Query("sum(ringfence_ingest_push_queue_records)"),),
            kind="stat",
        ),
        Panel(
            "Missed calls, 24 h",
            "Calls that a source listed and that had not come in their time.",
            (Query("sum(increase(ringfence_ingest_gap_calls_total[24h]))"),),
            kind="stat",
            bad_from=1,
        ),
    ),
)
_CALLS = Row(
    "Calls",
    (
        Panel(
            "Records per second",
            "By server and what they were.",
            (
                Query(
                    "sum by (server, disposition)"
                    " (rate(ringfence_ingest_records_total[$__rate_interval]))",
                    "{{server}} {{disposition}}",
                ),
            ),
        ),
        Panel(
            "Age of the newest call",
            "By its start. At night and on a quiet server it grows without a fault.",
            (
                Query(
                    "time() - max by (server) (ringfence_ingest_newest_call_seconds > 0)",
                    "{{server}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Read until",
            "How far behind the clock each lane was read.",
            (
                Query(
                    "time() - max by (server, lane) (ringfence_ingest_read_until_seconds > 0)",
                    "{{server}} {{lane}}",
                ),
            ),
            unit="s",
        ),
    ),
)
_FAULTS = Row(
    "Faults",
    (
        Panel(
            "Failed polls",
            "Per hour, by server and lane.",
            (
                Query(
                    "sum by (server, lane) (increase(ringfence_ingest_failures_total[1h]))",
                    "{{server}} {{lane}}",
                ),
            ),
        ),
        Panel(
            "Missed calls",
            "Per hour, by server and lane.",
            (
                Query(
                    "sum by (server, lane) (increase(ringfence_ingest_gap_calls_total[1h]))",
                    "{{server}} {{lane}}",
                ),
            ),
        ),
        Panel(
            "Time left",
            "Until the source forgets calls that were not read.",
            (
                Query(
                    "min by (server, lane) (ringfence_ingest_retention_left_seconds)",
                    "{{server}} {{lane}}",
                ),
            ),
            unit="s",
        ),
    ),
)
_PUSH = Row(
    "Push",
    (
        Panel(
            "Posts per second",
            "By server and answer.",
            (
                Query(
                    "sum by (server, result)"
                    " (rate(ringfence_ingest_posts_total[$__rate_interval]))",
                    "{{server}} {{result}}",
                ),
            ),
        ),
        Panel(
            "From post to answer",
            "The slowest hundredth: a record is safe when it is answered.",
            (Query(quantile(0.99, "ringfence_ingest_post_seconds", "server"), "{{server}}"),),
            unit="s",
        ),
    ),
)
_LESNET = Row(
    "Les.net",
    (
        Panel(
            "Age of the newest row",
            "Calls since then are not billed yet.",
            (
                Query(
                    "max by (server, link) (ringfence_lesnet_newest_row_age_seconds)",
                    "{{server}} {{link}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Lines that did not fit, files refused",
            "Of the last file.",
            (
                Query("max by (server, link) (ringfence_lesnet_unfit_lines)", "lines, {{server}}"),
                Query(
                    "max by (server, link) (ringfence_lesnet_file_refused)", "refused, {{server}}"
                ),
            ),
        ),
        Panel(
            "Left at Les.net",
            "The account's own credit there.",
            (Query("max by (server) (ringfence_lesnet_balance_micro) / 1e6", "{{server}}"),),
        ),
    ),
)
BOARD = Board(
    "ringfence-sources",
    "ringfence: sources",
    "Whether every call comes, and how late.",
    (_NOW, _CALLS, _FAULTS, _PUSH, _LESNET),
)
