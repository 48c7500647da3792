"""Which calls are hidden and which are shown but not billed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.call_filter import CallFilter
from rating.pricing.number import NumberPlan
from ringfence_contracts.errors import BadInput

PLAN = NumberPlan()
HIDE = ("*xx", "#xx", "4443", "4747", "201")
NOT_BILLED = ("844xxxxxxx", "1800xxxxxxx", "18884163054", "911", "[local]", "[inbound]")
BOTH = CallFilter(HIDE, NOT_BILLED)


def judged(written: str, direction: str = "outbound", lists: CallFilter = BOTH) -> str | None:
    hit = lists.check(PLAN.read(written), direction)
    return f"{hit.effect} {hit.pattern}" if hit else None


@pytest.mark.parametrize(
    ("written", "hit"),
    [
        ("*97", "hide *xx"),
        ("*9", None),
        ("*9712", None),
        ("#31", "hide #xx"),
        ("4443", "hide 4443"),
        ("44434", None),
        ("201", "hide 201"),
        ("2015550101", None),
        ("18445550101", "not-billed 844xxxxxxx"),
        ("8445550101", "not-billed 844xxxxxxx"),
        ("+1 844 555 0101", "not-billed 844xxxxxxx"),
        ("18005550101", "not-billed 1800xxxxxxx"),
        ("8005550101", "not-billed 1800xxxxxxx"),
        ("8884163054", "not-billed 18884163054"),
        ("18884163055", None),
        ("911", "not-billed 911"),
        ("9115550101", None),
        ("14165550101", None),
        ("", None),
        ("sip:18005550101@example.com", None),
    ],
)
def test_the_documented_patterns_on_outbound_calls(written: str, hit: str | None) -> None:
    assert judged(written) == hit


def test_ten_and_eleven_digits_are_equal_without_the_nanp_option() -> None:
    number = NumberPlan(nanpa_10_digit=False).read("8005550101")
    assert BOTH.check(number, "outbound") == ("not-billed", "1800xxxxxxx")


def test_a_number_abroad_has_no_north_american_form() -> None:
    lists = CallFilter(not_billed=("1451xxxxxxx",))
    assert judged("+4512345678", lists=lists) is None
    assert judged("4512345678", lists=lists) == "not-billed 1451xxxxxxx"


@pytest.mark.parametrize(
    ("pattern", "written", "direction", "meets"),
    [
        ("[inbound]", "14165550101", "inbound", True),
        ("[INBOUND]", "14165550101", "inbound", True),
        ("[bound did]", "14165550101", "outbound", True),
        ("[inbound]", "14165550101", "outbound", False),
        ("[local]", "2113", "local", True),
        ("[local]", "911", "outbound", False),
        ("[local]", "2113", "", True),
        ("[local]", "2113", "inbound", False),
        ("[toll free]", "18005550101", "outbound", True),
        ("[outbound]", "18005550101", "outbound", True),
        ("[toll free]", "18005550101", "inbound", False),
        ("[toll free]", "14165550101", "outbound", False),
        ("[did]", "14165550101", "", False),
    ],
)
def test_words_are_searched_in_the_description(
    pattern: str, written: str, direction: str, meets: bool
) -> None:
    found = judged(written, direction, CallFilter(hide=(pattern,)))
    assert (found is not None) is meets


def test_hide_takes_precedence_over_not_billed() -> None:
    lists = CallFilter(hide=("[outbound]",), not_billed=("911",))
    assert judged("911", lists=lists) == "hide [outbound]"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "[]",
        "[ ]",
        "[local",
        "18OO5550101",
        "416-555-0101",
        "1.*",
        "416?",
        "٩١١",
        "x" * 33,
    ],
)
def test_an_invalid_pattern_is_rejected(pattern: str) -> None:
    with pytest.raises(BadInput):
        CallFilter(hide=(pattern,))


@given(st.text("0123456789x*#", min_size=6, max_size=9), st.data())
def test_a_pattern_matches_whole_numbers_only(pattern: str, data: st.DataObject) -> None:
    """Digit for digit: as long as the number, equal where it is literal, any digit where x."""
    dialled = "".join(
        data.draw(st.sampled_from("0123456789")) if char == "x" else char for char in pattern
    )
    changed = data.draw(st.integers(0, len(dialled) - 1))
    other = dialled[:changed] + ("7" if dialled[changed] != "7" else "8") + dialled[changed + 1 :]
    lists = CallFilter(hide=(pattern,))
    plain = NumberPlan(country_code="44", exit_code="00", nanpa_10_digit=False)
    still_fits = pattern[changed] == "x"
    assert (lists.check(plain.read(dialled), "outbound") is not None) is True
    assert (lists.check(plain.read(other), "outbound") is not None) is still_fits
    assert lists.check(plain.read(dialled + "1"), "outbound") is None
