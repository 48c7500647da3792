"""The types of reports. Amounts are given in micro-units and as decimal texts. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.answers import Answer, PageAnswer


class BalanceAnswer(Answer):
    """A client's credit; `version` counts its postings."""

    account_id: str
    balance_micro: int
    balance: str
    version: int
    currency: str
    updated_at: datetime | None


class LedgerLine(Answer):
    """One entry of a ledger, with the balance after it."""

    entry_id: UUID
    account_id: str
    version: int
    kind: str
    amount_micro: int
    amount: str
    balance_after_micro: int
    balance_after: str
    occurred_at: datetime
    posted_at: datetime
    explanation: Any
    cause_id: UUID | None


class LedgerPage(PageAnswer):
    """Entries, the newest first."""

    items: list[LedgerLine]


class CallLine(Answer):
    """One call, with its outcome, cost and explanation."""

    call_id: UUID
    account_id: str
    service_id: str
    outcome: str
    reason: str
    cost_micro: int
    cost: str
    direction: str
    number: str
    billsec: int
    started_at: datetime
    explanation: Any


class CallPage(PageAnswer):
    """Calls, the newest first."""

    items: list[CallLine]


class ServiceLine(Answer):
    """The desired and the confirmed state of one service."""

    service_id: str
    account_id: str
    server_id: str
    wanted: str | None
    confirmed: str | None
    since: datetime | None
    last_error: str | None
    next_attempt_at: datetime | None
    would: str | None
    live: bool | None
    holds: list[str] | None
    proven: bool | None
    departed: bool | None
    ended_calls: list[str]
    emergency: str | None


class ServicePage(PageAnswer):
    """Services, by their ids."""

    items: list[ServiceLine]


class UnratedLine(Answer):
    """A call that waits to be rated, with the reason."""

    call_id: UUID
    server_id: str
    tenant: str
    reason: str
    detail: str
    billsec: int
    started_at: datetime
    queued_at: datetime


class UnratedPage(PageAnswer):
    """Calls that wait, the oldest first."""

    items: list[UnratedLine]
