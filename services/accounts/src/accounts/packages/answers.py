"""The types of responses about packages. Pure."""

from accounts.answers import Answer, ListAnswer
from ringfence_contracts.events.account import FreeBundle, InboundRate, TimeBand


class PackageAnswer(Answer):
    """A package; rates and percentages are decimal texts."""

    package_id: str
    tariff_id: str
    country_code: str
    exit_code: str
    strip_prefix: str
    prepend: str
    nanpa_10_digit: bool
    inbound_enabled: bool
    free_minutes: int
    markup_percent: str
    custom_outbound_rate: str | None
    custom_outbound_increment: str
    custom_inbound_rate: str | None
    custom_inbound_increment: str
    connection_fee: str
    hide: list[str]
    not_billed: list[str]
    minimum_cost: str
    maximum_cost: str | None
    inbound_rates: list[InboundRate]
    payphone_surcharge: str
    free_bundles: list[FreeBundle]
    free_minutes_prefixes: list[str]
    free_minutes_without: list[str]
    time_bands: list[TimeBand]


class ChangedPackage(PackageAnswer):
    """A package after a change, with the number of clients published for it."""

    accounts_told: int
    warnings: list[str]


class PackageList(ListAnswer):
    """All packages."""

    items: list[PackageAnswer]
