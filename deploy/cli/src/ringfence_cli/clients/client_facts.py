"""Prints a client: a line for each field that is not empty."""

from collections.abc import Mapping
from typing import Any

from ringfence_cli.tables import show_facts, show_warnings

_FACTS = (
    "account_id", "first_name", "last_name", "company_name", "email", "wants_mail", "language",
    "cc", "custom_fields", "currency", "time_zone", "has_voip_service", "mode", "leave_off",
    "balance", "level", "credit_limit", "low_balance_threshold", "outstanding",
    "outstanding_as_of", "state", "would", "reason", "since", "brings_back",
    "manual_voip_suspend", "voip_suspended", "suspension_failures", "version",
)  # fmt: skip


def show_client_facts(found: Mapping[str, Any]) -> None:
    """Print the fields of a client that are not empty; its warnings on standard error."""
    show_warnings(found)
    facts = {name: found.get(name) for name in _FACTS}
    if not found["leave_off"]:
        del facts["leave_off"]
    shown = {name: value for name, value in facts.items() if value not in (None, "", [], {})}
    show_facts(shown, as_json=False)
