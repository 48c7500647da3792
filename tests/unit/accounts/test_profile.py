"""Profiles: thresholds as typed, and who wrote `VoIP Suspended`."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.clients.account import (
    Account,
    ClientSettings,
    entered,
    entry_warnings,
    patched,
    shown_profile,
    suspension_warnings,
    with_confirmed,
    with_manual_suspend,
)
from accounts.clients.checks import check_not_dropped, parse_threshold
from accounts.clients.orders import Author, ClientOrder
from accounts.refusals import Clash
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client, Profile

ANNA = Client(first_name="Anna", email="anna@example.com")
NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
BY = Author("olga", NOW)


def account(**changes: object) -> Account:
    """A stored client; the Yes of a person is stored as an order."""
    profile = Profile.model_validate(changes.pop("profile", {}))
    orders: tuple[ClientOrder, ...] = ()
    if (profile.voip_suspended, profile.voip_suspended_by) == ("Yes", "person"):
        orders = (ClientOrder(kind="forced", given_by="olga", since=NOW, by_field=True),)
    return Account.model_validate(
        {"account_id": "anna", "currency": "CAD", "client": ANNA, "profile": profile,
         "orders": orders, **changes}
    )  # fmt: skip


def settings(**changes: object) -> ClientSettings:
    return ClientSettings.model_validate({"currency": "CAD", "client": ANNA, **changes})


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
def test_a_threshold_is_an_amount_or_off(typed: str, micro: int | None) -> None:
    assert parse_threshold(typed) == micro


@pytest.mark.parametrize(
    "typed",
    ["abc", "$", "$$15", "15$", "1,50", "-15", "$-15", "1e3", "NaN", "15 CAD", "15.0000001"],
)
def test_a_malformed_threshold_is_refused_with_the_format(typed: str) -> None:
    with pytest.raises(BadInput, match=r"Low Balance Threshold.*\$15.*1,500"):
        parse_threshold(typed)


@given(st.text(max_size=30))
def test_any_text_is_a_threshold_of_0_or_more_or_refused(typed: str) -> None:
    try:
        micro = parse_threshold(typed)
    except BadInput:
        return
    assert micro is None or micro > 0


def test_the_currency_of_a_client_cannot_change() -> None:
    with pytest.raises(Clash, match="CAD"):
        entered("anna", account(), settings(currency="USD"), BY)


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
def test_the_writer_of_voip_suspended(
    before: tuple[str, str], sent: tuple[str | None, str | None], after: tuple[str, str]
) -> None:
    old = account(profile={"voip_suspended": before[0], "voip_suspended_by": before[1]})
    new = entered("anna", old, settings(voip_suspended=sent[0], written_by=sent[1]), BY)
    found = shown_profile(new, NOW)
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
def test_a_confirmation_writes_yes_or_none(
    before: tuple[str, str], any_suspended: bool, after: tuple[str, str]
) -> None:
    old = account(profile={"voip_suspended": before[0], "voip_suspended_by": before[1]})
    found = shown_profile(with_confirmed(any_suspended, NOW)(old), NOW)
    assert (found.voip_suspended, found.voip_suspended_by) == after


def test_manual_suspension_left_out_stays() -> None:
    held = with_manual_suspend("Yes", BY)(account())
    assert shown_profile(entered("anna", held, settings(), BY), NOW).manual_voip_suspend == "Yes"


def test_suspending_a_client_without_voip_service_warns() -> None:
    assert "Has VoIP Service" in suspension_warnings(account(), NOW)[0]
    assert suspension_warnings(account(profile={"has_voip_service": True}), NOW) == []


@pytest.mark.parametrize(
    ("before", "sent", "read_by", "author", "counts"),
    [
        # value and writer before; value in the body; writer in the body; author; whether it counts
        (("None", "us"), "Yes", None, BY, False),  # read while off, sent back after a top-up
        (("None", "us"), "Yes", "us", BY, False),
        (("None", "us"), "Yes", None, Author("olga", NOW, matched=True), True),
        (("None", "us"), "Yes", "us", Author("olga", NOW, matched=True), False),
        (("Yes", "us"), "None", "", BY, False),  # read while on, sent back while off
        (("Yes", "us"), "No", None, BY, True),  # No is always a person's
        (("None", ""), "Yes", None, BY, True),
        (("None", "person"), "Yes", None, BY, True),
        (("Yes", "person"), "None", None, BY, True),
    ],
)
def test_a_value_that_a_body_repeats_is_not_an_order(
    before: tuple[str, str], sent: str, read_by: str | None, author: Author, counts: bool
) -> None:
    old = account(profile={"voip_suspended": before[0], "voip_suspended_by": before[1]})
    body = settings(voip_suspended=sent, voip_suspended_by=read_by)
    after = shown_profile(entered("anna", old, body, author), NOW)
    assert (after.voip_suspended == sent) == counts
    assert bool(entry_warnings(old, body, author)) != counts


def test_a_malformed_imported_threshold_is_off_and_warned_about() -> None:
    body = settings(low_balance_threshold="soon", written_by="import")
    imported = entered("anna", None, body, BY)
    assert imported.profile.low_balance_threshold == "soon"
    assert imported.profile.threshold_micro is None
    assert "'soon'" in entry_warnings(None, body, BY)[0]
    assert entered("anna", imported, settings(low_balance_threshold="soon"), BY) == imported
    with pytest.raises(BadInput, match="Low Balance Threshold"):
        entered("anna", imported, settings(low_balance_threshold="later"), BY)


@pytest.mark.parametrize(
    ("left_out", "words"), [("has_voip_service", "VoIP service off"),
                            ("low_balance_threshold", "alerts off")],
)  # fmt: skip
def test_a_put_that_would_turn_something_off_by_omission_is_refused(
    left_out: str, words: str
) -> None:
    old = Profile(has_voip_service=True, low_balance_threshold="15")
    sent = frozenset({"has_voip_service", "low_balance_threshold"})
    check_not_dropped(old, sent)
    check_not_dropped(None, frozenset())
    with pytest.raises(BadInput, match=words) as refused:
        check_not_dropped(old, sent - {left_out})
    assert refused.value.field == left_out


def test_a_patch_leaves_omitted_fields_unchanged() -> None:
    old = account(profile={"has_voip_service": True, "low_balance_threshold": "15",
                           "threshold_micro": 15_000_000})  # fmt: skip
    after = entered("anna", old, patched(old, {"company_name": "Berg"}), BY)
    assert after.client.company_name == "Berg"
    assert after == old.model_copy(update={"client": after.client})
