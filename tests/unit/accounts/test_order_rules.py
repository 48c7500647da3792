"""Orders, and the two suspension fields that give and end client-wide orders."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.clients.account import (
    Account,
    ClientSettings,
    account_changed,
    entered,
    shown_profile,
    with_confirmed,
    with_manual_suspend,
    with_mode,
    with_order,
    with_outstanding,
    with_voip_suspended,
    without_order,
)
from accounts.clients.orders import Author, ClientOrder, in_force, read_until
from accounts.refusals import Clash, Unknown
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client, OrderKind

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ANNA = Client(first_name="Anna", email="anna@example.com")
FRESH = Account(account_id="anna", version=1, currency="CAD", client=ANNA)


def author(who: str = "olga", minutes: int = 0, matched: bool = False) -> Author:
    return Author(who, NOW + timedelta(minutes=minutes), matched)


def order(kind: OrderKind = "manual", **more: object) -> ClientOrder:
    return ClientOrder.model_validate({"kind": kind, "given_by": "olga", "since": NOW, **more})


def kinds(account: Account, now: datetime = NOW) -> list[str]:
    return sorted(order.kind for order in in_force(account.orders, now))


def fields(account: Account, now: datetime = NOW) -> tuple[str, str]:
    profile = shown_profile(account, now)
    return profile.manual_voip_suspend, profile.voip_suspended


@pytest.mark.parametrize(
    ("steps", "orders", "shown"),
    [
        ("manual Yes", ["manual"], ("Yes", "None")),
        ("manual Yes;manual None", [], ("None", "None")),
        ("manual Yes;manual No", [], ("No", "None")),
        ("voip Yes", ["forced"], ("None", "Yes")),
        ("voip Yes;voip None", [], ("None", "None")),
        ("voip Yes;voip No", [], ("None", "No")),
        ("manual No", [], ("No", "None")),
        ("manual No;voip No", ["exemption"], ("No", "No")),
        ("voip No;manual No", ["exemption"], ("No", "No")),
        ("voip No;manual No;manual None", [], ("None", "No")),
        ("voip No;manual No;voip None", [], ("No", "None")),
        ("voip No;manual No;manual Yes", ["manual"], ("Yes", "No")),
        ("voip No;manual No;voip Yes", ["forced"], ("No", "Yes")),
        ("manual Yes;voip Yes", ["forced", "manual"], ("Yes", "Yes")),
        ("manual Yes;voip Yes;manual None", ["forced"], ("None", "Yes")),
        ("voip No;manual Yes;manual No", ["exemption"], ("No", "No")),
    ],
)
def test_the_fields_give_and_end_the_client_wide_orders(
    steps: str, orders: list[str], shown: tuple[str, str]
) -> None:
    account = FRESH
    for step in steps.split(";"):
        field, value = step.split()
        write = with_manual_suspend if field == "manual" else with_voip_suspended
        account = write(value, author())(account)  # type: ignore[arg-type]
    assert (kinds(account), fields(account)) == (orders, shown)
    assert all(kept.by_field and kept.given_by == "olga" for kept in account.orders)


def test_an_order_by_hand_shows_in_its_field_and_the_field_ends_it() -> None:
    account = with_order(order("manual"))(with_order(order("forced"))(FRESH))
    assert fields(account) == ("Yes", "Yes")
    account = with_manual_suspend("None", author())(account)
    account = with_voip_suspended("None", author())(account)
    assert (kinds(account), fields(account)) == ([], ("None", "None"))


def test_a_typed_no_is_shown_again_after_a_manual_order_and_the_exemption_stays() -> None:
    exempt = with_voip_suspended("No", author())(with_manual_suspend("No", author())(FRESH))
    held = with_order(order("manual"))(exempt)
    assert (kinds(held), fields(held)) == (["exemption", "manual"], ("Yes", "No"))
    freed = without_order("manual", None, NOW)(held)
    assert (kinds(freed), fields(freed)) == (["exemption"], ("No", "No"))


def test_the_end_of_an_exemption_that_the_fields_gave_clears_them() -> None:
    exempt = with_voip_suspended("No", author())(with_manual_suspend("No", author())(FRESH))
    ended = without_order("exemption", None, NOW)(exempt)
    assert (kinds(ended), fields(ended)) == ([], ("None", "None"))
    assert kinds(with_manual_suspend("No", author())(ended)) == []


def test_an_exemption_given_by_hand_is_not_ended_by_the_fields() -> None:
    exempt = with_order(order("exemption"))(FRESH)
    assert fields(exempt) == ("None", "None")
    assert kinds(with_manual_suspend("No", author())(exempt)) == ["exemption"]


def test_an_order_past_its_end_has_no_effect_and_is_not_shown() -> None:
    account = with_order(order("manual", until=LATER))(FRESH)
    account = with_order(order("forced", until=LATER))(account)
    assert fields(account) == ("Yes", "Yes")
    assert (kinds(account, LATER), fields(account, LATER)) == ([], ("None", "None"))
    assert account_changed(account, (), LATER).orders == ()


def test_a_body_read_before_an_order_ended_does_not_give_it_again() -> None:
    account = with_order(order("manual", until=LATER))(FRESH)
    account = with_order(order("forced", until=LATER))(account)
    body = ClientSettings(
        currency="CAD", client=ANNA, manual_voip_suspend="Yes", voip_suspended="Yes"
    )
    assert kinds(entered("anna", account, body, Author("olga", LATER)), LATER) == []
    meant = Author("olga", LATER, matched=True)
    assert kinds(entered("anna", account, body, meant), LATER) == ["forced", "manual"]


def test_giving_an_order_again_keeps_only_its_beginning() -> None:
    account = with_order(order("manual", reason="holiday"))(FRESH)
    again = order("manual", reason="until paid", until=LATER, given_by="ivan",
                  since=NOW + timedelta(hours=1))  # fmt: skip
    (kept,) = with_order(again)(account).orders
    assert (kept.reason, kept.until, kept.given_by) == ("until paid", LATER, "ivan")
    assert kept.since == NOW


def test_orders_of_products_are_one_for_each_kind_and_product() -> None:
    account = FRESH
    for service in (None, "pbx-1", "pbx-2", "pbx-1"):
        account = with_order(order("manual", service_id=service))(account)
    assert [kept.service_id for kept in account.orders] == [None, "pbx-2", "pbx-1"]
    account = without_order("manual", "pbx-1", NOW)(account)
    assert fields(account) == ("Yes", "None")
    with pytest.raises(Unknown, match="no manual order for product pbx-1"):
        without_order("manual", "pbx-1", NOW)(account)
    with pytest.raises(Unknown, match="whole client"):
        without_order("whmcs", None, NOW)(account)


@pytest.mark.parametrize("kind", ["manual", "forced", "exemption"])
def test_orders_by_hand_are_refused_in_shadow_mode(kind: OrderKind) -> None:
    shadow = with_mode("shadow", False)(FRESH)
    with pytest.raises(Clash, match="ringfence mode live --clients anna"):
        with_order(order(kind))(shadow)


def test_shadow_mode_accepts_whmcs_orders_and_imports() -> None:
    shadow = with_mode("shadow", False)(FRESH)
    assert kinds(with_order(order("whmcs"))(shadow)) == ["whmcs"]
    body = {"currency": "CAD", "client": ANNA, "manual_voip_suspend": "Yes"}
    imported = ClientSettings.model_validate({**body, "written_by": "import"})
    assert kinds(entered("anna", shadow, imported, author())) == ["manual"]
    with pytest.raises(Clash, match="shadow"):
        entered("anna", shadow, ClientSettings.model_validate(body), author())


def test_a_confirmed_state_is_stored_beneath_a_forced_order() -> None:
    forced = with_voip_suspended("Yes", author())(FRESH)
    off = with_confirmed(True, NOW)(forced)
    assert shown_profile(off, NOW).voip_suspended_by == "person"
    ended = without_order("forced", None, NOW)(off)
    profile = shown_profile(ended, NOW)
    assert (profile.voip_suspended, profile.voip_suspended_by) == ("Yes", "us")
    assert fields(with_confirmed(False, NOW)(ended)) == ("None", "None")


def test_leave_off_applies_in_shadow_mode_alone() -> None:
    assert with_mode("shadow", True)(FRESH).leave_off
    assert not with_mode("live", True)(FRESH).leave_off


@pytest.mark.parametrize(
    ("typed", "zone", "until"),
    [
        ("2026-12-01", "America/Toronto", "2026-12-02T05:00:00+00:00"),
        ("2027-06-30", "America/Toronto", "2027-07-01T04:00:00+00:00"),
        ("2026-11-01", "Asia/Tokyo", "2026-11-01T15:00:00+00:00"),
        ("2026-12-01T09:00:00-05:00", "UTC", "2026-12-01T14:00:00+00:00"),
        ("2026-12-01T09:00Z", "Asia/Tokyo", "2026-12-01T09:00:00+00:00"),
    ],
)
def test_an_end_is_an_instant_or_the_end_of_a_day_in_the_clients_zone(
    typed: str, zone: str, until: str
) -> None:
    assert read_until(typed, zone, NOW).isoformat() == until


@pytest.mark.parametrize(
    "typed",
    ["", "monday", "2026-12-01T09:00:00", "2026-13-01", "2026-10-31", "2026-11-01T10:00:00Z",
     "9999-12-31", "0001-01-01T00:00:00+14:00"],
)  # fmt: skip
def test_an_end_in_the_past_or_malformed_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match="until"):
        read_until(typed, "America/Toronto", NOW)


@given(st.text(max_size=30))
def test_any_text_is_parsed_as_a_future_end_or_refused(typed: str) -> None:
    try:
        until = read_until(typed, "Europe/Berlin", NOW)
    except BadInput:
        return
    assert until > NOW


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), max_size=12))
def test_the_debts_read_last_are_kept_in_any_order_of_arrival(
    readings: list[tuple[int, int]],
) -> None:
    account = FRESH
    for minute, amount in readings:
        account = with_outstanding(amount, NOW + timedelta(minutes=minute), LATER)(account)
    if readings:
        last = max(minute for minute, _ in readings)
        assert account.outstanding_as_of == NOW + timedelta(minutes=last)
        assert account.outstanding_micro in {a for minute, a in readings if minute == last}


def test_debts_by_a_person_always_apply_and_older_readings_do_not() -> None:
    account = with_outstanding(20, NOW, NOW)(FRESH)
    account = with_outstanding(0, None, NOW + timedelta(minutes=1))(account)
    late = with_outstanding(20, NOW + timedelta(seconds=30), LATER)
    assert late(account) == account
    assert account.outstanding_micro == 0
    with pytest.raises(BadInput, match="as_of"):
        with_outstanding(1, NOW + timedelta(seconds=61), NOW)


def test_the_published_profile_is_the_shown_one() -> None:
    account = with_order(order("manual", service_id="pbx-1"))(
        with_manual_suspend("Yes", author())(FRESH)
    )
    account = account.model_copy(update={"version": 3, "credit_limit_micro": 5})
    event = account_changed(account, (), NOW, accepted=2)
    assert event.profile.manual_voip_suspend == "Yes"
    assert [(o.kind, o.service_id) for o in event.orders or ()] == [
        ("manual", None),
        ("manual", "pbx-1"),
    ]
    assert (event.mode, event.leave_off, event.accepted, event.credit_limit_micro) == (
        "live",
        False,
        2,
        5,
    )
    assert b"by_field" not in event.to_json()
