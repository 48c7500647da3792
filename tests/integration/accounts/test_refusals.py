"""A refused request names everything that is wrong with it, in one response."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.accounts import CLIENT, FUSIONPBX, RunningApi, running_api


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


def named(answer: httpx.Response, status: int = 422) -> dict[str, dict[str, Any]]:
    """The errors of a response by field; `error` must be the first of them."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == body["errors"][0]
    return {error["field"]: error for error in body["errors"]}


async def test_all_wrong_fields_of_a_client_are_named(api: RunningApi) -> None:
    wrong = {
        "currency": "cad", "time_zone": "Canada/Nowhere", "email": "anna", "cc": ["bert"],
        "wants_mail": "perhaps", "low_balance_threshold": "much", "credit_limit": "-5",
        "opening_balance": "x", "language": "french!", "first_name": "A\nB", "colour": "red",
    }  # fmt: skip
    errors = named(await api.http.put("/v1/clients/anna", json={**CLIENT, **wrong}))
    label = {"low_balance_threshold": "Low Balance Threshold"}
    assert set(errors) == {label.get(name, name) for name in wrong}
    assert errors["email"]["value"] == "anna"
    assert errors["cc"]["message"].startswith("cc: got 'bert', expected one address such as ")
    assert errors["credit_limit"]["expected"] == "0 or more"
    assert errors["colour"]["value"] is None, "an unknown field may be a secret"


async def test_wrong_values_that_pydantic_does_not_see_are_named_together(api: RunningApi) -> None:
    wrong = {"email": "anna", "time_zone": "x", "low_balance_threshold": "much"}
    for method in ("PUT", "PATCH"):
        body = {**CLIENT, **wrong}
        errors = named(await api.http.request(method, "/v1/clients/anna", json=body))
        assert set(errors) == {"email", "time_zone", "Low Balance Threshold"}


async def test_missing_and_wrong_fields_are_named_together(api: RunningApi) -> None:
    answer = await api.http.put("/v1/clients/anna", json={"email": "anna", "language": "?"})
    body = answer.json()
    assert answer.status_code == 422
    assert body["error"]["message"] == "first_name and currency are missing: they are required"
    fields = [error["field"] for error in body["errors"]]
    assert fields == ["first_name", "currency", "email", "language"]
    nothing = await api.http.put("/v1/clients/anna", json={})
    assert [error["field"] for error in nothing.json()["errors"]] == [
        "first_name", "currency", "email",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (
            {**FUSIONPBX, "domain_tenant_and_main_dids": "mcon", "extensions": "2120-2112",
             "suspend_by": "shouting", "gateway_ids": "1", "bill_from": "now", "server_id": "a b"},
            ["server_id", "bill_from", "domain_tenant_and_main_dids", "suspend_by", "extensions",
             "gateway_ids"],
        ),
        (
            {"kind": "fusionpbx", "prepaid": "perhaps"},
            ["server_id", "prepaid", "domain_tenant_and_main_dids"],
        ),
        (
            {"kind": "vodia", "server_id": "wat1", "trunk_ids": "x", "inbound_search_string": "a"},
            ["tenant_and_inbound_dids", "inbound_search_string", "trunk_ids"],
        ),
        (
            {"kind": "lesnet", "server_id": "les", "domain": "D4E3CD2BFC791 | 12046664021",
             "username": "5", "cdr_link": "ftp://x", "free_minutes": -1, "rate_per_minute": "a"},
            ["username", "cdr_link", "rate_per_minute", "free_minutes"],
        ),
    ],
)  # fmt: skip
async def test_all_wrong_fields_of_a_product_are_named(
    api: RunningApi, body: dict[str, object], fields: list[str]
) -> None:
    await api.client()
    answer = await api.http.put("/v1/clients/anna/products/pbx-1", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == fields


async def test_a_valid_product_is_taken_after_its_refusal(api: RunningApi) -> None:
    await api.client()
    await api.refused("clients/anna/products/pbx-1", {**FUSIONPBX, "extensions": "x"})
    entered = await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    assert entered["service"]["extensions"] == ["2112", "2113", "2114", "2115", "2216"]


async def test_a_payment_without_key_and_amount_names_both(api: RunningApi) -> None:
    await api.client()
    path = "/v1/clients/anna/payments"
    errors = named(await api.http.post(path, json={"amount": "x", "payment": "p"}))
    assert list(errors) == ["Idempotency-Key", "amount", "payment"]
    key = errors["Idempotency-Key"]
    assert key["message"].startswith("Idempotency-Key is missing: expected a key of your own")


async def test_an_order_with_a_wrong_end_and_reason_names_both(api: RunningApi) -> None:
    await api.client()
    body = {"until": "soon", "reason": "a\nb", "hang_up": "yes"}
    errors = named(await api.http.put("/v1/clients/anna/orders/exemption", json=body))
    assert list(errors) == ["until", "hang_up", "reason"]


async def test_other_refusals_have_one_error(api: RunningApi) -> None:
    unknown = await api.http.get("/v1/clients/nobody")
    assert list(named(unknown, 404)) == ["client"]
    url = f"{api.url}/v1/clients"
    async with httpx.AsyncClient() as stranger:
        assert list(named(await stranger.get(url), 401)) == ["Authorization"]


async def test_an_imported_threshold_that_is_no_amount_is_sent_back_unchanged(
    api: RunningApi,
) -> None:
    imported = {"low_balance_threshold": "a lot", "written_by": "import"}
    first = await api.client(**imported)
    again = await api.put("clients/anna", {**first, "first_name": "Anne"})
    assert (again["first_name"], again["low_balance_threshold"]) == ("Anne", "a lot")
