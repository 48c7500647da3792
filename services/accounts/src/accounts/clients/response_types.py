"""The types of responses about clients. Pure."""

from datetime import datetime
from typing import Any

from accounts.answers import Answer, PageAnswer


class OrderShown(Answer):
    """An order in force."""

    kind: str


class OrderList(Answer):
    """The orders of a client that are in force."""

    items: list[OrderShown]


class DepartedProduct(Answer):
    """A product that was removed and of which something is still off."""

    product: str
    server: str
    confirmed: str | None
    since: datetime | None
    proven: bool | None
    last_error: str | None
    words: str


class ClientAnswer(Answer):
    """A client: the fields that PUT takes, and the state that ringfence adds."""

    account_id: str
    version: int
    currency: str
    time_zone: str
    first_name: str
    last_name: str
    email: str
    opening_balance: str | None
    mode: str
    orders: list[OrderShown]
    outstanding_micro: int
    outstanding: str
    credit_limit_micro: int
    credit_limit: str
    balance_micro: int | None
    balance: str | None
    level: str | None
    held: bool
    state: str
    would: str | None
    reason: str
    since: datetime | None
    brings_back: str
    suspension_failures: dict[str, str]
    imported: bool
    departed: list[DepartedProduct]


class ListedClient(ClientAnswer):
    """A client in a list, with its burn.

    `pace` is what it uses a day: the mean of the last 7 days, or the last 24 hours where that was
    faster. `out_at` is when its credit is used up at this pace; null where that is more than a year
    away, and where it is used up.
    """

    pace_micro: int
    pace: str
    out_at: datetime | None


class ClientPage(PageAnswer):
    """Clients, by their ids."""

    items: list[ListedClient]


class ChangedClient(ClientAnswer):
    """A client after a change, and what the change does."""

    what_happens: str
    warnings: list[str]


class ChangedOutstanding(ChangedClient):
    """A client after its debts were sent; `applied` is false if newer ones are known."""

    applied: bool


class ChangedMode(ChangedClient):
    """A client after a change of its mode; `adopts` counts what counts as switched off by us."""

    adopts: int


class ProductLine(Answer):
    """Why one product is on or off."""

    product: str
    server: str
    state: str
    desired: str | None
    confirmed: str | None
    proven: bool | None
    emergency: str | None
    ended_calls: list[str]
    since: datetime | None
    holds: list[str]
    words: str


class ClientExplanation(Answer):
    """Why a client is on or off: a line for each product, and sentences about the client."""

    account_id: str
    state: str
    would: str | None
    mode: str
    lines: list[ProductLine]
    departed: list[DepartedProduct]
    words: list[str]


class AuditLine(Answer):
    """Who changed what, when and why."""

    at: datetime
    who: str
    what: str
    reason: str
    version: int | None
    before: Any
    after: Any


class AuditPage(PageAnswer):
    """Audit entries, the newest first."""

    items: list[AuditLine]
