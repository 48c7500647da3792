"""The conformance vectors of switching: the project's cases, and random steps against a reference.

The references are written from domain/billing, section 7 (a, b, b2 and c), and call nothing of the
product.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.vectors import read_cases
from ringfence_contracts.errors import BadInput
from ringfence_vectors import suspension, switching, thresholds
from tests.support.examples import examples

VECTORS = Path(__file__).parents[2] / "vectors"
SWITCHING = read_cases(VECTORS / "switching.csv", switching.COLUMNS, switching.SwitchingCase.read)
SUSPENSION = read_cases(
    VECTORS / "suspension.csv", suspension.COLUMNS, suspension.SuspensionCase.read
)
THRESHOLDS = read_cases(
    VECTORS / "thresholds.csv", thresholds.COLUMNS, thresholds.ThresholdCase.read
)


@pytest.mark.parametrize("case", [*SWITCHING, *SUSPENSION, *THRESHOLDS], ids=lambda case: case.name)
def test_published_case(
    case: switching.SwitchingCase | suspension.SuspensionCase | thresholds.ThresholdCase,
) -> None:
    assert case.mismatches() == []


def reference(steps: list[tuple[str, str]]) -> Iterator[str]:
    """What is desired after each step: `credit` and `debts` in hundredths."""
    credit = debts = 0
    held = False
    now = {"manual": "None", "voip": "None", "has": "yes", "whmcs": "off", "prepaid": "yes"}
    for verb, value in steps:
        if verb in ("topup", "adjust"):
            credit += int(Decimal(value) * 100)
        elif verb == "owe":
            debts = int(Decimal(value) * 100)
        else:
            now[verb] = value
        held = credit <= 0 or debts > credit or (held and debts > 0)
        exempt = now["manual"] == now["voip"] == "No"
        funds = held and now["prepaid"] == "yes" and not exempt
        off = funds or "Yes" in (now["manual"], now["voip"]) or now["whmcs"] == "on"
        yield "leave" if now["has"] == "no" else "suspended" if off else "active"


AMOUNTS = st.sampled_from(["0", "0.01", "5", "5.40", "6", "10", "20", "25", "60", "100"])
STEPS = st.one_of(
    st.tuples(st.just("topup"), AMOUNTS),
    st.tuples(st.just("adjust"), AMOUNTS.map(lambda amount: f"-{amount}") | AMOUNTS),
    st.tuples(st.just("owe"), AMOUNTS),
    st.tuples(st.sampled_from(["manual", "voip"]), st.sampled_from(["Yes", "No", "None"])),
    st.tuples(st.sampled_from(["has", "prepaid"]), st.sampled_from(["yes", "no"])),
    st.tuples(st.just("whmcs"), st.sampled_from(["on", "off"])),
)


@settings(max_examples=examples(4), deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=14))
@example([("owe", "5"), ("topup", "3"), ("topup", "9"), ("owe", "0")])
@example([("topup", "0"), ("topup", "0.01")])
@example([("topup", "5"), ("manual", "No"), ("voip", "No"), ("adjust", "-5"), ("manual", "Yes")])
@example([("topup", "5"), ("voip", "Yes"), ("adjust", "-9"), ("topup", "9"), ("voip", "None")])
@example([("topup", "5"), ("has", "no"), ("whmcs", "on"), ("adjust", "-5"), ("has", "yes")])
def test_any_series_of_steps_matches_the_reference(steps: list[tuple[str, str]]) -> None:
    texts = [f"{verb} {value}" for verb, value in steps]
    expected = tuple(reference(steps))
    row = {"name": "random", "steps": ";".join(texts), "expect": ";".join(expected)}
    assert switching.SwitchingCase.read(row).mismatches() == []


def reference_events(balances: list[int], threshold: int) -> Iterator[str]:
    """The crossings of a series of postings, by domain/billing, section 7 (c)."""
    held = stay = False
    before = None
    for balance in balances:
        was_held, held = held, balance <= 0
        was_above = before is not None and before > threshold
        if held:
            stay = False
            if not was_held:
                yield "zero"
        elif was_held or (balance > threshold and before is not None and not was_above):
            stay = False
            yield "restored"
        elif balance <= threshold and not stay and (before is None or before > balance):
            stay = True
            yield "low"
        before = balance


@settings(max_examples=examples(3), deadline=None)
@given(st.lists(st.integers(-2, 8), min_size=1, max_size=12), st.integers(0, 5))
def test_any_series_of_balances_matches_the_reference(balances: list[int], threshold: int) -> None:
    case = thresholds.ThresholdCase.read(
        {
            "name": "random",
            "threshold": str(threshold),
            "balances": ";".join(map(str, balances)),
            "expect_events": ";".join(reference_events(balances, threshold)),
        }
    )
    assert case.mismatches() == []


@pytest.mark.parametrize(
    ("text", "threshold_micro"),
    [
        ("15", 15_000_000),
        (" $15 ", 15_000_000),
        ("$ 15.00", 15_000_000),
        (".5", 500_000),
        ("1,500", 1_500_000_000),
        ("$1,500.25", 1_500_250_000),
        ("", None),
        ("  ", None),
        ("0", None),
        ("$0.00", None),
        ("soon", None),
        ("$", None),
        ("-5", None),
        ("1,50", None),
        ("1e3", None),
        ("9" * 20, None),
    ],
)
def test_a_threshold_is_parsed_from_imported_text(text: str, threshold_micro: int | None) -> None:
    row = {"name": "x", "threshold": text, "balances": "1", "expect_events": ""}
    assert thresholds.ThresholdCase.read(row).threshold_micro == threshold_micro


@pytest.mark.parametrize(
    ("steps", "expect", "column", "value"),
    [
        ("", "active", "steps", ""),
        ("  ", "active", "steps", "  "),
        ("topup 5;", "active;active", "steps", "topup 5;"),
        ("topup 5;;owe 1", "active;active;active", "steps", "topup 5;;owe 1"),
        ("pay 5", "active", "steps", "pay 5"),
        ("topup", "active", "steps", ""),
        ("topup five", "active", "steps", "five"),
        ("topup 5 CAD", "active", "steps", "5 CAD"),
        ("topup -5", "active", "steps", "topup -5"),
        ("topup 0.0000001", "active", "steps", "0.0000001"),
        ("topup 5;owe -1", "active;active", "steps", "owe -1"),
        ("topup 5;manual", "active;active", "steps", "manual"),
        ("topup 5;voip maybe", "active;active", "steps", "voip maybe"),
        ("topup 5;has None", "active;active", "steps", "has None"),
        ("topup 5;whmcs yes", "active;active", "steps", "whmcs yes"),
        ("topup 5;prepaid on", "active;active", "steps", "prepaid on"),
        ("topup 5", "", "expect", ""),
        ("topup 5", "on", "expect", "on"),
        ("topup 5", "active;active", "expect", "active;active"),
        ("topup 5;owe 1", "active", "expect", "active"),
        ("topup 5", "active;", "expect", "active;"),
    ],
)
def test_invalid_steps_are_rejected_by_column(
    steps: str, expect: str, column: str, value: str
) -> None:
    with pytest.raises(BadInput) as refused:
        switching.SwitchingCase.read({"name": "bad", "steps": steps, "expect": expect})
    assert (refused.value.field, refused.value.value) == (column, value)


def test_steps_are_read_in_any_case_and_with_blanks() -> None:
    row = {
        "name": "loose",
        "steps": " TopUp  1,500.00 ; MANUAL yes;manual NONE; WHMCS On ;has NO",
        "expect": "Active; suspended ;active;SUSPENDED;leave",
    }
    assert switching.SwitchingCase.read(row).mismatches() == []


def test_an_impossible_balance_is_rejected() -> None:
    steps = ";".join(["topup 1,000,000,000"] * 11)
    row = {"name": "rich", "steps": steps, "expect": ";".join(["active"] * 11)}
    with pytest.raises(BadInput, match="keep the balance within"):
        switching.SwitchingCase.read(row)


def test_each_step_with_another_result_is_named() -> None:
    row = {"name": "wrong", "steps": "topup 5;owe 6;owe 0", "expect": "active;active;leave"}
    assert switching.SwitchingCase.read(row).mismatches() == [
        "wrong: expect: step 2 (owe 6): expected active, got suspended",
        "wrong: expect: step 3 (owe 0): expected leave, got active",
    ]


def test_debts_below_zero_are_refused() -> None:
    columns = dict.fromkeys(suspension.COLUMNS, "")
    row = columns | {"prepaid": "yes", "credit": "1", "outstanding": "-1", "state": "active"}
    with pytest.raises(BadInput) as refused:
        suspension.SuspensionCase.read(row)
    assert refused.value.field == "outstanding"


def test_options_are_read_in_any_case_with_blanks() -> None:
    profile = suspension.read_profile(" YES ", "no", "", " Import ")
    assert profile.has_voip_service
    assert profile.manual_voip_suspend == "No"
    assert profile.voip_suspended == "None"
    assert profile.voip_suspended_by == "import"
    assert not suspension.read_profile("", "", "", "").has_voip_service


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("maybe", "", "", ""), "has_voip_service"),
        (("yes", "true", "", ""), "manual_voip_suspend"),
        (("yes", "", "1", ""), "voip_suspended"),
        (("yes", "", "", "robot"), "suspended_written_by"),
    ],
)
def test_an_option_that_does_not_exist_is_refused(options: tuple[str, ...], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        suspension.read_profile(*options)
    assert refused.value.field == field
