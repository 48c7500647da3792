"""Whether a service is to be on or off: the two tables, and the published cases."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import BadInput
from ringfence.events.account import Profile
from ringfence.vectors import read_cases
from suspender.suspension import Decision, Funds, State, decide_suspension, read_profile
from suspender.vectors import COLUMNS, Case

VECTORS = Path(__file__).parents[1] / "vectors" / "suspension.csv"
CASES = read_cases(VECTORS, COLUMNS, Case.read)

PROFILES = st.builds(
    Profile,
    has_voip_service=st.booleans(),
    manual_voip_suspend=st.sampled_from(["Yes", "No", "None"]),
    voip_suspended=st.sampled_from(["Yes", "No", "None"]),
    voip_suspended_by=st.sampled_from(["us", "person", "import", ""]),
)
FUNDS = st.builds(Funds, st.integers(-5, 5), st.integers(0, 5))
STATES = st.sampled_from(["active", "suspended"])
AUTOMATIC = Profile(has_voip_service=True)


def decided(
    manual: str = "None",
    suspended: str = "None",
    by: str = "",
    *,
    funds: Funds | None = Funds(50, 0),  # noqa: B008 -- immutable
    prepaid: bool = True,
    state: State = "active",
) -> Decision:
    profile = read_profile("yes", manual, suspended, by)
    return decide_suspension(profile, funds, prepaid=prepaid, state=state)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_published_case(case: Case) -> None:
    assert case.mismatches() == []


@pytest.mark.parametrize(
    ("manual", "suspended", "by", "mode", "wanted"),
    [
        ("Yes", "None", "", "manual", "suspended"),
        ("Yes", "No", "person", "manual", "suspended"),
        ("Yes", "Yes", "person", "manual", "suspended"),
        ("No", "No", "person", "exempt", "active"),
        ("No", "No", "", "exempt", "active"),
        ("No", "Yes", "person", "forced", "suspended"),
        ("None", "Yes", "person", "forced", "suspended"),
        ("None", "No", "person", "auto", "active"),
        ("None", "None", "", "auto", "active"),
        ("No", "None", "us", "auto", "active"),
        ("No", "Yes", "us", "auto", "active"),
        ("None", "Yes", "us", "auto", "active"),
        ("None", "Yes", "import", "auto", "active"),
        ("None", "Yes", "", "auto", "active"),
    ],
)
@pytest.mark.parametrize("state", ["active", "suspended"])
def test_which_rule_governs_a_client_with_funds(
    manual: str, suspended: str, by: str, mode: str, wanted: str, state: State
) -> None:
    assert decided(manual, suspended, by, state=state) == (wanted, mode, False)


@pytest.mark.parametrize(
    ("credit", "outstanding", "when_active", "when_suspended"),
    [
        (-1, 0, "suspended", "suspended"),
        (0, 0, "suspended", "suspended"),
        (0, 5, "suspended", "suspended"),
        (5, 6, "suspended", "suspended"),
        (5, 5, "active", "suspended"),
        (5, 1, "active", "suspended"),
        (5, 0, "active", "active"),
        (1, 0, "active", "active"),
    ],
)
def test_the_automatic_rule(
    credit: int, outstanding: int, when_active: str, when_suspended: str
) -> None:
    funds = Funds(credit, outstanding)
    zero_mail = when_active == "suspended"
    assert decided(funds=funds, state="active") == (when_active, "auto", zero_mail)
    assert decided(funds=funds, state="suspended") == (when_suspended, "auto", False)


def test_with_funds_unknown_the_automatic_rule_changes_nothing() -> None:
    for state in ("active", "suspended"):
        assert decided(funds=None, state=state).wanted == "leave"
    assert decided("Yes", funds=None).wanted == "suspended"
    assert decided("No", "No", "person", funds=None, state="suspended").wanted == "active"
    assert decided("None", "Yes", "person", funds=None).wanted == "suspended"


def test_a_metered_product_is_switched_off_by_people_only() -> None:
    broke = Funds(-100, 50)
    assert decided(funds=broke, prepaid=False) == ("active", "auto", False)
    assert decided(funds=broke, prepaid=False, state="suspended").wanted == "active"
    assert decided("Yes", funds=broke, prepaid=False).wanted == "suspended"


@given(PROFILES, FUNDS, st.booleans(), STATES)
def test_a_decision_stands_once_it_is_carried_out(
    profile: Profile, funds: Funds, prepaid: bool, state: State
) -> None:
    """Decided again in the state it led to, it wants that state and owes no second mail."""
    first = decide_suspension(profile, funds, prepaid=prepaid, state=state)
    if first.wanted == "leave":
        return
    again = decide_suspension(profile, funds, prepaid=prepaid, state=first.wanted)
    assert again == (first.wanted, first.mode, False)


@given(PROFILES, st.none() | FUNDS, st.booleans(), STATES)
def test_the_zero_balance_mail_is_owed_only_when_funds_switch_a_service_off(
    profile: Profile, funds: Funds | None, prepaid: bool, state: State
) -> None:
    decision = decide_suspension(profile, funds, prepaid=prepaid, state=state)
    switches_off = decision.wanted == "suspended" and state == "active"
    assert decision.zero_mail == (switches_off and decision.mode == "auto")
    if not profile.has_voip_service:
        assert decision == ("leave", "off", False)


def test_options_are_read_in_any_case_with_blanks() -> None:
    profile = read_profile(" YES ", "no", "", " Import ")
    assert profile.has_voip_service
    assert profile.manual_voip_suspend == "No"
    assert profile.voip_suspended == "None"
    assert profile.voip_suspended_by == "import"
    assert not read_profile("", "", "", "").has_voip_service


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
        read_profile(*options)
    assert refused.value.field == field
