"""What a change of mode does to each client of a wave. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from accounts.clients.answers import client_shown, situation_of
from accounts.clients.overview.row import ClientRow
from accounts.clients.wording import ClientSituation, adoption_words, holds_of, reason
from ringfence_contracts.events.account import OperatingMode

NO_POSTING = "nothing was posted yet, so the credit is not known: give its opening balance first"
_SHOWN = (
    "account_id", "first_name", "last_name", "company_name", "currency", "balance_micro", "balance",
    "mode", "state", "would", "level", "reason",
)  # fmt: skip


def wave_of(
    rows: Sequence[ClientRow],
    to: OperatingMode,
    now: datetime,
    *,
    unposted: Collection[str],
    adopts: Mapping[str, int],
) -> list[dict[str, Any]]:
    """The clients in the order of `rows`, each with the outcome of a change to the mode `to`.

    `unposted` are those without any posting; `adopts` counts what would be adopted, by client.
    """
    return [
        _client(
            row,
            to,
            now,
            posted=row.account.account_id not in unposted,
            adopts=adopts.get(row.account.account_id, 0) if to == "live" else 0,
        )
        for row in rows
    ]


def _client(
    row: ClientRow, to: OperatingMode, now: datetime, *, posted: bool, adopts: int
) -> dict[str, Any]:
    if row.account.mode == to:
        outcome, words = "same", "nothing changes: it is so already"
    elif to == "live":
        outcome, words = _live(situation_of(row, now), row, posted=posted)
    else:
        outcome, words = _shadow(row)
    if adopts and outcome != "refused":
        words = f"{words}; {adoption_words(adopts)}"
    shown = client_shown(row, now)
    return {
        **{name: shown[name] for name in _SHOWN},
        "outcome": outcome,
        "what_happens": words,
        "adopts": adopts,
    }


def _live(situation: ClientSituation, row: ClientRow, *, posted: bool) -> tuple[str, str]:
    if not posted:
        return "refused", NO_POSTING
    if row.state == "no-service":
        return "none", "nothing is switched: it has no VoIP service"
    if row.would != "off":
        return "on", "it stays on"
    why = reason(situation)
    holds = {hold.kind for each in situation.products for hold in holds_of(situation, each)}
    if situation.funds.braked and holds == {"funds"}:
        return "on", f"it stays on until the brake is released: {why}"
    return "off", f"it is switched off: {why}"


def _shadow(row: ClientRow) -> tuple[str, str]:
    if row.state == "no-service":
        return "none", "nothing is switched: it has no VoIP service"
    if row.state in ("off", "switching", "failed"):
        return "on", "what ringfence switched off is switched on again"
    return "on", "it stays on"
