"""The responses: explanations of calls, and statements of accounts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from accounts.explanations.history import CallHistory, CallOutcome, StoredRow
from accounts.explanations.statement import LedgerRange, what_of
from accounts.explanations.wording import LabelledText, of_call, of_payment
from accounts.paging import encode_cursor
from ringfence_contracts.money import format_micro

PostedKind = Literal["charge", "top-up", "adjustment", "reversal"]


class ExplanationLine(BaseModel):
    """A line for people. `at` is the instant where `text` is one, so that it can be shown in any
    zone. A line with an empty label separates two parts.
    """

    label: str
    text: str
    at: datetime | None


class ExplainedEntry(BaseModel):
    """A ledger entry of a call, or a payment. `explanation` is how it was priced, as in
    `call.rated`, or the reference of a payment; `reversed_by` is the entry that gave it back.
    """

    entry_id: UUID
    account_id: str
    version: int
    kind: PostedKind
    amount_micro: int
    amount: str
    balance_after_micro: int
    balance_after: str
    currency: str
    occurred_at: datetime
    posted_at: datetime
    reverses: UUID | None
    reversed_by: UUID | None
    explanation: dict[str, Any]


class NotBilledFacts(BaseModel):
    """The rule by which a call costs nothing; `detail` has what the rule used."""

    account_id: str
    service_id: str
    reason: str
    hidden: bool
    started_at: datetime
    posted_at: datetime
    detail: dict[str, Any]


class UnratedFacts(BaseModel):
    """Why a call waits to be rated."""

    server_id: str
    tenant: str
    reason: str
    detail: str
    account_id: str | None
    service_id: str | None
    billsec: int
    started_at: datetime
    queued_at: datetime


class DeadFacts(BaseModel):
    """Why a record could not be read, and how it begins."""

    reason: str
    died_at: datetime
    record_start: str


class AcceptedFacts(BaseModel):
    """What cdr-ingest recorded of a call: published, b-leg or dead."""

    server_id: str
    tenant: str
    source: str
    disposition: str
    reason: str
    started_at: datetime | None
    accepted_at: datetime


class CallExplanation(BaseModel):
    """What became of a call, or of a payment: facts, and the same in words.

    `call_id` is null for a payment. `entries` has all charges and reversals of a call: of a call
    that was re-rated, the last charge counts.
    """

    call_id: UUID | None
    outcome: CallOutcome | Literal["top-up", "adjustment"]
    entries: list[ExplainedEntry]
    not_billed: NotBilledFacts | None
    unrated: UnratedFacts | None
    dead: DeadFacts | None
    accepted: AcceptedFacts | None
    lines: list[ExplanationLine]


class StatementEntry(BaseModel):
    """A ledger entry, what it is for, and the balance after it."""

    version: int
    entry_id: UUID
    kind: PostedKind
    what: str
    occurred_at: datetime
    posted_at: datetime
    amount_micro: int
    amount: str
    balance_micro: int
    balance: str


class Statement(BaseModel):
    """How a balance came about: opening + sum = closing.

    `entries_in_range` and `sum` count all entries of the period, also those that `kind` or `limit`
    leave out. `entries` are ascending; `next` leads to earlier ones. `balance` is the balance now;
    `differs` says why the ledger does not prove it, and is empty if it does.
    """

    account_id: str
    currency: str
    opening_micro: int
    opening: str
    entries: list[StatementEntry]
    next: str | None
    entries_in_range: int
    sum_micro: int
    sum: str
    closing_micro: int
    closing: str
    balance_micro: int
    balance: str
    differs: str = Field(description="empty: the entries add up to the balance")


def call_explanation(history: CallHistory) -> CallExplanation:
    """The response for a call about which something is stored."""
    parts = {name: getattr(history, name) for name in _PARTS}
    return CallExplanation.model_validate(
        {
            "call_id": history.call_id,
            "outcome": history.outcome,
            "entries": [_entry(row, history.reversal_of(row)) for row in history.entries],
            "lines": _lines(of_call(history)),
            **parts,
        }
    )


def payment_explanation(row: StoredRow) -> CallExplanation:
    """The response for the entry of a payment."""
    return CallExplanation.model_validate(
        {
            "call_id": None,
            "outcome": row["kind"],
            "entries": [_entry(row, None)],
            "lines": _lines(of_payment(row)),
            **dict.fromkeys(_PARTS),
        }
    )


_PARTS = ("not_billed", "unrated", "dead", "accepted")


def _entry(row: StoredRow, reversal: StoredRow | None) -> dict[str, Any]:
    return {
        **row,
        "amount": format_micro(row["amount_micro"]),
        "balance_after": format_micro(row["balance_after_micro"]),
        "reversed_by": reversal and reversal["entry_id"],
    }


def _lines(lines: Iterable[LabelledText]) -> list[dict[str, Any]]:
    return [line._asdict() for line in lines]


def statement_of(account_id: str, currency: str, found: LedgerRange, limit: int) -> Statement:
    """The response for an account; of `limit + 1` entries the first shows that there are more."""
    shown = found.entries[-limit:]
    more = len(found.entries) > limit
    return Statement(
        account_id=account_id,
        currency=currency,
        opening_micro=found.opening.balance_micro,
        opening=format_micro(found.opening.balance_micro),
        entries=[_statement_entry(row) for row in shown],
        next=encode_cursor(shown[0]["version"]) if more else None,
        entries_in_range=found.number,
        sum_micro=found.sum_micro,
        sum=format_micro(found.sum_micro),
        closing_micro=found.closing.balance_micro,
        closing=format_micro(found.closing.balance_micro),
        balance_micro=found.balance.balance_micro,
        balance=format_micro(found.balance.balance_micro),
        differs=found.difference,
    )


def _statement_entry(row: StoredRow) -> StatementEntry:
    return StatementEntry(
        version=row["version"],
        entry_id=row["entry_id"],
        kind=row["kind"],
        what=what_of(row["kind"], row["explanation"]),
        occurred_at=row["occurred_at"],
        posted_at=row["posted_at"],
        amount_micro=row["amount_micro"],
        amount=format_micro(row["amount_micro"]),
        balance_micro=row["balance_after_micro"],
        balance=format_micro(row["balance_after_micro"]),
    )
