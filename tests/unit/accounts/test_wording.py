"""Texts: why a client is on or off, what brings it back, and what a change will do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.clients.account import Account
from accounts.clients.orders import ClientOrder
from accounts.clients.wording import (
    ClientSituation,
    FundsState,
    ProductState,
    SwitchStatus,
    brings_back,
    explanation,
    line_words,
    reason,
    what_happens,
)
from ringfence_contracts.events.account import Client, Profile

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
ANNA = Client(first_name="Anna", email="anna@example.com")
ON, OFF = ProductState("pbx-1"), ProductState("pbx-1", off=True)
ON_2 = ProductState("pbx-2")
METERED = ProductState("pbx-3", prepaid=False)
PAID = FundsState(20_000_000)
SPENT = FundsState(-3_600_000, held=True)


def order(kind: str = "manual", **more: Any) -> ClientOrder:
    return ClientOrder.model_validate({"kind": kind, "given_by": "olga", "since": NOW, **more})


def situation(
    *products: ProductState,
    funds: FundsState = PAID,
    orders: tuple[ClientOrder, ...] = (),
    **account: Any,
) -> ClientSituation:
    profile = Profile(has_voip_service=account.pop("voip", True))
    made = Account(
        account_id="anna", version=1, currency="CAD", client=ANNA, profile=profile,
        orders=orders, **account,
    )  # fmt: skip
    return ClientSituation(made, products or (ON,), funds, NOW)


@pytest.mark.parametrize(
    ("funds", "more", "words", "back"),
    [
        (SPENT, {}, "no credit: balance -3.60", "a payment of more than 3.60"),
        (FundsState(0, held=True), {}, "no credit: balance 0.00", "a payment"),
        (
            FundsState(8_000_000, held=True),
            {"outstanding_micro": 20_000_000},
            "debts of 20.00 are larger than the credit of 8.00",
            "payment of the invoices (20.00)",
        ),
        (
            FundsState(8_000_000, held=True),
            {"outstanding_micro": 5_000_000},
            "debts of 5.00 are not paid yet: held until they are, with a credit of 8.00",
            "payment of the invoices (5.00)",
        ),
        (
            FundsState(-1_000_000, held=True),
            {"outstanding_micro": 5_000_000},
            "no credit: balance -1.00",
            "a payment of more than 1.00 and payment of the invoices (5.00)",
        ),
        (
            FundsState(-60_000_000, held=True),
            {"credit_limit_micro": 50_000_000},
            "credit limit of 50.00 used up: balance -60.00",
            "a payment of more than 10.00",
        ),
        (
            FundsState(8_000_000, held=True),
            {},
            "the last payment is being settled: balance 8.00",
            "the settlement of the last payment",
        ),
        (
            FundsState(None, held=True),
            {},
            "off since it was imported, and nothing was posted yet",
            "a payment",
        ),
        (PAID, {}, "", ""),
    ],
)
def test_the_text_of_a_funds_hold_and_what_ends_it(
    funds: FundsState, more: dict[str, Any], words: str, back: str
) -> None:
    found = situation(funds=funds, **more)
    assert (reason(found), brings_back(found)) == (words, back)


@pytest.mark.parametrize(
    ("given", "words", "back"),
    [
        (
            order(reason="holiday", until=datetime(2026, 12, 1, 5, tzinfo=UTC)),
            "manual order by olga until 2026-12-01 05:00 UTC: holiday",
            "the end of the manual order",
        ),
        (order("forced"), "forced order by olga", "the end of the forced order"),
        (
            order("whmcs", service_id="pbx-1", given_by="bridge"),
            "WHMCS order for pbx-1 by bridge",
            "the end of the WHMCS order for pbx-1",
        ),
        (order(until=NOW), "", ""),
        (order(service_id="another"), "", ""),
        (order("exemption"), "", ""),
    ],
)
def test_the_text_of_an_order_has_who_until_when_and_why(
    given: ClientOrder, words: str, back: str
) -> None:
    found = situation(orders=(given,))
    assert (reason(found), brings_back(found)) == (words, back)


def test_what_ends_several_holds_is_joined() -> None:
    found = situation(OFF, ON_2, funds=SPENT, orders=(order(), order("forced")))
    assert reason(found) == "no credit: balance -3.60; manual order by olga; forced order by olga"
    assert brings_back(found) == (
        "a payment of more than 3.60 and the end of the manual order"
        " and the end of the forced order"
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        # no funds
        (
            situation(OFF, funds=SPENT),
            "stays off: no credit (balance -3.60 CAD); brought back by a payment of more than 3.60",
        ),
        (situation(OFF, funds=PAID), "switched on within seconds"),
        (situation(ON, funds=SPENT), "switched off within seconds"),
        (
            situation(OFF, funds=FundsState(8_000_000, held=True), outstanding_micro=20_000_000),
            "stays off: debts of 20.00 CAD are larger than the credit of 8.00 CAD;"
            " brought back by payment of the invoices (20.00)",
        ),
        (
            situation(OFF, funds=FundsState(-60_000_000, held=True), credit_limit_micro=50_000_000),
            "stays off: credit limit of 50.00 CAD used up (balance -60.00 CAD);"
            " brought back by a payment of more than 10.00",
        ),
        # orders
        (situation(ON, orders=(order(),)), "switched off within seconds"),
        (
            situation(OFF, orders=(order(),)),
            "stays off: manual order by olga; brought back by the end of the manual order",
        ),
        (
            situation(OFF, funds=SPENT, orders=(order(reason="abuse"),)),
            "stays off: no credit (balance -3.60 CAD); manual order by olga; brought back by"
            " a payment of more than 3.60 and the end of the manual order",
        ),
        (situation(METERED, funds=SPENT), "stays on"),
        (
            situation(OFF, ON_2, orders=(order("whmcs", service_id="pbx-2"),)),
            "pbx-1: switched on within seconds; pbx-2: switched off within seconds",
        ),
        (situation(ON, ON_2, orders=(order(service_id="pbx-2"),)),
         "pbx-1: stays on; pbx-2: switched off within seconds"),
        # exemption
        (situation(OFF, funds=SPENT, orders=(order("exemption"),)), "switched on within seconds"),
        (
            situation(ON, funds=SPENT, orders=(order("exemption"),)),
            "stays on: exemption by olga, though no credit (balance -3.60 CAD)",
        ),
        (
            situation(OFF, funds=SPENT, orders=(order("exemption"), order("forced"))),
            "stays off: forced order by olga; brought back by the end of the forced order",
        ),
        # nothing to switch
        (situation(voip=False, funds=SPENT), "nothing is switched: it has no VoIP service"),
        (
            replace(situation(), products=()),
            "nothing is switched: it has no product yet (`ringfence product set`)",
        ),
        # shadow
        (
            situation(ON, funds=SPENT, mode="shadow"),
            "shadow mode: nothing is switched; would be off: no credit (balance -3.60 CAD)",
        ),
        (situation(ON, mode="shadow"), "shadow mode: nothing is switched; would be on"),
        # the brake
        (
            situation(ON, funds=replace(SPENT, braked=True)),
            "stays on while the brake is on: no credit (balance -3.60 CAD)",
        ),
        (
            situation(ON, funds=replace(SPENT, braked=True), orders=(order(),)),
            "switched off within seconds",
        ),
    ],
)  # fmt: skip
def test_the_text_of_what_a_change_does(found: ClientSituation, words: str) -> None:
    assert what_happens(found) == words


def test_holds_that_the_suspender_has_not_read_yet_count() -> None:
    before = situation(ON, orders=(order(),))
    after = replace(before, account=before.account.model_copy(update={"orders": ()}))
    assert what_happens(after, before) == "switched on within seconds"


def test_the_text_of_what_a_change_of_mode_does() -> None:
    live = situation(OFF, funds=SPENT)
    shadow = situation(OFF, funds=SPENT, mode="shadow")
    left = situation(OFF, funds=SPENT, mode="shadow", leave_off=True)
    would = "would be off: no credit (balance -3.60 CAD)"
    on = "what was switched off is switched on within seconds"
    assert what_happens(shadow, live) == f"shadow mode: {on}; {would}"
    assert what_happens(left, live) == f"shadow mode: what was switched off stays off; {would}"
    now_live = situation(ON, funds=SPENT)
    assert what_happens(now_live, situation(ON, funds=SPENT, mode="shadow")) == (
        "switched off within seconds"
    )


def line(**more: Any) -> SwitchStatus:
    facts = {"service_id": "pbx-1", "desired": "active", "confirmed": "active",
             "switching": False, "since": NOW, **more}  # fmt: skip
    return SwitchStatus(**facts)


@pytest.mark.parametrize(
    ("found", "shown", "words"),
    [
        (situation(), line(), "on"),
        (situation(OFF, funds=SPENT), line(confirmed="suspended"),
         "off since 2026-11-01 10:00 UTC: no credit: balance -3.60"),
        (situation(OFF, funds=SPENT), line(switching=True),
         "is being switched off: no credit: balance -3.60"),
        (situation(OFF, funds=SPENT), line(switching=True, attempts=3, last_error="no answer"),
         "is being switched off (3 attempts: no answer): no credit: balance -3.60"),
        (situation(OFF), line(switching=True, confirmed="suspended"), "is being switched on"),
        (situation(OFF), line(confirmed="suspended"),
         "off since 2026-11-01 10:00 UTC: to be switched on"),
        (situation(funds=SPENT), line(), "to be switched off: no credit: balance -3.60"),
        (situation(funds=SPENT, mode="shadow"), line(), "would be off: no credit: balance -3.60"),
        (situation(mode="shadow"), line(), "would be on"),
        (situation(funds=replace(SPENT, braked=True)), line(),
         "on while the brake is on: no credit: balance -3.60"),
        (situation(voip=False), line(), "left alone: has no VoIP service"),
    ],
)  # fmt: skip
def test_the_text_for_one_product(found: ClientSituation, shown: SwitchStatus, words: str) -> None:
    assert line_words(found, found.products[0], shown) == words


def test_an_explanation_has_state_cause_what_ends_it_and_amounts() -> None:
    found = situation(OFF, funds=SPENT, orders=(order("exemption", until=NOW + timedelta(1)),))
    assert explanation(found, "on", None) == [
        "anna is on.",
        "In force: exemption by olga until 2026-11-02 10:00 UTC.",
        "Balance -3.60 CAD, unpaid invoices 0.00 CAD; the funds hold is on.",
    ]
    off = situation(OFF, funds=replace(SPENT, braked=True), credit_limit_micro=1_000_000)
    assert explanation(off, "off", None) == [
        "anna is off: credit limit of 1.00 used up: balance -3.60.",
        "What brings it back: a payment of more than 2.60.",
        "Balance -3.60 CAD, unpaid invoices 0.00 CAD, credit limit 1.00 CAD; the funds hold is on;"
        " the brake is on: funds holds cut nobody.",
    ]
    shadow = situation(ON, funds=SPENT, mode="shadow")
    assert explanation(shadow, "on", "off") == [
        "anna is on.",
        "It is in shadow mode: nothing is switched; it would be off.",
        "It would be off: no credit: balance -3.60.",
        "What brings it back: a payment of more than 3.60.",
        "Balance -3.60 CAD, unpaid invoices 0.00 CAD; the funds hold is on.",
    ]
    new = situation(funds=FundsState())
    assert explanation(new, "no-service", None) == [
        "anna has no VoIP service that could be switched.",
        "Nothing was posted to it yet: its funds decide nothing until then.",
    ]
