"""Whether a service is to be on or off: holds, orders and the two fields that give orders."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.events.account import AccountChanged, Order, Profile, Service
from ringfence_testing.records import NOON, account
from suspender.rules.suspension import (
    Decision,
    decide,
    effective,
    next_end,
    orders_in_force,
)

KINDS = ("manual", "forced", "whmcs", "exemption")
SERVICE = account().services[0]
OTHER = "svc-other"

ORDERS = st.lists(
    st.builds(
        Order,
        kind=st.sampled_from(KINDS),
        service_id=st.sampled_from([None, SERVICE.service_id, OTHER]),
        given_by=st.just("olga"),
        since=st.just(NOON),
    ),
    max_size=5,
)


def order(kind: str, product: str | None = None, hours: float | None = None) -> Order:
    """An order by hand, which ends so many hours after noon."""
    until = None if hours is None else NOON + timedelta(hours=hours)
    return Order(kind=kind, service_id=product, given_by="olga", since=NOON, until=until)


def decided(
    *orders: Order, held: bool | None = False, prepaid: bool = True, has: bool = True
) -> Decision:
    service = SERVICE.model_copy(update={"prepaid": prepaid})
    return decide(has_voip_service=has, orders=orders, funds_held=held, service=service)


def by_fields(manual: str, suspended: str, by: str = "") -> AccountChanged:
    """A record from before orders were published."""
    fields: dict[str, object] = {
        "manual_voip_suspend": manual,
        "voip_suspended": suspended,
        "voip_suspended_by": by,
    }
    return account(profile=fields)


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
def test_a_record_without_orders_gets_them_from_the_two_fields(
    manual: str, suspended: str, by: str, mode: str, wanted: str
) -> None:
    changed = by_fields(manual, suspended, by)
    decision = decided(*orders_in_force(changed, NOON))
    assert (decision.desired, decision.mode) == (wanted, mode)
    held = decided(*orders_in_force(changed, NOON), held=True)
    assert held.desired == ("active" if mode == "exempt" else "suspended")


def test_published_orders_take_precedence_over_the_fields() -> None:
    shown = account(profile={"manual_voip_suspend": "Yes"}, orders=())
    assert orders_in_force(shown, NOON) == ()
    given = account(orders=(order("forced"),))
    assert [one.kind for one in orders_in_force(given, NOON)] == ["forced"]


def test_any_hold_suspends_and_all_holds_are_listed() -> None:
    decision = decided(order("whmcs"), order("manual"), held=True)
    assert decision == Decision("suspended", ("funds", "manual", "whmcs"), True, "manual")
    assert decided(order("whmcs")).mode == "manual"
    assert decided(order("whmcs"), order("forced")).mode == "forced"
    assert decided() == Decision("active", (), True, "auto")


def test_an_exemption_lifts_only_the_funds_hold() -> None:
    assert decided(order("exemption"), held=True) == Decision("active", (), True, "exempt", True)
    for kind in ("manual", "forced", "whmcs"):
        decision = decided(order("exemption"), order(kind), held=True)
        assert (decision.desired, decision.holds) == ("suspended", (kind,))


def test_a_metered_product_is_suspended_by_orders_only() -> None:
    assert decided(held=True, prepaid=False) == Decision("active", (), True, "auto")
    assert decided(order("manual"), held=True, prepaid=False).holds == ("manual",)


def test_an_order_for_another_product_has_no_effect() -> None:
    assert decided(order("manual", OTHER), order("exemption", OTHER), held=True) == decided(
        held=True
    )
    assert decided(order("exemption", SERVICE.service_id), held=True).desired == "active"


def test_a_hold_is_not_client_wide_if_only_product_holds_apply() -> None:
    own = order("whmcs", SERVICE.service_id)
    assert not decided(own).client_wide
    assert decided(own, held=True).client_wide
    assert decided(own, order("manual")).client_wide
    # An exemption of the client holds nothing.
    assert not decided(own, order("exemption"), held=True).client_wide


def test_without_voip_service_nothing_is_switched() -> None:
    assert decided(order("manual"), held=True, has=False).desired == "leave"


def test_a_client_imported_as_suspended_is_left_until_the_funds_are_known() -> None:
    assert decided(held=None).desired == "leave"
    assert decided(order("manual"), held=None).desired == "suspended"
    assert decided(order("exemption"), held=None).desired == "active"
    assert decided(held=None, prepaid=False).desired == "active"


def test_an_order_ends_at_its_instant_and_the_next_end_is_the_earliest() -> None:
    changed = account(orders=(order("manual", hours=2), order("forced", hours=1), order("whmcs")))
    assert len(orders_in_force(changed, NOON)) == 3
    assert next_end(changed, NOON) == NOON + timedelta(hours=1)
    at_end = NOON + timedelta(hours=1)
    assert [one.kind for one in orders_in_force(changed, at_end)] == ["manual", "whmcs"]
    assert next_end(changed, at_end) == NOON + timedelta(hours=2)
    assert next_end(changed, NOON + timedelta(hours=2)) is None


def test_in_shadow_only_leaving_live_mode_switches_services_on() -> None:
    for desired in ("active", "suspended"):
        assert effective(desired, "active", live=True, was_live=True) == desired
        assert effective(desired, "suspended", live=True, was_live=False) == desired
        for wanted in ("active", "suspended"):
            assert effective(desired, wanted, live=False, was_live=False) == wanted
        assert effective(desired, "suspended", live=False, was_live=True) == "active"
        assert (
            effective(desired, "suspended", live=False, was_live=True, keeps_off=True)
            == "suspended"
        )
    assert effective("leave", "suspended", live=True, was_live=True) == "suspended"


def reference(has: bool, orders: list[Order], held: bool, service: Service) -> str:
    """The page's sentences, one by one."""
    own = {o.kind for o in orders if o.service_id in (None, service.service_id)}
    if not has:
        return "leave"
    if own & {"manual", "forced", "whmcs"}:
        return "suspended"
    return "suspended" if held and service.prepaid and "exemption" not in own else "active"


@given(st.booleans(), ORDERS, st.booleans(), st.booleans())
def test_the_decision_follows_the_documented_table(
    has: bool, orders: list[Order], held: bool, prepaid: bool
) -> None:
    service = SERVICE.model_copy(update={"prepaid": prepaid})
    decision = decide(has_voip_service=has, orders=orders, funds_held=held, service=service)
    assert decision.desired == reference(has, orders, held, service)
    assert decision.holds or decision.desired != "suspended"
    assert "exemption" not in decision.holds
    if decision.exempt:
        assert "funds" not in decision.holds


@given(st.builds(Profile, manual_voip_suspend=st.sampled_from(["Yes", "No", "None"])), ORDERS)
def test_an_added_order_never_switches_on_except_an_exemption(
    profile: Profile, orders: list[Order]
) -> None:
    changed = account(profile=profile.model_dump(), orders=tuple(orders))
    before = decided(*orders_in_force(changed, NOON), held=True)
    for kind in ("manual", "forced", "whmcs"):
        after = decided(*orders_in_force(changed, NOON), order(kind), held=True)
        assert after.desired == "suspended"
        assert set(before.holds) <= set(after.holds)
