"""Formats amounts, dates and times by currency, language and time zone, with babel's data.

The locale is the language with the country of the currency, if that pair exists: Canadian dollars
are `$8.00` in English and `8,00 $` in French, pounds `£8.00`. The country is the first two letters
of the ISO 4217 currency code.
"""

import re
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision

from notifier.words.values import Amount

_MICRO = Decimal(1_000_000)
_SHARED_SIGNS = frozenset({"$", "¥", "kr"})
"""Signs of more than one currency: a debt with such a sign is followed by the currency code."""


@lru_cache(maxsize=500)
def locale_of(language: str, currency: str = "") -> Locale:
    """The locale for a language and a currency; English if babel does not know the language."""
    code = language.replace("-", "_")
    for candidate in (code, f"{code}_{currency[:2]}") if "_" in code else (
        f"{code}_{currency[:2]}", code
    ):  # fmt: skip
        try:
            return Locale.parse(candidate)
        except (ValueError, UnknownLocaleError):
            continue
    return Locale("en")


def is_language(code: str) -> bool:
    """Whether babel knows the language, such as `fr` or `fr_CA`."""
    try:
        Locale.parse(code.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return False
    return True


def credit_amount(credit_micro: int, currency: str, locale: Locale) -> Amount:
    """A credit, rounded down: a client with 0.004 left must not read 0.01.

    Its bare form is a number without sign, because WHMCS's templates write the sign before it.
    """
    exact = _rounded(credit_micro, currency, ROUND_FLOOR)
    bare = _number(exact, currency, locale)
    return Amount(bare, bare, _priced(exact, currency, locale), f"{exact:f}")


def debt_amount(debt_micro: int, currency: str, locale: Locale) -> Amount:
    """A debt, rounded up: a client who owes 0.004 must not read 0.00.

    Every form includes the currency, as WHMCS writes it: `$16.88 CAD`.
    """
    exact = _rounded(debt_micro, currency, ROUND_CEILING)
    priced = _priced(exact, currency, locale)
    sign = re.sub(r"[-\d.,\s'’\u200e\u200f\u2212]", "", priced)
    shown = f"{priced} {currency}" if sign in _SHARED_SIGNS else priced
    return Amount(shown, shown, shown, f"{exact:f}")


def threshold_amount(
    threshold_micro: int | None, currency: str, locale: Locale, off: str
) -> Amount:
    """A threshold: its bare form is `15`, so that `${…}.00` is correct; `off` if there is none.

    Thresholds are typed with up to six decimals; those beyond the currency's are shown.
    """
    if threshold_micro is None:
        return Amount(off, off, off, "")
    exact = Decimal(threshold_micro) / _MICRO
    places = max(get_currency_precision(currency), -_exponent(exact.normalize()))
    whole = exact == exact.to_integral_value()
    decimals = _number(exact, currency, locale, places)
    return Amount(
        bare=_number(exact, currency, locale, 0) if whole else decimals,
        decimals=decimals,
        priced=_priced(exact, currency, locale, places),
        plain=f"{exact.normalize():f}",
    )


def money(amount_micro: int, currency: str, locale: Locale) -> str:
    """An amount with its currency, rounded down."""
    return _priced(_rounded(amount_micro, currency, ROUND_FLOOR), currency, locale)


def _exponent(exact: Decimal) -> int:
    exponent = exact.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _rounded(amount_micro: int, currency: str, rounding: str) -> Decimal:
    exact = Decimal(amount_micro) / _MICRO
    # Adding zero turns -0.00 into 0.00.
    return exact.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), rounding) + 0


def _number(exact: Decimal, currency: str, locale: Locale, places: int | None = None) -> str:
    places = get_currency_precision(currency) if places is None else places
    pattern = "#,##0." + "0" * places if places else "#,##0"
    return format_decimal(exact, format=pattern, locale=locale)


def _priced(exact: Decimal, currency: str, locale: Locale, places: int | None = None) -> str:
    if places is not None and places > get_currency_precision(currency):
        pattern = locale.currency_formats["standard"].pattern
        pattern = re.sub(r"0\.0+", "0." + "0" * places, pattern)
        text = format_currency(
            exact, currency, format=pattern, locale=locale, currency_digits=False
        )
    else:
        text = format_currency(exact, currency, locale=locale)
    return re.sub(r"(?<=[A-Za-z])(?=\d)", "\xa0", text)  # CHF 8.00: letters stay apart


@lru_cache(maxsize=500)
def zone_of(name: str) -> tzinfo:
    """The time zone of that name; UTC if it is unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def date_shown(instant: datetime, locale: Locale, zone: str) -> str:
    """The date in the time zone, with the month's name: `15 January 2026`."""
    return format_date(instant.astimezone(zone_of(zone)).date(), "long", locale=locale)


def time_shown(instant: datetime, locale: Locale, zone: str) -> str:
    """The time of day in the time zone, with the zone's name: `7:00 a.m. EST`."""
    local = instant.astimezone(zone_of(zone))
    clock = format_time(local, "short", tzinfo=zone_of(zone), locale=locale)
    return f"{clock} {format_datetime(local, 'z', tzinfo=zone_of(zone), locale=locale)}"


def instant_shown(instant: datetime, locale: Locale, zone: str) -> str:
    """Date and time in the time zone, with the zone's name."""
    return f"{date_shown(instant, locale, zone)}, {time_shown(instant, locale, zone)}"
