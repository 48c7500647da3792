"""`ringfence order`, `suspend`, `unsuspend`: orders by hand and their effect."""

from collections.abc import AsyncIterator

import pytest

from ringfence_cli.clients.clients import client
from ringfence_cli.clients.orders import order
from ringfence_cli.clients.suspension import suspend, unsuspend
from tests.support.accounts import running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        operator = Operator(api)
        await api.client(opening_balance="20.00")
        await operator.product("anna", "pbx-1")
        await operator.product("anna", "pbx-2")
        await operator.posted("anna", 20_000_000)
        await operator.level("anna", "ok", 20_000_000)
        yield operator


async def test_suspend_and_unsuspend_show_what_happens(operator: Operator) -> None:
    off = await operator.output(suspend, "anna", "--reason", "fraud", "--until", "2099-12-01")
    assert off.startswith("anna: switched off within seconds")
    (given,) = await operator.json(order, "list", "anna")
    assert (given["kind"], given["given_by"], given["reason"]) == ("manual", "tester", "fraud")
    # The end of that day in the client's zone, Toronto.
    assert given["until"].startswith("2099-12-02T05:00:00")
    shown = await operator.output(client, "show", "anna")
    assert "manual whole client tester" in shown
    await operator.service("anna", "pbx-1", "suspended")
    await operator.service("anna", "pbx-2", "suspended")
    on = await operator.output(unsuspend, "anna")
    assert on.startswith("anna: switched on within seconds")
    assert await operator.output(order, "list", "anna") == "No orders of anna are in force."


async def test_unsuspend_shows_what_keeps_a_client_off(operator: Operator) -> None:
    await operator.run(suspend, "anna")
    await operator.balance("anna", -3_600_000)
    await operator.level("anna", "exhausted", -3_600_000)
    for product in ("pbx-1", "pbx-2"):
        await operator.service("anna", product, "suspended")
    output = await operator.output(unsuspend, "anna")
    assert "stays off: no credit (balance -3.60 CAD)" in output
    assert "brought back by a payment of more than 3.60" in output


async def test_unsuspend_without_a_manual_order_says_so(operator: Operator) -> None:
    output = await operator.run(unsuspend, "anna")
    assert "no manual order" in output.output.lower(), output.output


async def test_one_product_is_suspended_by_itself(operator: Operator) -> None:
    await operator.run(suspend, "anna", "--product", "pbx-2")
    await operator.run(
        order, "add", "anna", "whmcs", "--product", "pbx-2", "--reason", "invoice 12"
    )
    listed = await operator.run(order, "list", "anna")
    assert listed.stdout.count("pbx-2") == 2
    assert "2 orders." in listed.stdout
    assert "Times are in" in listed.stdout
    unknown = await operator.output(suspend, "anna", "--product", "pbx-9", status=2)
    assert "pbx-9" in unknown
    assert "stays off" in await operator.output(unsuspend, "anna", "--product", "pbx-2")
    assert {each["kind"] for each in await operator.json(order, "list", "anna")} == {"whmcs"}


async def test_orders_of_all_clients_are_listed_with_their_account(operator: Operator) -> None:
    assert await operator.output(order, "list") == "No orders are in force."
    await operator.api.client("bert", opening_balance="0")
    await operator.run(order, "add", "anna", "forced", "--reason", "[red]wrong")
    await operator.run(order, "add", "bert", "exemption", "--until", "2099-12-01T17:00")
    listed = await operator.run(order, "list")
    assert "[red]" in listed.stdout
    assert "whole client" in listed.stdout
    accounts = [each["account_id"] for each in await operator.json(order, "list")]
    assert accounts == ["anna", "bert"]


async def test_an_order_is_replaced_and_ended_and_an_unknown_one_refused(
    operator: Operator,
) -> None:
    await operator.run(order, "add", "anna", "exemption", "--reason", "first")
    await operator.run(order, "add", "anna", "exemption", "--reason", "second")
    (kept,) = await operator.json(order, "list", "anna")
    assert kept["reason"] == "second"
    await operator.run(order, "end", "anna", "exemption")
    nothing = await operator.output(order, "end", "anna", "exemption", status=2)
    assert "exemption" in nothing
    bad = await operator.output(order, "add", "anna", "manual", "--until", "monday", status=2)
    assert "2026-12-01" in bad
    past = await operator.output(order, "add", "anna", "manual", "--until", "2020-01-01", status=2)
    assert "until" in past


async def test_in_shadow_an_order_by_hand_is_refused_with_what_to_do(
    operator: Operator,
) -> None:
    await operator.api.put("clients/anna/mode", {"mode": "shadow"})
    refused = await operator.output(suspend, "anna", status=2)
    assert "ringfence mode live --clients anna" in refused
    assert await operator.json(order, "list", "anna") == []


async def test_an_unknown_client_is_refused_with_the_command_to_use(operator: Operator) -> None:
    output = await operator.output(suspend, "nobody", status=2)
    assert "there is no client 'nobody'" in output
    assert "ringfence client list --search" in output
