"""`ringfence client` and `explain client`: states, their reasons, and the history."""

from collections.abc import AsyncIterator

import pytest

from ringfence_cli.clients.clients import client
from ringfence_cli.clients.explanation import explain_client
from ringfence_cli.payments.money import outstanding
from tests.support.accounts import running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


async def off_for_funds(operator: Operator, account: str, **changes: object) -> None:
    """A client whose credit is used up and who is switched off."""
    await operator.api.client(account, opening_balance="-3.60", **changes)
    await operator.product(account, f"pbx-{account}")
    await operator.posted(account, -3_600_000)
    await operator.level(account, "exhausted", -3_600_000)
    await operator.service(account, f"pbx-{account}", "suspended")


async def test_the_list_shows_why_a_client_is_off_and_what_ends_it(operator: Operator) -> None:
    await off_for_funds(operator, "anna")
    listed = await operator.run(client, "list")
    header, _, row, why, count = listed.stdout.splitlines()
    assert header.split() == ["account", "name", "balance", "level", "state", "since", "out"]
    assert row.split()[:6] == ["anna", "Anna", "Berg", "-3.60", "exhausted", "off"]
    assert why.strip() == "no credit: balance -3.60; brought back by a payment of more than 3.60"
    assert count.startswith("1 client. Times are in ")


async def test_a_client_in_shadow_is_shown_as_it_would_be(operator: Operator) -> None:
    await off_for_funds(operator, "anna")
    await operator.api.put("clients/anna/mode", {"mode": "shadow"})
    await operator.service("anna", "pbx-anna", "active", would="suspended", live=False)
    listed = await operator.output(client, "list", "--state", "would-be-off")
    assert "would be off" in listed
    assert "no credit" in listed
    assert "No client is like that." in await operator.output(client, "list", "--state", "off")


async def test_a_whole_list_of_312_clients_fits_80_columns_and_counts(operator: Operator) -> None:
    await operator.api.client("client-000", last_name="Ü" * 90)
    await operator.api.database.execute(
        "insert into accounts.account"
        " select (jsonb_populate_record(a, jsonb_build_object("
        "     'account_id', 'client-' || lpad(n::text, 3, '0')))).*"
        " from accounts.account a, generate_series(1, 311) n"
    )
    whole = await operator.run(client, "list")
    assert whole.stdout.count("client-") >= 312
    assert "\n312 clients. " in whole.stdout
    assert (
        "\n12 of 312 clients; 300 more: --limit 312 shows all. "
        in (await operator.run(client, "list", "--limit", "12")).stdout
    )
    assert "\n10 clients. " in (await operator.run(client, "list", "--search", "ent-04")).stdout
    assert len(await operator.json(client, "list")) == 312


async def test_a_client_is_found_by_a_number_of_its_product(operator: Operator) -> None:
    await operator.api.client("anna")
    await operator.api.client("bert")
    tenant = "mcon.wat5.ictvoip.ca | 5192229000"
    await operator.product("anna", "pbx-1", domain_tenant_and_main_dids=tenant)
    found = await operator.json(client, "list", "--search", "(519) 222-9000")
    assert [row["account_id"] for row in found] == ["anna"]


async def test_set_creates_with_an_opening_balance_and_changes_only_what_is_given(
    operator: Operator,
) -> None:
    lacking = await operator.output(client, "set", "bert", "--email", "b@example.com", status=2)
    assert "--first-name and --currency" in lacking
    made = await operator.run(
        client, "set", "bert", "--first-name", "Bert", "--email", "b@example.com",
        "--currency", "CAD", "--has-voip-service", "yes", "--low-balance-threshold", "15",
        "--opening-balance", "12.50", "--credit-limit", "25",
    )  # fmt: skip
    assert "credit limit 25.00" in " ".join(made.stdout.split())
    events = await operator.api.published("payment.received.v1")
    assert [each["amount_micro"] for each in events] == [12_500_000]
    changed = await operator.json(client, "set", "bert", "--last-name", "Berg")
    assert (changed["has_voip_service"], changed["low_balance_threshold"]) == (True, "15")
    again = await operator.run(client, "set", "bert", "--opening-balance", "99", status=2)
    assert "12.50" in again.stderr
    assert "nothing to change" in await operator.output(client, "set", "bert", status=2)


async def test_the_two_fields_give_orders_of_a_person(operator: Operator) -> None:
    await operator.api.client("anna")
    await operator.run(client, "set", "anna", "--voip-suspended", "Yes")
    (given,) = (await operator.json(client, "show", "anna"))["orders"]
    assert (given["kind"], given["given_by"]) == ("forced", "tester")


async def test_a_persons_yes_is_an_order_even_if_ringfence_wrote_yes(
    operator: Operator,
) -> None:
    await off_for_funds(operator, "anna")
    await operator.api.database.execute(
        "update accounts.account set profile = profile::jsonb ||"
        """ '{"voip_suspended": "Yes", "voip_suspended_by": "us"}'"""
    )
    assert (await operator.json(client, "show", "anna"))["orders"] == []
    await operator.run(client, "set", "anna", "--voip-suspended", "Yes")
    (given,) = (await operator.json(client, "show", "anna"))["orders"]
    assert given["kind"] == "forced"


async def test_the_history_has_who_when_before_and_after(operator: Operator) -> None:
    await operator.api.client("anna", opening_balance="20")
    await operator.run(
        client, "set", "anna", "--low-balance-threshold", "30", "--last-name", "Bell"
    )
    await operator.run(outstanding, "anna", "7.50")
    shown = await operator.output(client, "history", "anna")
    assert "low balance threshold $15 → 30" in shown
    assert "last name Berg → Bell" in shown
    assert "outstanding 0.00 → 7.50" in shown
    assert "tester" in shown
    newest, *_ = await operator.json(client, "history", "anna", "--limit", "1")
    assert newest["who"] == "tester"


async def test_show_has_orders_and_products_and_leaves_out_what_is_empty(
    operator: Operator,
) -> None:
    await off_for_funds(operator, "anna")
    shown = await operator.output(client, "show", "anna")
    assert "balance -3.60" in shown
    assert "reason no credit" in shown
    assert "No orders." in shown
    assert "pbx-anna" in shown
    assert "company name" not in shown


async def test_explain_shows_why_a_client_is_off(operator: Operator) -> None:
    await off_for_funds(operator, "anna")
    output = await operator.output(explain_client, "anna")
    assert "anna is off" in output
    assert "no credit" in output
    assert "a payment of more than 3.60" in output
    assert "pbx-anna" in output
    assert (await operator.json(explain_client, "anna"))["state"] == "off"
    assert "there is no client" in await operator.output(explain_client, "nobody", status=2)


async def test_outstanding_is_set_and_an_older_reading_changes_nothing(operator: Operator) -> None:
    await operator.api.client("anna")
    output = await operator.output(
        outstanding, "anna", "20.00", "--as-of", "2026-11-02T12:00", "--utc"
    )
    assert output == (
        "anna owes 20.00 CAD on unpaid invoices, as of 2026-11-02 12:00:00 UTC;"
        " nothing is switched: it has no product yet (`ringfence product set`)."
    )
    older = await operator.output(outstanding, "anna", "5", "--as-of", "2026-11-01T12:00", "--utc")
    assert older.startswith("Nothing changed: 20.00 CAD, as of 2026-11-02 12:00:00 UTC")
    wrong = await operator.output(outstanding, "anna", "5", "--currency", "USD", status=2)
    assert "CAD" in wrong
