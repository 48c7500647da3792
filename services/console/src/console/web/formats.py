"""How amounts, instants and durations are written on pages: by locale and zone."""

from copy import copy
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime, get_timezone_name
from babel.numbers import format_currency, format_decimal, get_currency_precision

_MICRO = Decimal(1_000_000)
_FEW = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Formats:
    """The formats of one operator: his locale, and the zone that each table names."""

    def __init__(self, locale: str, zone: str) -> None:
        self._locale = Locale.parse(locale)
        self._zone = ZoneInfo(zone)
        self.zone = zone

    def in_zone(self, zone: str) -> "Formats":
        """The same formats in another zone. Raises ZoneInfoNotFoundError."""
        return Formats(str(self._locale), zone)

    def money(self, amount_micro: int | None, currency: str = "") -> str:
        """An amount with all of its decimals, and at least the currency's."""
        if amount_micro is None:
            return "–"
        amount = Decimal(amount_micro) / _MICRO
        least = get_currency_precision(currency) if currency else 2
        decimals = max(least, -int(amount.normalize().as_tuple().exponent))
        exact = amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
        if not currency:
            return f"{exact:f}"
        pattern = copy(self._locale.currency_formats["standard"])
        pattern.frac_prec = (decimals, decimals)
        return str(pattern.apply(exact, self._locale, currency=currency, currency_digits=False))

    def rounded(self, amount_micro: int | None, currency: str) -> str:
        """An amount with the currency's decimals, for sums where the rest says nothing."""
        if amount_micro is None:
            return "–"
        return str(format_currency(Decimal(amount_micro) / _MICRO, currency, locale=self._locale))

    def count(self, number: float) -> str:
        """A number of things; a rate below ten with one decimal."""
        shape = "#,##0.#" if number < _FEW else "#,##0"
        return str(format_decimal(number, shape, locale=self._locale))

    def instant(self, at: datetime | str | None, shape: str = "y-MM-dd HH:mm:ss") -> str:
        """An instant in the operator's zone."""
        found = as_instant(at)
        if found is None:
            return "–"
        return str(format_datetime(found, shape, tzinfo=self._zone, locale=self._locale))

    def soon(self, at: datetime | str | None) -> str:
        """An instant within days, by weekday; one that is further away, by its date."""
        found = as_instant(at)
        if found is None:
            return ""
        near = found - datetime.now(UTC) < timedelta(days=7)
        return self.instant(found, "EEE HH:mm" if near else "d MMM yyyy")

    def ago(self, at: datetime | str | None, now: datetime) -> str:
        """How long ago something happened, in one unit."""
        found = as_instant(at)
        return "" if found is None else duration(round((now - found).total_seconds()))

    @property
    def zone_named(self) -> str:
        """The zone in words, for the foot of a table."""
        now = datetime.now(self._zone)
        short = get_timezone_name(now, "short", locale=self._locale)
        return self.zone if short == self.zone else f"{self.zone} ({short})"


def as_instant(at: datetime | str | None) -> datetime | None:
    """An instant of the API's answer."""
    if at is None or isinstance(at, datetime):
        return at
    return datetime.fromisoformat(at)


def duration(seconds: int) -> str:
    """Seconds in the one unit that says most: 40 s, 12 min, 3 h, 5 d."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if abs(seconds) >= 2 * size or (unit == "min" and abs(seconds) >= size):
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def seconds(value: float) -> str:
    """A short duration with the decimals that matter: 0.84 s, 8.4 s, 84 s; from 2 min by unit."""
    if value >= 2 * _MINUTE:
        return duration(round(value))
    return f"{value:.{2 if value < 1 else 1 if value < 10 else 0}f} s"


def talk_time(seconds: int) -> str:
    """A talk time as h:mm:ss, or m:ss."""
    minutes, rest = divmod(seconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
