"""Request bodies of packages, in the forms that people type."""

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from accounts.api.bodies import FieldText, NumberText, YesNo
from accounts.packages.terms import canonical_increment
from accounts.typed.decimal_text import canonical_decimal
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import (
    DAYS,
    Day,
    FreeBundle,
    InboundRate,
    Package,
    TimeBand,
    TimeOfDay,
)

_FILTER = re.compile(r"[0-9*#x]{1,32}|\[(?=[^\[\]]*[^\s\[\]])[^\[\]]{1,64}\]")


def _rate(text: str) -> str:
    canonical = canonical_decimal(text)
    if canonical is None:
        raise ValueError("a decimal such as 0.0125, .03 or 120")
    return canonical


def _increment(text: str) -> str:
    try:
        return canonical_increment("increment", text)
    except BadInput as error:
        raise ValueError(error.expected) from None


def _filter_pattern(text: str) -> str:
    wanted = text.strip().lower()
    if not _FILTER.fullmatch(wanted):
        raise ValueError(
            "digits, *, # and x such as 1800xxxxxxx, or a word in brackets such as [inbound]"
        )
    return wanted


FilterPattern = Annotated[FieldText, AfterValidator(_filter_pattern)]
RateText = Annotated[NumberText, AfterValidator(_rate)]
IncrementText = Annotated[NumberText, AfterValidator(_increment)]


def _inbound_rate(value: Any) -> Any:
    """`15195550100:0.02:6/6:Main line` as a row; increment and description may be left out."""
    if not isinstance(value, str):
        return value
    dids, *rest = (part.strip() for part in value.split(":", 3))
    names = ("rate", "increment", "description")
    return {"dids": dids, **dict(zip(names, rest, strict=False))}


class InboundRateBody(InboundRate):
    """The price of inbound calls to a DID, in the forms that people type."""

    model_config = ConfigDict(extra="forbid")

    rate: RateText
    increment: IncrementText = "60/60"


InboundRates = tuple[Annotated[InboundRateBody, BeforeValidator(_inbound_rate)], ...]


def _free_bundle(value: Any) -> Any:
    """`europe:200:44/33` as a bundle: its name, minutes and prefixes."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(":", 2)]
    read: dict[str, Any] = dict(zip(("name", "minutes", "prefixes"), parts, strict=False))
    if "prefixes" in read:
        read["prefixes"] = [part.strip() for part in read["prefixes"].split("/")]
    return read


class FreeBundleBody(FreeBundle):
    """Free minutes of a group of destinations, in the forms that people type."""

    model_config = ConfigDict(extra="forbid")


FreeBundleBodies = tuple[Annotated[FreeBundleBody, BeforeValidator(_free_bundle)], ...]


_TIME_BAND = re.compile(
    r"(?P<name>[^:]*):(?P<days>[^:]*):(?P<begins>[\d:]*)-(?P<ends>\d\d:?\d\d)"
    r"(?::(?P<tariff_id>[^:]*))?(?::(?P<markup_percent>[^:]*))?"
)
_AS_TEXT = "NAME:DAYS:BEGINS-ENDS:TARIFF:MARKUP, such as evening:mon-fri:18:00-08:00:north:80"


def _time_band(value: Any) -> Any:
    """`evening:mon-fri:18:00-08:00:north:80` as a band; tariff, or markup, may be left out."""
    if not isinstance(value, str):
        return value
    found = _TIME_BAND.fullmatch(value.strip())
    if found is None:
        raise ValueError(_AS_TEXT)
    return {name: text for name, text in found.groupdict().items() if text}


def _days(value: Any) -> Any:
    """`mon-fri/sun` as a list of days; `fri-mon` goes over the end of the week."""
    if not isinstance(value, str):
        return value
    days: list[str] = []
    for part in value.lower().split("/"):
        first, _, last = part.strip().partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError("days such as mon-fri/sun")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days += [DAYS[(begin + n) % len(DAYS)] for n in range((end - begin) % len(DAYS) + 1)]
    return tuple(dict.fromkeys(days))


def _clock(value: Any) -> Any:
    """`1830` as `18:30`; a day may end at 24:00."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if len(text) == 4 and text.isdigit():
        text = f"{text[:2]}:{text[2:]}"
    return "00:00" if text == "24:00" else text


class TimeBandBody(TimeBand):
    """Hours of the week with other prices, in the forms that people type."""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[tuple[Day, ...], BeforeValidator(_days), Field(min_length=1, max_length=7)]
    begins: Annotated[TimeOfDay, BeforeValidator(_clock)]
    ends: Annotated[TimeOfDay, BeforeValidator(_clock)]
    markup_percent: RateText | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "TimeBandBody":
        if self.tariff_id is None and self.markup_percent is None:
            raise ValueError(f"{self.name} with a tariff_id or a markup_percent of its own")
        return self


TimeBandBodies = tuple[Annotated[TimeBandBody, BeforeValidator(_time_band)], ...]


def _repeated(texts: Iterable[str]) -> str:
    """Those that occur more than once, as a list in words; empty if none does."""
    counted = Counter(texts)
    return ", ".join(sorted(text for text, count in counted.items() if count > 1))


class PackageBody(Package):
    """A package: the fields of the contract, in the forms that people type."""

    model_config = ConfigDict(extra="forbid")

    nanpa_10_digit: YesNo = True
    inbound_enabled: YesNo = False
    markup_percent: RateText = "100"
    custom_outbound_rate: RateText | None = None
    custom_outbound_increment: IncrementText = "60/60"
    custom_inbound_rate: RateText | None = None
    custom_inbound_increment: IncrementText = "60/60"
    connection_fee: RateText = "0"
    hide: tuple[FilterPattern, ...] = ()
    not_billed: tuple[FilterPattern, ...] = ()
    minimum_cost: RateText = "0"
    maximum_cost: RateText | None = None
    inbound_rates: Annotated[InboundRates, Field(max_length=500)] = ()
    payphone_surcharge: RateText = "0"
    free_bundles: Annotated[FreeBundleBodies, Field(max_length=50)] = ()
    time_bands: Annotated[TimeBandBodies, Field(max_length=20)] = ()

    @field_validator("maximum_cost")
    @classmethod
    def _not_under_the_minimum(cls, text: str | None, info: ValidationInfo) -> str | None:
        minimum = info.data.get("minimum_cost")
        if text is not None and minimum and Decimal(text) < Decimal(minimum):
            raise ValueError(f"an amount of at least the minimum_cost, {minimum}")
        return text

    @field_validator("inbound_rates")
    @classmethod
    def _each_once(cls, rows: tuple[InboundRateBody, ...]) -> tuple[InboundRateBody, ...]:
        if twice := _repeated(row.dids for row in rows):
            raise ValueError(f"each DID or group once; more than once: {twice}")
        return rows

    @field_validator("free_bundles")
    @classmethod
    def _bundles_apart(cls, rows: tuple[FreeBundleBody, ...]) -> tuple[FreeBundleBody, ...]:
        if twice := _repeated(row.name for row in rows):
            raise ValueError(f"each name once; more than once: {twice}")
        if twice := _repeated(prefix for row in rows for prefix in row.prefixes):
            raise ValueError(f"each prefix once, in one bundle; more than once: {twice}")
        return rows

    @field_validator("time_bands")
    @classmethod
    def _named_apart(cls, bands: tuple[TimeBandBody, ...]) -> tuple[TimeBandBody, ...]:
        if twice := _repeated(band.name for band in bands):
            raise ValueError(f"each name once; more than once: {twice}")
        return bands

    @field_validator("free_minutes_without")
    @classmethod
    def _in_or_out(cls, prefixes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        both = sorted(set(prefixes) & set(info.data.get("free_minutes_prefixes", ())))
        if both:
            raise ValueError(
                f"no prefix that free_minutes_prefixes has too; in both: {', '.join(both)}"
            )
        return prefixes

    def package(self) -> Package:
        """The package in its published form."""
        return Package.model_validate(self.model_dump())
