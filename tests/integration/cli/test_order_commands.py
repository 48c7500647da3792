"""`ringfence order`, `suspend`, `unsuspend`: what was decided by hand, and what it does."""

from collections.abc import AsyncIterator

import pytest

from ringfence_cli.clients.clients import client
from ringfence_cli.clients.orders import order
from ringfence_cli.clients.suspension import suspend, unsuspend
from tests.support.accounts import front_door
from tests.support.commands import Desk


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with front_door(database) as door:
        desk = Desk(door)
        await door.client(opening_balance="20.00")
        await desk.product("anna", "pbx-1")
        await desk.product("anna", "pbx-2")
        await desk.posted("anna", 20_000_000)
        await desk.level("anna", "ok", 20_000_000)
        yield desk


async def test_suspend_and_unsuspend_say_what_happens(desk: Desk) -> None:
    off = await desk.said(suspend, "anna", "--reason", "fraud", "--until", "2099-12-01")
    assert off.startswith("anna: switched off within seconds")
    (given,) = await desk.json(order, "list", "anna")
    assert (given["kind"], given["given_by"], given["reason"]) == ("manual", "tester", "fraud")
    # The end of that day in the client's zone, which is Toronto's.
    assert given["until"].startswith("2099-12-02T05:00:00")
    shown = await desk.said(client, "show", "anna")
    assert "manual whole client tester" in shown
    await desk.service("anna", "pbx-1", "suspended")
    await desk.service("anna", "pbx-2", "suspended")
    on = await desk.said(unsuspend, "anna")
    assert on.startswith("anna: switched on within seconds")
    assert await desk.said(order, "list", "anna") == "No orders of anna are in force."


async def test_unsuspend_says_what_keeps_a_client_off(desk: Desk) -> None:
    await desk.run(suspend, "anna")
    await desk.balance("anna", -3_600_000)
    await desk.level("anna", "exhausted", -3_600_000)
    for product in ("pbx-1", "pbx-2"):
        await desk.service("anna", product, "suspended")
    said = await desk.said(unsuspend, "anna")
    assert "stays off: no credit" in said
    assert "-3.60" in said


async def test_unsuspend_of_a_client_without_a_manual_order_says_so(desk: Desk) -> None:
    said = await desk.run(unsuspend, "anna")
    assert "no manual order" in said.output.lower(), said.output


async def test_one_product_is_suspended_by_itself(desk: Desk) -> None:
    await desk.run(suspend, "anna", "--product", "pbx-2")
    await desk.run(order, "add", "anna", "whmcs", "--product", "pbx-2", "--reason", "invoice 12")
    listed = await desk.run(order, "list", "anna")
    assert listed.stdout.count("pbx-2") == 2
    assert "2 orders." in listed.stdout
    assert "Times are in" in listed.stdout
    unknown = await desk.said(suspend, "anna", "--product", "pbx-9", status=2)
    assert "pbx-9" in unknown
    assert "stays off" in await desk.said(unsuspend, "anna", "--product", "pbx-2")
    assert {each["kind"] for each in await desk.json(order, "list", "anna")} == {"whmcs"}


async def test_orders_of_all_clients_are_listed_with_their_account(desk: Desk) -> None:
    assert await desk.said(order, "list") == "No orders are in force."
    await desk.door.client("bert", opening_balance="0")
    await desk.run(order, "add", "anna", "forced", "--reason", "[red]wrong")
    await desk.run(order, "add", "bert", "exemption", "--until", "2099-12-01T17:00")
    listed = await desk.run(order, "list")
    assert "[red]" in listed.stdout
    assert "whole client" in listed.stdout
    accounts = [each["account_id"] for each in await desk.json(order, "list")]
    assert accounts == ["anna", "bert"]


async def test_an_order_is_replaced_and_ended_and_an_unknown_one_refused(desk: Desk) -> None:
    await desk.run(order, "add", "anna", "exemption", "--reason", "first")
    await desk.run(order, "add", "anna", "exemption", "--reason", "second")
    (kept,) = await desk.json(order, "list", "anna")
    assert kept["reason"] == "second"
    await desk.run(order, "end", "anna", "exemption")
    nothing = await desk.said(order, "end", "anna", "exemption", status=2)
    assert "exemption" in nothing
    bad = await desk.said(order, "add", "anna", "manual", "--until", "monday", status=2)
    assert "2026-12-01" in bad
    past = await desk.said(order, "add", "anna", "manual", "--until", "2020-01-01", status=2)
    assert "until" in past


async def test_in_shadow_an_order_by_hand_is_refused_with_the_way_to_go_on(desk: Desk) -> None:
    await desk.door.put("clients/anna/mode", {"mode": "shadow"})
    refused = await desk.said(suspend, "anna", status=2)
    assert "ringfence mode live --clients anna" in refused
    assert await desk.json(order, "list", "anna") == []


async def test_an_unknown_client_is_refused_in_the_words_of_commands(desk: Desk) -> None:
    said = await desk.said(suspend, "nobody", status=2)
    assert "there is no client 'nobody'" in said
    assert "ringfence client list --search" in said
