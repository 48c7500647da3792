"""Top-ups and adjustments: each is posted once, also when it is sent twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence_contracts import ids
from tests.support.accounts import RunningApi, running_api

PAYMENT = "payment.received.v1"
TOP_UP = {"amount": "20.00", "currency": "CAD", "reference": "cheque 12"}


async def posted(api: RunningApi) -> list[dict[str, Any]]:
    """The payments that were published, without the opening balance."""
    opening = str(ids.derive("payment", "anna", "opening"))
    return [event for event in await api.published(PAYMENT) if event["payment_id"] != opening]


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        yield opened


async def test_a_top_up_is_answered_after_it_is_in_the_outbox(api: RunningApi) -> None:
    answer = await api.pay("k-1", TOP_UP)
    assert answer.status_code == 201
    (event,) = await posted(api)
    assert event["payment_id"] == answer.json()["payment_id"]
    assert event["payment_id"] == str(ids.derive("payment", "anna", "k-1"))
    assert event["amount_micro"] == answer.json()["amount_micro"] == 20_000_000
    assert (answer.json()["amount"], answer.json()["received_by"]) == ("20.00", "tester")
    assert event["kind"] == "top-up"


async def test_the_same_key_and_content_again_give_the_same_answer(
    api: RunningApi,
) -> None:
    first = await api.pay("k-1", TOP_UP)
    again = await api.pay("k-1", {**TOP_UP, "amount": "20"})
    assert again.status_code == 200
    assert again.json() == first.json()
    assert len(await posted(api)) == 1


async def test_ten_concurrent_requests_with_one_key_are_one_payment(api: RunningApi) -> None:
    answers = await asyncio.gather(*(api.pay("k-1", TOP_UP) for _ in range(10)))
    assert sorted(a.status_code for a in answers) == [200] * 9 + [201]
    assert len({a.text for a in answers}) == 1
    assert len(await posted(api)) == 1
    assert (
        await api.database.fetchval(
            "select count(*) from accounts.payment where idempotency_key = 'k-1'"
        )
        == 1
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", "25.00"), ("reference", "cheque 13"), ("kind", "adjustment")],
)
async def test_the_same_key_with_other_content_is_refused_with_what_differs(
    api: RunningApi, field: str, value: str
) -> None:
    await api.pay("k-1", TOP_UP)
    answer = await api.pay("k-1", {**TOP_UP, field: value})
    error = answer.json()["error"]
    assert answer.status_code == 409
    assert (error["field"], error["value"]) == (field, value)
    assert "k-1" in error["message"]
    assert len(await posted(api)) == 1


async def test_the_same_key_of_another_client_is_another_payment(api: RunningApi) -> None:
    await api.client("bert")
    assert (await api.pay("k-1", TOP_UP)).status_code == 201
    assert (await api.pay("k-1", TOP_UP, "bert")).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "1e6"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "0.0000001"}, "amount"),
        ({"amount": "1000000000.01"}, "amount"),
        ({"amount": 20.0}, "amount"),
        ({"amount": "٢٠"}, "amount"),
        ({"amount": "0", "kind": "adjustment"}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"kind": "gift"}, "kind"),
        ({"reference": "a\x00b"}, "reference"),
        ({"card_number": "4111111111111111"}, "card_number"),
    ],
)
async def test_an_invalid_payment_is_refused(
    api: RunningApi, change: dict[str, object], field: str
) -> None:
    answer = await api.pay("k-1", {**TOP_UP, **change})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field
    assert "4111" not in answer.text
    assert await posted(api) == []


async def test_an_adjustment_may_be_negative(api: RunningApi) -> None:
    answer = await api.pay("k-1", {"amount": "-3.50", "kind": "adjustment"})
    assert answer.json()["amount_micro"] == -3_500_000
    assert (await posted(api))[0]["currency"] == "CAD"


async def test_a_key_is_required_and_the_client_must_exist(api: RunningApi) -> None:
    missing = await api.http.post("/v1/clients/anna/payments", json=TOP_UP)
    assert missing.status_code == 422
    assert missing.json()["error"]["field"] == "Idempotency-Key"
    assert (await api.pay("k-1", TOP_UP, "nobody")).status_code == 404


async def test_the_role_of_accounts_cannot_alter_a_payment(api: RunningApi, database: str) -> None:
    import asyncpg

    await api.pay("k-1", TOP_UP)
    settings = {"role": "ringfence_accounts"}
    connection = await asyncpg.connect(database, server_settings=settings)
    try:
        for statement in (
            "update accounts.payment set amount_micro = 1",
            "delete from accounts.payment",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
