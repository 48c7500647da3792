"""What a client is shown of itself: nothing of what the operator pays or writes down. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from accounts.clients.account import Account
from accounts.explanations.answers import ExplanationLine, PostedKind, Statement, StatementEntry
from accounts.explanations.history import CallHistory
from accounts.explanations.wording import for_client, words_for_client
from accounts.own.wording import ServiceWords
from ringfence_contracts.money import format_micro


class OwnMails(BaseModel):
    """Which mails the client gets. `low_balance_threshold` blank: none about low credit."""

    wants_mail: bool
    language: str
    low_balance_threshold: str


class OwnProduct(BaseModel):
    """A product, and whether it is on as far as is known; null: nothing was switched yet."""

    name: str
    is_on: bool | None


class OwnPage(BaseModel):
    """A client's credit, its service in its own words, and its mails.

    `out_at`: when its credit is used up at the pace of the last days; null: not within a year.
    """

    account_id: str
    name: str
    email: str
    currency: str
    time_zone: str
    balance_micro: int
    balance: str
    outstanding_micro: int
    outstanding: str
    credit_limit_micro: int
    credit_limit: str
    credit_micro: int
    credit: str
    pace_micro: int
    pace: str
    out_at: datetime | None
    state: Literal["on", "off", "changing", "none"]
    words: list[str]
    products: list[OwnProduct]
    mails: OwnMails
    may_change: bool


class OwnCall(BaseModel):
    """A call of the client; `words` say why it costs nothing, where it was not billed."""

    call_id: UUID
    started_at: datetime
    direction: str
    number: str
    billsec: int
    cost_micro: int
    cost: str
    product: str
    words: str


class OwnCallPage(BaseModel):
    """Calls, the newest first."""

    items: list[OwnCall]
    next: str | None
    count: int | None


class OwnExplanation(BaseModel):
    """How a call was priced, by the client's own price."""

    call_id: UUID
    currency: str
    cost_micro: int
    cost: str
    lines: list[ExplanationLine]


class OwnStatementEntry(BaseModel):
    """An entry; `call_id` is that of a charged call."""

    call_id: UUID | None
    kind: PostedKind
    what: str
    occurred_at: datetime
    amount_micro: int
    amount: str
    balance_micro: int
    balance: str


class OwnStatement(BaseModel):
    """How the balance came about: opening + sum = closing; entries ascending, `next`: earlier."""

    currency: str
    opening_micro: int
    opening: str
    entries: list[OwnStatementEntry]
    next: str | None
    entries_in_range: int
    sum_micro: int
    sum: str
    closing_micro: int
    closing: str


class OwnPrice(BaseModel):
    """What a minute to a number costs. `band`: in these hours of the week; empty: otherwise.

    `rate` null: calls to this number cannot be priced; `per_call` are amounts of each call.
    """

    product: str
    band: str
    destination: str
    rate: str | None
    currency: str
    first_s: int
    then_s: int
    per_call: list[str]


class OwnPrices(BaseModel):
    """The prices of a number, for each product."""

    number: str
    items: list[OwnPrice]


def own_page(
    account: Account, burn: Mapping[str, Any], words: ServiceWords, *, may_change: bool,
    balance_micro: int, products: Sequence[tuple[str, bool | None]],
) -> OwnPage:  # fmt: skip
    """A client's page; `burn` is as in `GET /v1/clients/{account_id}/burn`."""
    client = account.client
    return OwnPage(
        account_id=account.account_id,
        name=client.company_name or f"{client.first_name} {client.last_name}".strip(),
        email=client.email,
        currency=account.currency,
        time_zone=account.time_zone,
        balance_micro=balance_micro,
        balance=format_micro(balance_micro),
        outstanding_micro=account.outstanding_micro,
        outstanding=format_micro(account.outstanding_micro),
        credit_limit_micro=account.credit_limit_micro,
        credit_limit=format_micro(account.credit_limit_micro),
        credit_micro=burn["credit_micro"],
        credit=burn["credit"],
        pace_micro=burn["pace_micro"],
        pace=burn["pace"],
        out_at=burn["out_at"],
        state=words.state,
        words=list(words.lines),
        products=[OwnProduct(name=name, is_on=is_on) for name, is_on in products],
        mails=OwnMails(
            wants_mail=client.wants_mail,
            language=client.language,
            low_balance_threshold=account.profile.low_balance_threshold,
        ),
        may_change=may_change,
    )


def own_calls(found: Mapping[str, Any]) -> OwnCallPage:
    """A page of calls, without what prices them for the operator."""
    items = [
        OwnCall(
            call_id=row["call_id"],
            started_at=row["started_at"],
            direction=row["direction"],
            number=row["number"],
            billsec=row["billsec"],
            cost_micro=row["cost_micro"],
            cost=row["cost"],
            product=row["service_id"],
            words="" if row["outcome"] == "rated" else words_for_client(row["reason"]),
        )
        for row in found["items"]
    ]
    return OwnCallPage(items=items, next=found["next"], count=found.get("count"))


def own_explanation(history: CallHistory, account: Account) -> OwnExplanation | None:
    """A call of this client; None where the client has no part in it, or it is hidden from it.

    Of a call that was charged to another client first, only this client's entries count.
    """
    own = account.account_id
    entries = [row for row in history.entries if row["account_id"] == own]
    not_billed = history.not_billed
    if not_billed is not None and (not_billed["account_id"] != own or not_billed["hidden"]):
        not_billed = None
    if not entries and not_billed is None:
        return None
    shown = CallHistory(history.call_id, entries, not_billed, None, None, None)
    cost_micro = -sum(row["amount_micro"] for row in entries)
    return OwnExplanation(
        call_id=history.call_id,
        currency=account.currency,
        cost_micro=cost_micro,
        cost=format_micro(cost_micro),
        lines=[ExplanationLine(**line._asdict()) for line in for_client(shown)],
    )


def own_statement(found: Statement, calls: Mapping[UUID, UUID]) -> OwnStatement:
    """A statement; `calls` are the calls of charges, by the charge's entry."""
    shown = found.model_dump(exclude={"account_id", "entries"})
    entries = [_own_entry(entry, calls.get(entry.entry_id)) for entry in found.entries]
    facts = {name: value for name, value in shown.items() if name in OwnStatement.model_fields}
    return OwnStatement(**facts, entries=entries)


def _own_entry(entry: StatementEntry, call_id: UUID | None) -> OwnStatementEntry:
    what = "a call is priced again" if entry.kind == "reversal" else entry.what
    facts = entry.model_dump(include=set(OwnStatementEntry.model_fields))
    return OwnStatementEntry(**{**facts, "what": what}, call_id=call_id)
