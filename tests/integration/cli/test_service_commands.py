"""`ringfence services`, `client show`, `product`: what is off, its proof, what stays off."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence_cli import service_commands
from ringfence_cli.clients.clients import client
from ringfence_cli.clients.explanation import explain_client
from ringfence_cli.clients.orders import order
from ringfence_cli.clients.suspension import services, suspend
from ringfence_cli.products import product
from tests.support.accounts import FUSIONPBX, running_api
from tests.support.commands import Operator

TENANT = "mcon.wat5.ictvoip.ca"
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"
SET = (
    "set", "anna", "pbx-1", "--kind", "fusionpbx", "--server", "wat5",
    "--field", f"domain_tenant_and_main_dids={TENANT} | 5192229000",
)  # fmt: skip


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    """Anna is off for lack of credit, by her extensions 101 and 102."""
    async with running_api(database) as api:
        operator = Operator(api)
        await api.client(opening_balance="-3.60")
        await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "extensions": "101 | 102"})
        await operator.posted("anna", -3_600_000)
        await operator.level("anna", "exhausted", -3_600_000)
        await operator.service("anna", "pbx-1", "suspended")
        for extension in ("101", "102"):
            await operator.switched_off("anna", "pbx-1", "extensions", extension, tenant=TENANT)
        yield operator


async def test_services_that_are_off_show_911_proof_and_ended_calls(
    operator: Operator,
) -> None:
    shown = await operator.output(services, "anna")
    assert "911 does not work while it is off" in shown
    assert "not proven" not in shown
    await operator.api.database.execute("update suspender.service set proven = false")
    await operator.api.database.execute(
        "insert into accounts.service_state (service_id, account_id, suspended, changed_at,"
        " ended_calls) values ('pbx-1', 'anna', true, now(), '{101 -> 14165550100}')"
    )
    for output in (
        await operator.output(services, "anna"),
        await operator.output(client, "show", "anna"),
        await operator.output(explain_client, "anna"),
    ):
        assert "asked, not proven" in output
        assert "911 does not work while it is off" in output
    assert "calls ended: 101 -> 14165550100" in await operator.output(services)
    assert "1 call was ended" in await operator.output(explain_client, "anna")
    (listed,) = await operator.json(services, "anna")
    assert (listed["proven"], listed["departed"]) == (False, False)
    await operator.run(product, *SET, "--field", "extensions=101 | 102", "--field",
                   "suspend_by=outbound")  # fmt: skip
    assert "emergency calls still work" in await operator.output(services, "anna")


async def test_each_element_is_shown_with_its_state_before(operator: Operator) -> None:
    await operator.switched_off("anna", "pbx-1", "gateway", GATEWAY, was_on=False, adopted=True)
    await operator.run(product, *SET, "--field", "extensions=101")
    await operator.api.database.execute(
        "insert into suspender.named_element"
        " values ('anna', 'pbx-1', 'wat5', 'extensions', $1, '101')",
        TENANT,
    )
    shown = await operator.output(services, "anna", "--elements")
    assert f"on on wat5, of {TENANT} 102 pbx-1 extensions" in shown
    assert "in no product any more: it stays off until the hold ends" in shown
    assert f"{GATEWAY} pbx-1 gateway" in shown
    assert "off on wat5; adopted: it was off when the client was imported; it was off" in shown
    listed = await operator.json(services, "anna", "--elements")
    assert [each["recorded_at"] for each in listed] == ["2026-11-01T10:00:00Z"] * 3
    assert "of which client" in await operator.output(services, "--elements", status=2)


async def test_a_reduced_product_shows_what_stays_off_and_awaits_the_release(
    operator: Operator,
) -> None:
    output = await operator.output(product, *SET, "--field", "extensions=101")
    assert "extension 102 stays off until the hold ends" in output
    assert "a payment of more than 3.60" in output
    assert "--release" in output
    answering = asyncio.create_task(operator.answered("done", "102 is switched on"))
    output = await operator.output(product, *SET, "--field", "extensions=101", "--release")
    request = await answering
    assert (request["command"], request["arguments"]["service_id"]) == ("service.release", "pbx-1")
    assert "extension 102: switched on within seconds, as asked" in output
    assert output.endswith("done: 102 is switched on")


async def test_a_removed_product_is_shown_while_something_of_it_is_off(operator: Operator) -> None:
    output = await operator.output(product, "remove", "anna", "pbx-1", "--yes")
    assert "removed pbx-1 of anna" in output
    assert "extensions 101 | 102 stay off until the hold ends" in output
    assert "ringfence product remove anna pbx-1 --release" in output
    await operator.departed("anna", "pbx-1")
    for shown in (
        await operator.output(services, "anna"),
        await operator.output(client, "show", "anna"),
        await operator.output(explain_client, "anna"),
    ):
        assert "off until the hold ends" in shown
    answering = asyncio.create_task(operator.answered("refused", "the server is paused"))
    refused = await operator.run(
        product, "remove", "anna", "pbx-1", "--yes", "--release", "--json", status=1
    )
    await answering
    assert "refused: the server is paused" in " ".join(refused.stderr.split())


async def test_a_release_without_an_answer_is_not_reported_as_done(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_commands, "ANSWER_S", 0.1)
    output = await operator.output(
        product, "remove", "anna", "pbx-1", "--yes", "--release", status=1
    )
    assert "`ringfence services anna --elements` shows it" in output


async def test_a_product_shows_whether_calls_are_ended_and_911_works(operator: Operator) -> None:
    shown = await operator.output(product, "show", "anna", "pbx-1")
    assert "hang up credit" in shown
    assert "911 does not work while it is off" in shown
    changed = await operator.run(
        product, *SET, "--field", "extensions=101 | *", "--field", "suspend_by=outbound",
        "--hang-up", "never",
    )  # fmt: skip
    assert "911" not in changed.stderr
    shown = await operator.output(product, "show", "anna", "pbx-1")
    assert "hang up never" in shown
    assert "inbound and emergency calls still work while it is off" in shown


async def test_orders_that_end_calls_show_it(operator: Operator) -> None:
    await operator.api.client("bert", opening_balance="20.00")
    await operator.product("bert", "pbx-2")
    await operator.posted("bert", 20_000_000)
    output = await operator.output(suspend, "bert", "--hang-up", "--reason", "fraud")
    assert "its calls in progress are ended" in output
    assert "fraud; calls in progress are ended" in await operator.output(order, "list", "bert")
    await operator.run(order, "add", "bert", "whmcs", "--hang-up")
    given = await operator.json(order, "list", "bert")
    assert [each["hang_up"] for each in given] == [True, True]
    assert "calls ended" in await operator.output(client, "history", "bert")
