"""Reaction: how quickly services and mails follow the balance, and what delays them."""

from ringfence_dashboards.board import Board, Panel, Query, Row, quantile

_REACTION = "ringfence_suspender_reaction_seconds"
_NOW = Row(
    "Now",
    (
        Panel(
            "Brake",
            "1 while nobody is cut for funds until an operator decides: docs/runbooks/brake.md",
            (Query("max(ringfence_suspender_brake)"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "To be switched off",
            "Cuts that no reading of the PBX has confirmed yet.",
            (Query('max(ringfence_services_open{wanted="suspended"})'),),
            kind="stat",
        ),
        Panel(
            "To be switched on",
            "Restores that no reading of the PBX has confirmed yet: clients who paid and wait.",
            (Query('max(ringfence_services_open{wanted="active"})'),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Switched by others",
            "Elements that were switched off and are on: docs/runbooks/drift.md",
            (Query("sum(max by (server) (ringfence_suspender_drifting))"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Mail server",
            "1 while the SMTP server cannot be reached: docs/runbooks/mails.md",
            (Query("max(ringfence_smtp_unreachable)"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Mails that wait",
            "In a state that they should leave.",
            (Query("sum(max by (state) (ringfence_mails_unsent))"),),
            kind="stat",
        ),
    ),
)
_SWITCHING = Row(
    "Switching",
    (
        Panel(
            "From wanted to read back",
            "The middle and the slowest hundredth, by what is wanted.",
            (
                Query(quantile(0.5, _REACTION, "wanted"), "p50 {{wanted}}"),
                Query(quantile(0.99, _REACTION, "wanted"), "p99 {{wanted}}"),
            ),
            unit="s",
        ),
        Panel(
            "Attempts",
            "By server and result, per minute.",
            (
                Query(
                    "60 * sum by (server, result)"
                    " (rate(ringfence_suspender_actions_total[$__rate_interval]))",
                    "{{server}} {{result}}",
                ),
            ),
        ),
        Panel(
            "Not confirmed yet",
            "Switches that are wanted, by what is wanted.",
            (Query("max by (wanted) (ringfence_services_open)", "{{wanted}}"),),
        ),
    ),
)
_STATE = Row(
    "What is off",
    (
        Panel(
            "Elements off",
            "Gateways, extensions, domains and peers that were switched off, by server.",
            (Query("max by (server) (ringfence_suspender_elements_off)", "{{server}}"),),
        ),
        Panel(
            "Drift",
            "Elements found on though they were switched off, per hour; and those that wait for"
            " a switch though no service is due.",
            (
                Query(
                    "sum by (server) (increase(ringfence_suspender_drift_total[1h]))",
                    "found on, {{server}}",
                ),
                Query("max by (server) (ringfence_suspender_loose_elements)", "wait, {{server}}"),
            ),
        ),
        Panel(
            "Clients held for funds",
            "Live clients to whom a funds hold applies.",
            (Query("max(ringfence_suspender_clients_held)", "clients"),),
        ),
        Panel(
            "Age of the inventory",
            "Since a server was last read as a whole.",
            (Query("max by (server) (ringfence_suspender_inventory_age_seconds)", "{{server}}"),),
            unit="s",
        ),
    ),
)
_MAILS = Row(
    "Mails",
    (
        Panel(
            "From event to SMTP",
            "The middle and the slowest hundredth.",
            (
                Query(quantile(0.5, "ringfence_mail_seconds"), "p50"),
                Query(quantile(0.99, "ringfence_mail_seconds"), "p99"),
            ),
            unit="s",
        ),
        Panel(
            "Mails by outcome",
            "Per hour.",
            (
                Query(
                    "sum by (template, outcome) (increase(ringfence_mails_total[1h]))",
                    "{{template}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Oldest mail that waits",
            "By state.",
            (Query("max by (state) (ringfence_mail_oldest_unsent_seconds)", "{{state}}"),),
            unit="s",
        ),
    ),
)
BOARD = Board(
    "ringfence-reaction",
    "ringfence: reaction",
    "How quickly telephones and mails follow the money, and what is in the way.",
    (_NOW, _SWITCHING, _STATE, _MAILS),
)
