"""Finds a number's rate: the longest prefix in the tariff version that was in force.

Domain/billing, section 2. A lookup first finds which lengths of prefixes exist under a number's
first digits, and tries these, longest first. Its time depends neither on the number of prefixes in
a deck nor on the other lengths in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import final

from rating.pricing.price import MAX_FEE, MAX_RATE_PER_MIN, check_increments
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.tariff import NO_ROW_FEES, RateRow, RowFees, fees_of
from ringfence_contracts.money import parse_decimal

MAX_PREFIX = 15
"""Digits of the longest prefix, as of the longest number."""

HEAD = 5
"""Digits by which a lookup begins: they distinguish areas and are shorter than most prefixes."""

CUSTOM_RATE, TARIFF_RATE, BLOCKED = 0, 1, 2
"""A row's status: the package's custom rate applies, the row's own, or no call is priced."""


Lengths = tuple[int, ...]
"""Lengths of prefixes, longest first."""


@final
class DeckRate:
    """The rate of a row. Equal rates of a deck are one object and are compared by identity.

    `is_zero`: calls cost nothing by the row's rate and its own amounts.
    """

    __slots__ = ("fees", "increment_s", "initial_s", "is_zero", "rate_per_min", "status")

    def __init__(
        self,
        rate_per_min: str,
        initial_s: int,
        increment_s: int,
        status: int,
        is_zero: bool,
        fees: RowFees = NO_ROW_FEES,
    ) -> None:
        self.rate_per_min = rate_per_min
        self.initial_s = initial_s
        self.increment_s = increment_s
        self.status = status
        self.is_zero = is_zero
        self.fees = fees


@final
class PrefixMatch:
    """A row of a deck: the longest prefix that a number starts with, and its rate."""

    __slots__ = ("description", "prefix", "rate")

    def __init__(self, prefix: str, description: str, rate: DeckRate) -> None:
        self.prefix = prefix
        self.description = description
        self.rate = rate


class Deck:
    """The rows of one tariff version; immutable.

    Raises BadInput for an invalid row: a prefix that is not 1 to 15 digits or occurs twice, a rate
    or amount that is not a decimal number, increments out of bounds, an unknown status.
    """

    __slots__ = ("_rows", "_short", "_under")

    def __init__(self, rows: Iterable[RateRow]) -> None:
        self._rows: dict[str, PrefixMatch] = {}
        rates: dict[tuple[str, int, int, int, RowFees], DeckRate] = {}
        for row in rows:
            prefix, description, rate_per_min, initial_s, increment_s, status = row[:6]
            key = (rate_per_min, initial_s, increment_s, status, fees_of(row))
            rate = rates.get(key) or rates.setdefault(key, _checked_rate(*key))
            self._check_prefix(prefix)
            self._rows[prefix] = PrefixMatch(prefix, description, rate)
        self._short: Lengths = ()
        self._under: dict[str, Lengths] = {}
        self._index_lengths()

    def __len__(self) -> int:
        return len(self._rows)

    def longest_prefix(self, digits: str) -> PrefixMatch | None:
        """The row for a normalised number; None if no prefix matches."""
        for length in self._under.get(digits[:HEAD], self._short):
            found = self._rows.get(digits[:length])
            if found is not None:
                return found
        return None

    def distinct_rates(self) -> list[DeckRate]:
        """Each rate that occurs in the deck, once."""
        return list({id(row.rate): row.rate for row in self._rows.values()}.values())

    def exactly(self, prefix: str) -> PrefixMatch | None:
        """The row of exactly this prefix."""
        return self._rows.get(prefix)

    def _index_lengths(self) -> None:
        """Index the lengths to try, longest first: for each head, and for all other heads."""
        longer: dict[str, set[int]] = {}
        short: set[int] = set()
        for prefix in self._rows:
            if len(prefix) < HEAD:
                short.add(len(prefix))
            else:
                longer.setdefault(prefix[:HEAD], set()).add(len(prefix))
        known: dict[frozenset[int], Lengths] = {}  # few differ: one tuple for all that are equal
        for head, lengths in longer.items():
            key = frozenset(lengths | short)
            self._under[head] = known.setdefault(key, tuple(sorted(key, reverse=True)))
        self._short = tuple(sorted(short, reverse=True))

    def _check_prefix(self, prefix: str) -> None:
        if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= MAX_PREFIX):
            raise BadInput("prefix", prefix, f"1 to {MAX_PREFIX} digits")
        if prefix in self._rows:
            raise BadInput("prefix", prefix, "each prefix once in a tariff")


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """A tariff as it was published; in force from an instant until the next version is."""

    version_id: int
    tariff_id: str
    currency: str
    effective_from: datetime
    deck: Deck


class TariffVersions:
    """The versions of all tariffs."""

    def __init__(self, versions: Iterable[TariffVersion] = ()) -> None:
        self._by_tariff: dict[str, tuple[TariffVersion, ...]] = {}
        for version in versions:
            self.add(version)

    def add(self, version: TariffVersion) -> None:
        """Add a version; adding it again changes nothing."""
        others = self._by_tariff.get(version.tariff_id, ())
        kept = [other for other in others if other.version_id != version.version_id]
        self._by_tariff[version.tariff_id] = tuple(
            sorted([*kept, version], key=_newest_first, reverse=True)
        )

    def in_force(self, tariff_id: str, at: datetime) -> TariffVersion | None:
        """The version in force at `at`, when a call was answered; None before the first.

        Of two versions that are effective from the same instant, the later published one is used.
        """
        for version in self._by_tariff.get(tariff_id, ()):
            if version.effective_from <= at:
                return version
        return None


def _newest_first(version: TariffVersion) -> tuple[datetime, int]:
    return version.effective_from, version.version_id


def _checked_rate(
    rate_per_min: str, initial_s: int, increment_s: int, status: int, fees: RowFees
) -> DeckRate:
    exact = parse_decimal(rate_per_min, "rate")
    if not 0 <= exact <= MAX_RATE_PER_MIN:
        raise BadInput("rate", rate_per_min, f"0 to {MAX_RATE_PER_MIN} a minute")
    check_increments(initial_s, increment_s)
    if status not in (CUSTOM_RATE, TARIFF_RATE, BLOCKED):
        expected = "1 (the row's rate), 0 (the package's custom rate) or 2 (blocked)"
        raise BadInput("status", status, expected)
    for name, text in fees._asdict().items():
        if text is not None and not 0 <= parse_decimal(text, name) <= MAX_FEE:
            raise BadInput(name, text, f"0 to {MAX_FEE} for a call")
    charged = any(parse_decimal(text, "amount") for text in fees[:2] if text is not None)
    return DeckRate(rate_per_min, initial_s, increment_s, status, exact == 0 and not charged, fees)
