"""Clients, their profiles, products and packages: the whole state in one record per account."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from ringfence_contracts.events.model import (
    Count,
    Currency,
    EventData,
    Id,
    Instant,
    Micro,
    Number,
    Text,
)
from ringfence_contracts.extension_ranges import RANGE_PATTERN

YesNoNone = Literal["Yes", "No", "None"]
WrittenBy = Literal["us", "person", "import", ""]
OrderKind = Literal["manual", "forced", "whmcs", "exemption"]
"""What an order does, whatever the credit is (architecture, section 4)."""

Way = Literal["extensions", "gateway", "domain", "outbound"]
"""How a product is switched off: its telephones, its trunks, its tenant; `outbound` takes from its
telephones the right to call out, so that inbound and emergency calls stay.
"""

HangUp = Literal["never", "credit"]
"""Whether calls in progress are ended when a product is switched off: `credit` only if credit is
used up, never for debts.
"""

OperatingMode = Literal["shadow", "live"]
"""`shadow`: everything is computed and shown, nothing is switched or mailed."""

Decimal = Annotated[str, Field(pattern=r"^\d{1,12}(\.\d{1,12})?$")]
"""A non-negative decimal number as text, so that no decimals are lost."""


class Client(EventData):
    """The client's names and addresses, as mail templates use them (domain/billing, section 8).

    `language` is that of the mails, a code such as `fr`, empty for the installation's. `cc` are
    further addresses that get each mail. `custom_fields` are the client's own, by their names.
    """

    first_name: Text
    last_name: Text = ""
    company_name: Text = ""
    email: Text
    wants_mail: bool = True
    language: Text = ""
    cc: Annotated[tuple[Text, ...], Field(max_length=5)] = ()
    custom_fields: dict[Text, Text] = Field(default_factory=dict, max_length=100)


class Profile(EventData):
    """The client profile fields that govern alerts and suspension (domain/billing, section 1).

    `threshold_micro` is the low balance threshold read as money, None when it is off;
    `low_balance_threshold` is the text as it was entered, for the mail.
    """

    has_voip_service: bool = False
    manual_voip_suspend: YesNoNone = "None"
    voip_suspended: YesNoNone = "None"
    voip_suspended_by: WrittenBy = ""
    low_balance_threshold: Text = ""
    threshold_micro: Micro | None = None


TOLL_FREE_DIDS = "toll-free"
"""In an `InboundRate`: all toll-free DIDs of North America that have no row of their own."""


class InboundRate(EventData):
    """The price per minute of inbound calls to a DID, or to the DIDs that begin with these digits.

    `dids` has the country code, or is `toll-free`. Of several rows the longest counts.
    """

    dids: Annotated[str, Field(pattern=r"^(\d{1,15}|toll-free)$")]
    rate: Decimal
    increment: Annotated[str, Field(pattern=r"^\d+/\d+$")] = "60/60"
    description: Text = ""


Prefix = Annotated[str, Field(pattern=r"^\d{1,15}$")]
"""The first digits of numbers, with country code."""


class FreeBundle(EventData):
    """Free minutes per billing period for calls to the numbers that begin with these prefixes."""

    name: Id
    minutes: Annotated[int, Field(ge=1, le=1_000_000)]
    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1, max_length=200)]


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
"""From Monday on, as `datetime.weekday` counts."""

TIME_OF_DAY_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
TimeOfDay = Annotated[str, Field(pattern=TIME_OF_DAY_PATTERN)]
"""A time of day, such as 18:30."""


class TimeBand(EventData):
    """Hours of the week in which outbound calls are priced by another tariff or markup.

    It begins on each of its days at `begins`, by the account's own clock, and lasts until before
    `ends`, of the next day where `ends` is not later. What is None is the package's own.
    """

    name: Id
    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    begins: TimeOfDay
    ends: TimeOfDay
    tariff_id: Id | None = None
    markup_percent: Decimal | None = None


class Package(EventData):
    """How a product's calls are rated (domain/billing, section 3).

    Rates are per minute and keep all their decimals; increments are `initial/further` seconds.
    `free_minutes` pay for national calls, for those to `free_minutes_prefixes`, and for none to
    `free_minutes_without`. A call to a prefix of `free_bundles` uses the minutes of that bundle
    only. The first of `time_bands` that has the instant of answer replaces `tariff_id` and
    `markup_percent`.
    """

    tariff_id: Id
    country_code: Annotated[str, Field(pattern=r"^\d{1,3}$")] = "1"
    exit_code: Annotated[str, Field(pattern=r"^\d{1,6}$")] = "011"
    strip_prefix: Annotated[str, Field(pattern=r"^[\d*#]{0,15}$")] = ""
    prepend: Annotated[str, Field(pattern=r"^\d{0,15}$")] = ""
    nanpa_10_digit: bool = True
    inbound_enabled: bool = False
    free_minutes: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    markup_percent: Decimal = "100"
    custom_outbound_rate: Decimal | None = None
    custom_outbound_increment: Annotated[str, Field(pattern=r"^\d+/\d+$")] = "60/60"
    custom_inbound_rate: Decimal | None = None
    custom_inbound_increment: Annotated[str, Field(pattern=r"^\d+/\d+$")] = "60/60"
    connection_fee: Decimal = "0"
    hide: tuple[Text, ...] = ()
    not_billed: tuple[Text, ...] = ()
    minimum_cost: Decimal = "0"
    maximum_cost: Decimal | None = None
    inbound_rates: Annotated[tuple[InboundRate, ...], Field(max_length=500)] = ()
    payphone_surcharge: Decimal = "0"
    free_bundles: Annotated[tuple[FreeBundle, ...], Field(max_length=50)] = ()
    free_minutes_prefixes: Annotated[tuple[Prefix, ...], Field(max_length=200)] = ()
    free_minutes_without: Annotated[tuple[Prefix, ...], Field(max_length=200)] = ()
    time_bands: Annotated[tuple[TimeBand, ...], Field(max_length=20)] = ()


class Service(EventData):
    """A product of a client: how its calls are recognised, and how it is switched off.

    `suspend_by` is the level at which the service is switched on its server; `gateway` needs
    `gateway_ids`. `outbound_only` narrows `extensions`: only the right to call out is taken away.
    `extension_ranges` are ranges such as `2100-2199`, of which an extension that another product
    lists by itself is no part. With `rest_of_tenant` all extensions that no other product of the
    tenant has are the product's. The fields of the other kinds of server stay empty. Calls that
    ended before `bill_from` are not billed; None: all are.
    """

    service_id: Id
    name: Text
    kind: Literal["fusionpbx", "vodia", "lesnet"]
    server_id: Id
    prepaid: bool = True
    tenant: Text
    dids: tuple[Text, ...] = ()
    extensions: tuple[Text, ...] = ()
    display_name: Text = ""
    inbound_search: tuple[Text, ...] = ()
    cdr_link: Text = ""
    flat_rate: Decimal | None = None
    package: Package | None = None
    suspend_by: Literal["extensions", "gateway", "domain"] = "extensions"
    gateway_ids: tuple[Text, ...] = ()
    bill_from: Instant | None = None
    outbound_only: bool = False
    rest_of_tenant: bool = False
    hang_up: HangUp = "never"
    extension_ranges: tuple[Annotated[str, Field(pattern=RANGE_PATTERN)], ...] = ()

    @property
    def way(self) -> Way:
        """How the product is switched off."""
        if self.suspend_by == "extensions" and self.outbound_only:
            return "outbound"
        return self.suspend_by


class Order(EventData):
    """A person's or WHMCS's decision about a client, or about one of its products (`service_id`).

    An order whose `until` has passed has no effect. `hang_up`: calls in progress are ended when the
    order switches the product off.
    """

    kind: OrderKind
    service_id: Id | None = None
    given_by: Text
    reason: Text = ""
    since: Instant
    until: Instant | None = None
    hang_up: bool = False


class AccountChanged(EventData):
    """`account.changed.v1`: the whole profile of an account; the topic is compacted.

    `version` grows with every change; an older one that arrives later is ignored. `orders` are
    those in force when this was written; None in records from before orders were published: then
    the two suspension fields of the profile are the client's orders. `accepted` counts the payments
    that accounts had accepted at this version. `leave_off`: after a return to shadow mode, what was
    switched off stays off.
    """

    account_id: Id
    version: Number
    currency: Currency
    time_zone: Text = "UTC"
    client: Client
    profile: Profile
    outstanding_micro: Micro = 0
    services: tuple[Service, ...] = ()
    changed_at: Instant
    orders: tuple[Order, ...] | None = None
    mode: OperatingMode = "live"
    leave_off: bool = False
    accepted: Count = 0
    credit_limit_micro: Micro = 0
