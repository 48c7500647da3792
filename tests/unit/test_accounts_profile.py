"""Profiles: thresholds as typed, and who wrote `VoIP Suspended`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.account import (
    Account,
    Settings,
    entered,
    parse_threshold,
    suspension_warnings,
    with_confirmed,
    with_manual_suspend,
)
from accounts.refusals import Clash
from ringfence.errors import BadInput
from ringfence.events.account import Client, Profile

ANNA = Client(first_name="Anna", email="anna@example.com")


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"currency": "CAD", "client": ANNA, **changes})


@pytest.mark.parametrize(
    ("typed", "micro"),
    [
        ("15", 15_000_000),
        ("$15", 15_000_000),
        ("$ 15.50", 15_500_000),
        ("15.00", 15_000_000),
        ("1,500", 1_500_000_000),
        ("$1,500.25", 1_500_250_000),
        (" .5 ", 500_000),
        ("", None),
        ("   ", None),
        ("0", None),
        ("$0.00", None),
    ],
)
def test_a_threshold_is_money_or_off(typed: str, micro: int | None) -> None:
    assert parse_threshold(typed) == micro


@pytest.mark.parametrize(
    "typed",
    ["abc", "$", "$$15", "15$", "1,50", "-15", "$-15", "1e3", "NaN", "15 CAD", "15.0000001"],
)
def test_a_threshold_that_is_no_amount_is_refused_with_the_format(typed: str) -> None:
    with pytest.raises(BadInput, match=r"Low Balance Threshold.*\$15.*1,500"):
        parse_threshold(typed)


@given(st.text(max_size=30))
def test_a_threshold_is_never_negative_and_nothing_else_is_raised(typed: str) -> None:
    try:
        micro = parse_threshold(typed)
    except BadInput:
        return
    assert micro is None or micro > 0


def test_currency_is_kept_for_ever() -> None:
    account = entered("anna", None, settings())
    with pytest.raises(Clash, match="CAD"):
        entered("anna", account, settings(currency="USD"))


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        # value and writer before; voip_suspended and written_by as sent; value and writer after
        (("None", ""), ("Yes", None), ("Yes", "person")),
        (("None", ""), ("Yes", "import"), ("Yes", "import")),
        (("None", ""), ("No", "import"), ("No", "person")),
        (("None", ""), (None, None), ("None", "")),
        (("Yes", "us"), ("Yes", None), ("Yes", "us")),
        (("Yes", "us"), ("Yes", "person"), ("Yes", "person")),
        (("Yes", "us"), ("No", None), ("No", "person")),
        (("Yes", "us"), (None, "person"), ("Yes", "us")),
        (("Yes", "person"), ("None", None), ("None", "person")),
    ],
)
def test_who_wrote_the_override(
    before: tuple[str, str], sent: tuple[str | None, str | None], after: tuple[str, str]
) -> None:
    profile = Profile.model_validate({"voip_suspended": before[0], "voip_suspended_by": before[1]})
    account = Account(account_id="anna", currency="CAD", client=ANNA, profile=profile)
    found = entered("anna", account, settings(voip_suspended=sent[0], written_by=sent[1])).profile
    assert (found.voip_suspended, found.voip_suspended_by) == after


@pytest.mark.parametrize(
    ("before", "any_suspended", "after"),
    [
        (("None", ""), True, ("Yes", "us")),
        (("None", "person"), True, ("Yes", "us")),
        (("Yes", "us"), False, ("None", "us")),
        (("Yes", "import"), False, ("None", "us")),
        (("Yes", "import"), True, ("Yes", "import")),
        (("Yes", "person"), False, ("Yes", "person")),
        (("No", "person"), True, ("No", "person")),
        (("No", "person"), False, ("No", "person")),
        (("None", ""), False, ("None", "")),
    ],
)
def test_what_a_confirmation_writes(
    before: tuple[str, str], any_suspended: bool, after: tuple[str, str]
) -> None:
    profile = Profile.model_validate({"voip_suspended": before[0], "voip_suspended_by": before[1]})
    account = Account(account_id="anna", currency="CAD", client=ANNA, profile=profile)
    found = with_confirmed(any_suspended)(account).profile
    assert (found.voip_suspended, found.voip_suspended_by) == after


def test_manual_suspension_is_kept_when_a_profile_leaves_it_out() -> None:
    account = with_manual_suspend("Yes")(entered("anna", None, settings()))
    assert entered("anna", account, settings()).profile.manual_voip_suspend == "Yes"


def test_suspending_a_client_without_voip_service_earns_a_warning() -> None:
    assert "Has VoIP Service" in suspension_warnings(Profile())[0]
    assert suspension_warnings(Profile(has_voip_service=True)) == []
