"""The merge fields of templates and their values, from a client and the client's funds.

Names and formats are WHMCS's: `client_credit` is a bare number, because templates write the dollar
sign themselves; `client_due_invoices_balance` includes its currency; a custom field is shown as it
was typed (domain/billing, section 8). A sign before an amount is replaced by that of the client's
currency (`notifier.words.values`).

Pure: without clock, socket, database or logger.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from notifier.words.amounts import (
    credit_amount,
    date_shown,
    debt_amount,
    locale_of,
    threshold_amount,
    time_shown,
)
from notifier.words.values import Lines, MergeValue
from ringfence_contracts.events.account import OperatingMode

_CUSTOM_FIELD = re.compile(r"client_custom_field_[a-z0-9]+", re.ASCII)


@dataclass(frozen=True)
class ClientAccount:
    """The notifier's copy of the client's data in `account.changed`.

    `prepaid`: the client has VoIP service with a prepaid product. `live_since` is when the client
    last left shadow mode, None if that was never consumed. `language` is a code such as `fr`, empty
    for the installation's default. `cc` are further addresses that get each mail. `custom_fields`
    are the client's own, by the names that were typed.
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
class ClientFunds:
    """An account's balance and debts in micro-units, and the currency."""

    balance_micro: int
    outstanding_micro: int
    currency: str


@dataclass(frozen=True)
class MailContext:
    """Values that do not come from the client's account: company, links, language, time.

    `off` is the word for a threshold that is off. `at` is the time of the event that the mail is
    about. `service_is_off`: the PBX confirmed that the service is off.
    """

    language: str = "en"
    company_name: str = ""
    company_logo_url: str = ""
    signature: str = ""
    pay_link: str = ""
    unsubscribe_url: str = ""
    client_page_link: str = ""
    off: str = "off"
    at: datetime | None = None
    service_is_off: bool = True


def custom_field(name: str) -> str:
    """The merge field of a client profile field: lower case, only letters and digits."""
    return "client_custom_field_" + re.sub(r"[^a-z0-9]", "", name.lower())


def is_merge_field(name: str) -> bool:
    """Whether `name` is a merge field; any well-formed custom field is one."""
    return name in MERGE_FIELDS or _CUSTOM_FIELD.fullmatch(name) is not None


def merge_values(
    account: ClientAccount, funds: ClientFunds, general: MailContext | None = None
) -> dict[str, MergeValue]:
    """The value of every merge field."""
    general = general or MailContext()
    locale = locale_of(account.language or general.language, funds.currency)
    custom = {custom_field(name): value for name, value in account.custom_fields.items()}
    at = general.at
    return custom | {
        "client_id": account.account_id,
        "client_first_name": account.first_name,
        "client_last_name": account.last_name,
        "client_name": full_name(account.first_name, account.last_name, account.company_name),
        "client_email": account.email,
        "client_company_name": account.company_name,
        "client_currency": funds.currency,
        "client_language": account.language or general.language,
        "client_credit": credit_amount(funds.balance_micro, funds.currency, locale),
        "client_due_invoices_balance": debt_amount(funds.outstanding_micro, funds.currency, locale),
        THRESHOLD: threshold_amount(
            account.threshold_micro, funds.currency, locale, off=general.off
        ),
        "company_name": general.company_name,
        "company_logo_url": general.company_logo_url,
        "signature": Lines(general.signature),
        "pay_link": general.pay_link,
        "unsubscribe_url": general.unsubscribe_url,
        "client_page_link": general.client_page_link,
        "service_is_off": "1" if general.service_is_off else "",
        "date": date_shown(at, locale, account.time_zone) if at else "",
        "time": time_shown(at, locale, account.time_zone) if at else "",
    }


def full_name(first_name: str, last_name: str, company_name: str) -> str:
    """A client's name as WHMCS writes it: "First Last (Company)"."""
    company = f"({company_name})" if company_name else ""
    return " ".join(filter(None, (first_name, last_name, company)))


THRESHOLD = custom_field("Low Balance Threshold")
SAMPLE_ACCOUNT = ClientAccount(
    account_id="1042",
    version=1,
    first_name="Ada",
    last_name="Moreau",
    company_name="Moreau & Daughters",
    email="ada@example.net",
    wants_mail=True,
    low_balance_threshold="15",
    threshold_micro=15_000_000,
    time_zone="America/Toronto",
)
SAMPLE_FUNDS = ClientFunds(balance_micro=8_000_000, outstanding_micro=16_880_000, currency="CAD")

MERGE_FIELDS = frozenset(merge_values(SAMPLE_ACCOUNT, SAMPLE_FUNDS))
MONEY_FIELDS = frozenset({"client_credit", "client_due_invoices_balance", THRESHOLD})
PROFILE_FIELDS = frozenset(
    custom_field(name)
    for name in (
        "Has VoIP Service",
        "Manual VoIP Suspend",
        "VoIP Suspended",
        "Low Balance Threshold",
        "Auto VoIP Top Amount",
        "CC Auth on File",
        "Date CC Auth Entered",
    )
)
"""The custom fields of the client profile (domain/billing, section 1)."""
