"""What templates can name, and the values: a client, and money as it stood at the crossing.

The names are WHMCS's, and so is their form: `client_credit` is a bare number, for templates write
the dollar sign themselves; `client_due_invoices_balance` comes with its currency; a custom field
is shown as it was typed (domain/billing, section 8).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ringfence.events.account import OperatingMode
from ringfence.money import format_cents

_CENT_MICRO = 10_000
_SIGNS = {"EUR": "€", "GBP": "£"} | dict.fromkeys(("CAD", "USD", "AUD", "NZD", "MXN", "SGD"), "$")


@dataclass(frozen=True)
class Account:
    """Who the client is and how to reach them: the notifier's own copy of `account.changed`.

    `prepaid`: the client has VoIP service with a prepaid product. `live_since`: when the client
    last left shadow mode, None if that was never seen. `language` is a code such as `fr`, empty
    for the installation's. `cc` are further addresses that get each mail. `custom_fields` are the
    client's own, by the names that were typed.
    """

    account_id: str
    version: int
    first_name: str
    last_name: str
    company_name: str
    email: str
    wants_mail: bool
    low_balance_threshold: str
    threshold_micro: int | None
    mode: OperatingMode = "live"
    prepaid: bool = True
    live_since: datetime | None = None
    language: str = ""
    time_zone: str = "UTC"
    cc: tuple[str, ...] = ()
    custom_fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Funds:
    """An account's money as the event tells it; a balance that no event told is none: zero."""

    balance_micro: int
    outstanding_micro: int
    currency: str


def custom_field(name: str) -> str:
    """The merge field of a client profile field: lower case, letters and digits alone."""
    return "client_custom_field_" + re.sub(r"[^a-z0-9]", "", name.lower())


def merge_values(account: Account, funds: Funds) -> dict[str, str]:
    """The value of every merge field."""
    return {
        "client_id": account.account_id,
        "client_first_name": account.first_name,
        "client_last_name": account.last_name,
        "client_name": _full_name(account),
        "client_email": account.email,
        "client_company_name": account.company_name,
        "client_credit": format_cents(funds.balance_micro),
        "client_due_invoices_balance": _with_currency(funds.outstanding_micro, funds.currency),
        custom_field("Low Balance Threshold"): account.low_balance_threshold,
    }


def _full_name(account: Account) -> str:
    company = f"({account.company_name})" if account.company_name else ""
    return " ".join(filter(None, (account.first_name, account.last_name, company)))


def _with_currency(debt_micro: int, currency: str) -> str:
    """A debt is rounded up: who owes 0.004 must not read that nothing is owed."""
    cents = -(-debt_micro // _CENT_MICRO)
    return f"{_SIGNS.get(currency, '')}{format_cents(cents * _CENT_MICRO)} {currency}"


SAMPLE_ACCOUNT = Account(
    account_id="1042",
    version=1,
    first_name="Ada",
    last_name="Moreau",
    company_name="Moreau & Daughters",
    email="ada@example.net",
    wants_mail=True,
    low_balance_threshold="15",
    threshold_micro=15_000_000,
)
SAMPLE_FUNDS = Funds(balance_micro=8_000_000, outstanding_micro=16_880_000, currency="CAD")

MERGE_FIELDS = frozenset(merge_values(SAMPLE_ACCOUNT, SAMPLE_FUNDS))
WITH_CURRENCY = frozenset({"client_due_invoices_balance"})
MONEY_FIELDS = WITH_CURRENCY | {"client_credit"}
