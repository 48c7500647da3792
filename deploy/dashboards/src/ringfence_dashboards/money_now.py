"""Money now: who is low or off, what is owed, what came in and what was charged."""

from ringfence_dashboards.board import Board, Panel, Query, Row, money


def posted(selector: str, window: str) -> str:
    """What was posted in a window, by currency."""
    series = f"ringfence_ledger_micro_total{{{selector}}}"
    return money(f"sum by (currency) (increase({series}[{window}]))")


_NOW = Row(
    "Now",
    (
        Panel(
            "Off",
            "Services that the PBX was last read back to have off.",
            (Query("max(ringfence_services_off)"),),
            kind="stat",
        ),
        Panel(
            "Would be off",
            "Services of clients in mode shadow that would be off if the clients were live.",
            (Query("max(ringfence_services_would_be_off)"),),
            kind="stat",
        ),
        Panel(
            "Low",
            "Live clients below their threshold who still have credit.",
            (Query('max(ringfence_clients{level="low", mode="live"})'),),
            kind="stat",
        ),
        Panel(
            "Unrated calls",
            "Calls that wait for a product or a price.",
            (Query("sum(max by (reason) (ringfence_unrated_calls))"),),
            kind="stat",
            bad_from=1,
        ),
        Panel(
            "Owed",
            "The sum of all balances below zero.",
            (Query(money("max by (currency) (ringfence_exposure_micro)"), "{{currency}}"),),
            kind="stat",
        ),
        Panel(
            "Charged, 24 h",
            "Charges that were posted in the last 24 hours.",
            (Query(posted('kind="charge"', "24h"), "{{currency}}"),),
            kind="stat",
        ),
        Panel(
            "Topped up, 24 h",
            "Top-ups that were posted in the last 24 hours.",
            (Query(posted('kind="top-up", way="in"', "24h"), "{{currency}}"),),
            kind="stat",
        ),
        Panel(
            "Prepaid",
            "The sum of all balances above zero: what clients have still to be served for.",
            (Query(money("max by (currency) (ringfence_prepaid_micro)"), "{{currency}}"),),
            kind="stat",
        ),
    ),
)
_CLIENTS = Row(
    "Clients",
    (
        Panel(
            "Live clients by level",
            "Unknown: no balance was seen yet.",
            (Query('max by (level) (ringfence_clients{mode="live"})', "{{level}}"),),
            stacked=True,
        ),
        Panel(
            "Services off by reason",
            "A service that two holds keep off counts under both.",
            (Query("max by (reason) (ringfence_services_off_by_reason)", "{{reason}}"),),
        ),
        Panel(
            "Clients in debt and without funds",
            "In debt: balance below zero, by currency. Without funds: a funds hold applies, by"
            " mode; those in shadow keep their service.",
            (
                Query("max by (currency) (ringfence_clients_in_debt)", "in debt, {{currency}}"),
                Query("max by (mode) (ringfence_clients_without_funds)", "without funds, {{mode}}"),
            ),
        ),
    ),
)
_FLOW = Row(
    "Money in and out",
    (
        Panel(
            "Charges per hour",
            "By currency.",
            (Query(posted('kind="charge"', "1h"), "{{currency}}"),),
        ),
        Panel(
            "Top-ups and adjustments per hour",
            "By currency; what lowers balances has a name of its own.",
            (
                Query(posted('kind=~"top-up|adjustment", way="in"', "1h"), "in, {{currency}}"),
                Query(posted('kind=~"top-up|adjustment", way="out"', "1h"), "out, {{currency}}"),
            ),
        ),
        Panel(
            "Owed",
            "The sum of all balances below zero, by currency.",
            (Query(money("max by (currency) (ringfence_exposure_micro)"), "{{currency}}"),),
        ),
    ),
)
_NOT_CHARGED = Row(
    "Not charged yet",
    (
        Panel(
            "Unrated calls by reason",
            "docs/runbooks/unrated-calls.md",
            (Query("max by (reason) (ringfence_unrated_calls)", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Unrated talk time",
            "Nobody was charged for it yet.",
            (Query("max by (reason) (ringfence_unrated_talk_seconds)", "{{reason}}"),),
            unit="s",
            stacked=True,
        ),
        Panel(
            "Longest wait",
            "Of unrated calls, by reason, and of dead ones.",
            (
                Query("max by (reason) (ringfence_unrated_age_seconds)", "{{reason}}"),
                Query("max(ringfence_dead_oldest_seconds)", "dead"),
            ),
            unit="s",
        ),
        Panel(
            "Dead calls",
            "Calls that cannot be read: docs/runbooks/dead-letters.md",
            (Query("max(ringfence_dead_calls)", "dead calls"),),
        ),
    ),
)
BOARD = Board(
    "ringfence-money",
    "ringfence: money now",
    "Who is low or off, what is owed, what came in and what was charged.",
    (_NOW, _CLIENTS, _FLOW, _NOT_CHARGED),
)
