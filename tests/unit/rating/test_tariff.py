"""The rate of a number, and the tariff version that is in force."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.tariff import RateRow, RowFees, rows_digest

PREFIXES = st.text("0123", min_size=1, max_size=9)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def row(prefix: str, rate: str = "0.01") -> tuple[str, str, str, int, int, int]:
    return prefix, f"to {prefix}", rate, 60, 6, 1


@given(st.sets(PREFIXES, max_size=60), st.text("0123", max_size=12), st.sets(st.integers(1, 9)))
def test_the_longest_prefix_wins(others: set[str], digits: str, own: set[int]) -> None:
    """The prefixes include some of the number's own: random ones rarely are."""
    prefixes = others | {digits[:length] for length in own if digits}
    deck = Deck(row(prefix) for prefix in prefixes)
    found = deck.longest_prefix(digits)
    fitting = [prefix for prefix in prefixes if digits.startswith(prefix)]
    assert (found.prefix if found else None) == max(fitting, key=len, default=None)
    assert found is None or found.description == f"to {found.prefix}"


def test_a_number_that_shares_the_start_of_a_longer_prefix_gets_the_short_one() -> None:
    deck = Deck([row("120"), row("1204567"), row("1204999")])
    found = deck.longest_prefix("12045550123")
    assert found is not None
    assert found.prefix == "120"


def test_a_row_is_found_with_all_of_its_fields() -> None:
    deck = Deck([("1204", "Manitoba", "1.666667", 30, 6, 0), row("1")])
    found = deck.longest_prefix("12045550123")
    assert found is not None
    assert (found.prefix, found.description) == ("1204", "Manitoba")
    rate = found.rate
    assert (rate.rate_per_min, rate.initial_s, rate.increment_s) == ("1.666667", 30, 6)
    assert (rate.status, rate.is_zero) == (0, False)
    assert deck.exactly("1204") == found
    assert deck.exactly("120") is None


def test_a_row_with_amounts_for_each_call_has_them() -> None:
    deck = Deck([(*row("1"), "0.05", None, "2"), row("44"), (*row("45"), None, None, None)])
    assert [deck.longest_prefix(n).rate.fees for n in ("1", "44", "45")] == [  # type: ignore[union-attr]
        RowFees("0.05", None, "2"), RowFees(), RowFees(),
    ]  # fmt: skip
    assert deck.exactly("44").rate is deck.exactly("45").rate  # type: ignore[union-attr]


def test_amounts_of_a_row_change_its_digest_and_no_other() -> None:
    plain = rows_digest([row("1")])
    assert rows_digest([(*row("1"), None, None, None)]) == plain
    with_amounts: list[RateRow] = [
        (*row("1"), "0", None, None),
        (*row("1"), None, "0", None),
        (*row("1"), None, None, "0"),
        (*row("1"), None, None, "1"),
    ]
    digests = {rows_digest([one]) for one in with_amounts}
    assert len(digests | {plain}) == 5


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("connection_fee", ("1", "x", "0.01", 1, 1, 1, "-1", None, None)),
        ("minimum_cost", ("1", "x", "0.01", 1, 1, 1, None, "some", None)),
        ("maximum_cost", ("1", "x", "0.01", 1, 1, 1, None, None, "1000001")),
        ("prefix", ("", "x", "0.01", 1, 1, 1)),
        ("prefix", ("+1", "x", "0.01", 1, 1, 1)),
        ("prefix", ("١", "x", "0.01", 1, 1, 1)),
        ("prefix", ("1" * 16, "x", "0.01", 1, 1, 1)),
        ("rate", ("1", "x", "-0.01", 1, 1, 1)),
        ("rate", ("1", "x", "free", 1, 1, 1)),
        ("initial_s", ("1", "x", "0.01", 0, 1, 1)),
        ("increment_s", ("1", "x", "0.01", 1, 86_401, 1)),
        ("status", ("1", "x", "0.01", 1, 1, 3)),
    ],
)
def test_an_invalid_row_is_rejected(field: str, bad: tuple[str, str, str, int, int, int]) -> None:
    with pytest.raises(BadInput) as refused:
        Deck([row("2"), bad])
    assert refused.value.field == field


def test_a_prefix_may_occur_once() -> None:
    with pytest.raises(BadInput, match="once"):
        Deck([row("1204"), row("1"), row("1204", "0.02")])


def version(
    version_id: int, after_h: int, *, tariff_id: str = "retail", currency: str = "CAD"
) -> TariffVersion:
    since = NOON + timedelta(hours=after_h)
    return TariffVersion(version_id, tariff_id, currency, since, Deck([row("1")]))


def in_force(versions: TariffVersions, after_h: float) -> int | None:
    found = versions.in_force("retail", NOON + timedelta(hours=after_h))
    return found.version_id if found else None


def test_a_call_is_rated_by_the_version_in_force_when_it_was_answered() -> None:
    versions = TariffVersions([version(2, 10), version(1, 0), version(9, 5, tariff_id="other")])
    assert in_force(versions, -1) is None
    assert in_force(versions, 0) == 1
    assert in_force(versions, 9.99) == 1
    assert in_force(versions, 10) == 2
    assert versions.in_force("unknown", NOON) is None


def test_of_two_versions_from_the_same_instant_the_later_published_counts() -> None:
    assert in_force(TariffVersions([version(4, 0), version(3, 0)]), 1) == 4


def test_a_version_that_is_added_again_changes_nothing() -> None:
    versions = TariffVersions([version(1, 0), version(2, 10)])
    versions.add(version(1, 0))
    assert in_force(versions, 9) == 1
    assert in_force(versions, 10) == 2
