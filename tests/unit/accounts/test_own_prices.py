"""The price that a client is shown is the price that rating charges."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from accounts.own.prices import price, terms_of
from rating.pricing.package_terms import PackageTerms
from rating.pricing.price import Misconfigured, PriceTerms
from rating.pricing.tariff import DeckRate
from ringfence_contracts.events.account import Package, TimeBand
from ringfence_contracts.events.tariff import RowFees

AMOUNTS = st.decimals(0, 100, places=4).map(lambda d: f"{d.normalize():f}")
MARKUPS = st.decimals(0, 900, places=2).map(lambda d: f"{d.normalize():f}")
OPTIONAL = st.none() | AMOUNTS
FEES = st.builds(RowFees, OPTIONAL, OPTIONAL, OPTIONAL)


@st.composite
def packages(draw: st.DrawFn) -> Package:
    return Package(
        tariff_id="retail",
        markup_percent=draw(MARKUPS),
        connection_fee=draw(AMOUNTS),
        minimum_cost=draw(AMOUNTS),
        maximum_cost=draw(OPTIONAL),
        custom_outbound_rate=draw(OPTIONAL),
        custom_outbound_increment=draw(st.sampled_from(["60/60", "30/6", "1/1"])),
    )


def in_micro(words: str) -> Decimal:
    return Decimal(words.replace("at least ", "").replace("at most ", "").split(" ")[0])


@given(packages(), AMOUNTS, st.integers(0, 2), st.sampled_from([(60, 60), (30, 6), (1, 1)]), FEES)
def test_the_price_is_rating_s(
    package: Package, rate: str, status: int, increments: tuple[int, int], fees: RowFees
) -> None:
    row = {
        "description": "Albania", "rate": rate, "status": status,
        "increment": f"{increments[0]}/{increments[1]}",
        **{name: text for name, text in fees._asdict().items() if text is not None},
    }  # fmt: skip
    shown = price(package, row, package.markup_percent)
    if status == 2:
        assert shown.rate is None, "a blocked row has no price"
        return
    terms = PackageTerms(package).outbound(DeckRate(rate, *increments, status, False, fees))
    if isinstance(terms, Misconfigured):
        assert shown.rate is None
        return
    assert isinstance(terms, PriceTerms)
    assert shown.rate is not None
    assert Fraction(shown.rate) == Fraction(60 * terms.per_second, terms.divisor * 1_000_000)
    assert shown.increment == f"{terms.initial_s}/{terms.increment_s}"
    connection = sum(in_micro(w) for w in shown.per_call if w.endswith("for the connection"))
    assert Fraction(connection) == Fraction(terms.fee, terms.divisor * 1_000_000)
    least = [in_micro(words) for words in shown.per_call if words.startswith("at least")]
    most = [in_micro(words) for words in shown.per_call if words.startswith("at most")]
    assert terms.fees.minimum_cost in ("0", *(f"{amount.normalize():f}" for amount in least))
    if terms.fees.maximum_cost not in (None, "0"):
        assert [Fraction(amount) for amount in most] == [Fraction(terms.fees.maximum_cost)]


def test_a_number_that_no_row_matches_has_no_price() -> None:
    assert price(Package(tariff_id="retail"), None, "100").rate is None


def test_a_time_band_has_a_price_of_its_own() -> None:
    band = TimeBand(
        name="night", days=("mon", "tue"), begins="22:00", ends="06:00", markup_percent="80"
    )
    package = Package(tariff_id="retail", markup_percent="120", time_bands=(band,))
    assert [(each.band, each.tariff_id, each.markup_percent) for each in terms_of(package)] == [
        ("", "retail", "120"),
        ("mon, tue 22:00 to 06:00", "retail", "80"),
    ]
