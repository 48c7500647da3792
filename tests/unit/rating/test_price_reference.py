"""Differential test: rating's prices and a reference in fractions, on 100,000 random calls."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import PricedCall, Unrated, price_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.events.account import DAYS, Service
from ringfence_contracts.events.tariff import RateRow
from ringfence_testing import records
from ringfence_testing.records import NOON
from tests.support import price_reference as reference
from tests.support.price_reference import (
    ReferenceBand,
    ReferencePackage,
    ReferencePrice,
    ReferenceRow,
)

CALLS = 100_000
CALLS_OF_A_PACKAGE = 50
SEEDS = 10
AMOUNTS = ("connection_fee", "minimum_cost", "maximum_cost")
NUMBERS = {
    "14162345678": True, "16042345678": True, "12042345678": True, "12122345678": True,
    "18762345678": False, "442079460018": False, "447400123456": False, "33142685300": False,
    "493012345678": False,
}  # fmt: skip
"""Numbers and whether they are national to a package of country code 1."""


DIDS = ("14162345678", "16042345678", "18002345678", "18882345678", "442079460018")
RandomCall = tuple[str, str, int, dict[str, int], str, datetime]
"""Direction, number, seconds of talk, free seconds left by bundle, ANI II digits, and when it was
answered."""
ZONE = "America/St_Johns"
BUNDLES = ("europe", "near")


class Dice(Random):
    """Random values that lie near the edges of the rules more often than far from them."""

    def decimal(self, whole: int, places: int) -> str:
        """A decimal with up to `places` places, often 0, or a half of the last micro-unit."""
        kind = self.random()
        if kind < 0.05:
            return "0"
        if kind < 0.15:
            return self.choice(("0.0000005", "0.000001", "0.00003", "1", "0.01", "0.0000015"))
        digits = self.randint(0, places)
        return f"{self.randint(0, whole)}" + (
            f".{self.randrange(10**digits):0{digits}d}" if digits else ""
        )

    def increment(self) -> int:
        """Seconds of an increment."""
        return self.choice((1, 1, 6, 6, 10, 20, 30, 60, 60, self.randint(1, 3600)))

    def amounts(self, often: float) -> dict[str, str | None]:
        """Amounts for each call; one is set as often as given."""
        return {name: self.decimal(2, 8) if self.random() < often else None for name in AMOUNTS}

    def priced(self) -> tuple[str, int, int]:
        """A rate per minute and its increments."""
        return self.decimal(3, 9), self.increment(), self.increment()

    def minute(self) -> int:
        """A minute of the day, often one at which others begin or end."""
        return self.choice((0, 480, 1080, 1081, self.randrange(1440)))

    def billsec(self) -> int:
        """Seconds of talk."""
        return self.choice((1, 6, 7, 30, 59, 60, 61, 3600, self.randint(1, 300),
                            self.randint(1, 86_400)))  # fmt: skip


class RandomCase:
    """A random package and rate card, in the forms of rating and of the reference."""

    def __init__(self, dice: Dice) -> None:
        self.card, night = self._card(dice), self._card(dice)
        self.package = ReferencePackage(
            dice.choice(("100", "120", "220", "99.5", "0", dice.decimal(400, 6))),
            dice.priced() if dice.random() < 0.8 else None,
            dice.priced() if dice.random() < 0.9 else None,
            dice.amounts(0.3),
            {group: dice.priced() for group in self._did_groups(dice)},
            dice.choice(("0", "0.60", dice.decimal(1, 8))),
            *self._bundles(dice),
            self._bands(dice, night),
        )
        long_ago = NOON - timedelta(days=100)
        self.versions = TariffVersions(
            [
                TariffVersion(1, "card", "CAD", long_ago, Deck(rows_of(self.card))),
                TariffVersion(2, "night", "CAD", long_ago, Deck(rows_of(night))),
            ]
        )
        self.match = self._match()

    def _card(self, dice: Dice) -> list[ReferenceRow]:
        return [
            ReferenceRow(prefix, *dice.priced(), dice.choice((1, 1, 1, 0)), dice.amounts(0.2))
            for prefix in {n[: dice.randint(1, len(n))] for n in NUMBERS if dice.random() < 0.9}
        ]

    def _bands(self, dice: Dice, night: list[ReferenceRow]) -> list[ReferenceBand]:
        """Up to three time bands, each with another card, markup or both."""
        return [
            ReferenceBand(
                sorted(dice.sample(range(7), dice.randint(1, 7))),
                dice.minute(),
                dice.minute(),
                dice.choice((night, None)),
                dice.choice(("50", "130", None)),
            )
            for _ in range(dice.choice((0, 0, 1, 2, 3)))
        ]

    def _bundles(self, dice: Dice) -> tuple[dict[str, list[str]], list[str], list[str]]:
        """Bundles, prefixes in and prefixes out; a prefix is in one bundle."""
        if dice.random() < 0.3:
            return {}, [], []
        of_bundles: dict[str, list[str]] = {}
        for prefix in self._prefixes(dice, 0.4):
            of_bundles.setdefault(dice.choice(BUNDLES), []).append(prefix)
        return of_bundles, self._prefixes(dice, 0.3), self._prefixes(dice, 0.3)

    def _prefixes(self, dice: Dice, often: float) -> list[str]:
        return sorted({n[: dice.randint(1, len(n))] for n in NUMBERS if dice.random() < often})

    def _did_groups(self, dice: Dice) -> set[str]:
        if dice.random() < 0.3:
            return set()
        groups = {did[: dice.randint(1, len(did))] for did in DIDS if dice.random() < 0.4}
        return groups | {"toll-free"} if dice.random() < 0.5 else groups

    def _match(self) -> Match:
        package: dict[str, Any] = {
            "tariff_id": "card",
            "markup_percent": self.package.markup,
            "inbound_enabled": True,
            "payphone_surcharge": self.package.payphone_surcharge,
            "inbound_rates": [
                {"dids": dids, "rate": rate, "increment": f"{initial_s}/{increment_s}"}
                for dids, (rate, initial_s, increment_s) in self.package.of_dids.items()
            ],
            "free_minutes": 1,
            "free_bundles": [
                {"name": name, "minutes": 1, "prefixes": prefixes}
                for name, prefixes in self.package.bundles.items()
            ],
            "free_minutes_prefixes": self.package.prefixes_in,
            "free_minutes_without": self.package.prefixes_out,
            "time_bands": [
                {
                    "name": f"band{place}",
                    "days": [DAYS[day] for day in band.days],
                    "begins": f"{band.begins // 60:02}:{band.begins % 60:02}",
                    "ends": f"{band.ends // 60:02}:{band.ends % 60:02}",
                    "tariff_id": None if band.card is None else "night",
                    "markup_percent": band.markup,
                }
                for place, band in enumerate(self.package.bands)
            ],
            **{name: text for name, text in self.package.amounts.items() if text is not None},
        }
        custom = (("outbound", self.package.custom_outbound),
                  ("inbound", self.package.custom_inbound))  # fmt: skip
        for direction, priced in custom:
            if priced is not None:
                rate, initial_s, increment_s = priced
                package[f"custom_{direction}_rate"] = rate
                package[f"custom_{direction}_increment"] = f"{initial_s}/{increment_s}"
        service = Service.model_validate(
            {
                "service_id": "s1", "name": "trunk", "kind": "fusionpbx", "server_id": "pbx1",
                "tenant": "north.example", "package": package,
            }
        )  # fmt: skip
        account = records.account("a1", services=(service,), time_zone=ZONE)
        found = ProductIndex([account]).match(records.call())
        assert isinstance(found, Match)
        return found

    def prices(
        self,
        direction: str,
        number: str,
        billsec: int,
        free_left_s: dict[str, int],
        ani_ii: str,
        answered: datetime,
    ) -> tuple[ReferencePrice | None, ReferencePrice | None]:
        """The price of one call by rating and by the reference; None: it waits."""
        call = records.call(
            direction=direction,
            billsec=billsec,
            destination_number=f"+{number}",
            caller_destination=f"+{number}",
            ani_ii=ani_ii,
            started_at=answered - timedelta(seconds=9),
            answered_at=answered,
            ended_at=answered + timedelta(seconds=billsec),
        )
        outcome = price_call(call, self.match, self.versions)
        assert isinstance(outcome, PricedCall | Unrated), outcome
        got = None
        if isinstance(outcome, PricedCall):
            left_s = 0 if outcome.bundle is None else free_left_s[outcome.bundle]
            rated = outcome.charge(left_s)
            got = ReferencePrice(rated.billed_s, rated.free_s, rated.cost_micro)
        if direction == "inbound":
            return got, reference.inbound(self.package, number, billsec, ani_ii)
        national = NUMBERS[number]
        expected = reference.outbound(
            self.package, self.card, number, billsec, free_left_s,
            national=national, answered=answered.astimezone(ZoneInfo(ZONE)),
        )  # fmt: skip
        return got, expected


def rows_of(card: list[ReferenceRow]) -> list[RateRow]:
    """A rate card as the rows of a tariff."""
    return [
        (
            *(row.prefix, row.prefix, row.rate, row.initial_s, row.increment_s, row.status),
            row.amounts["connection_fee"],
            row.amounts["minimum_cost"],
            row.amounts["maximum_cost"],
        )
        for row in card
    ]


def cases(seed: int, calls: int) -> Iterator[tuple[RandomCase, RandomCall]]:
    """Random calls: their package and rate card, direction, number, talk and free seconds left."""
    dice = Dice(seed)
    for _ in range(calls // CALLS_OF_A_PACKAGE):
        case = RandomCase(dice)
        for _ in range(CALLS_OF_A_PACKAGE):
            direction = dice.choice(("outbound", "outbound", "outbound", "inbound"))
            free_left_s = {
                name: dice.choice((0, 0, 30, 60, dice.randint(0, 5000))) for name in ("", *BUNDLES)
            }
            number = dice.choice(DIDS if direction == "inbound" else list(NUMBERS))
            ani_ii = dice.choice(("", "00", "27", "29", "70"))
            answered = NOON + timedelta(minutes=dice.randrange(-40_000, 40_000))
            yield case, (direction, number, dice.billsec(), free_left_s, ani_ii, answered)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_rating_and_the_reference_agree_on_every_price(
    seed: int, request: pytest.FixtureRequest
) -> None:
    """All calls take 20 s of one core; `make test-fast` runs a tenth of them."""
    fast = request.config.getoption("hypothesis_profile") == "fast"
    calls = CALLS // SEEDS // (10 if fast else 1)
    differing, priced = [], 0
    for case, call in cases(seed, calls):
        got, expected = case.prices(*call)
        priced += got is not None
        if got != expected:
            differing.append((call, case.package, case.card, got, expected))
    assert not differing, f"{len(differing)} calls differ, the first: {differing[0]}"
    assert priced > calls * 0.7, "most random calls must have a price"
