"""What a client sees of a call: its own part, and nothing of another client's."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from accounts.clients.account import Account
from accounts.explanations.history import CallHistory
from accounts.own.answers import own_explanation
from ringfence_contracts.events.account import Client

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CALL = UUID(int=1)
MINE = Account(
    account_id="1001", currency="CAD", client=Client(first_name="Anna", email="anna@example.com")
)


def charge(number: int, account_id: str, dialled: str) -> dict[str, Any]:
    """A charge of 0.05 for one minute, without a markup."""
    return {
        "entry_id": UUID(int=number), "account_id": account_id, "version": number,
        "kind": "charge", "amount_micro": -50_000, "balance_after_micro": 0, "cause_id": CALL,
        "reverses": None, "occurred_at": NOON, "posted_at": NOON, "currency": "CAD",
        "explanation": {
            "number": dialled, "direction": "outbound", "started_at": NOON.isoformat(),
            "billsec": 60, "billed_s": 60, "free_s": 0, "service_id": "svc",
            "explanation": {
                "rate_per_min": "0.05", "markup_percent": "100", "increment": "60/60",
                "connection_fee": "0", "description": "Toronto", "number": dialled,
                "tariff_id": "carrier", "tariff_version": 7,
            },
        },
    }  # fmt: skip


def not_billed(account_id: str, *, hidden: bool) -> dict[str, Any]:
    """A call that was not answered."""
    return {
        "account_id": account_id, "service_id": "svc", "reason": "unanswered", "hidden": hidden,
        "started_at": NOON, "posted_at": NOON,
        "detail": {"number": "14165550100", "direction": "outbound", "billsec": 0,
                   "started_at": NOON.isoformat(), "explanation": {}},
    }  # fmt: skip


def seen(*entries: dict[str, Any], free: dict[str, Any] | None = None) -> str | None:
    """The lines of the call as MINE sees it; None: it does not exist for it."""
    waiting = {"tenant": "secret tenant", "reason": "unknown-product", "detail": "secret detail"}
    history = CallHistory(CALL, entries, free, waiting, {"reason": "secret"}, None)
    found = own_explanation(history, MINE)
    return None if found is None else " ".join(f"{line.label} {line.text}" for line in found.lines)


def test_of_a_call_that_another_client_was_charged_for_first_one_s_own_part_is_seen() -> None:
    words = seen(charge(1, "other", "15195559999"), charge(2, "1001", "14165550100"))
    assert words is not None
    assert "14165550100" in words
    assert words.count("price") == 1
    for hidden in ("15195559999", "secret", "carrier", "tariff"):
        assert hidden not in words


def test_a_call_of_another_client_or_hidden_by_the_package_does_not_exist() -> None:
    assert seen(charge(1, "other", "15195559999")) is None
    assert seen(free=not_billed("other", hidden=False)) is None
    assert seen(free=not_billed("1001", hidden=True)) is None
    assert seen() is None


def test_why_a_call_costs_nothing_is_in_the_client_s_words() -> None:
    words = seen(free=not_billed("1001", hidden=False))
    assert words is not None
    assert "nothing: it was not answered" in words
