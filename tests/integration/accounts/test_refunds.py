"""Refunds, which name their payment, and claims of payments that accounts lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from ringfence_contracts import ids
from tests.support.accounts import RunningApi, running_api

PAYMENT = "payment.received.v1"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        await opened.pay("paid", {"amount": "20"})
        yield opened


async def refund(
    api: RunningApi, key: str, amount: str, payment: str | None = "paid", who: str = "anna"
) -> tuple[int, dict[str, Any]]:
    body = {"amount": amount, "kind": "refund", "payment": payment}
    answer = await api.pay(key, body, who)
    return answer.status_code, answer.json()


async def test_a_refund_names_its_payment_and_is_a_negative_adjustment(api: RunningApi) -> None:
    status, answer = await refund(api, "r-1", "5")
    assert (status, answer["kind"], answer["amount"]) == (201, "adjustment", "-5.00")
    event = (await api.published(PAYMENT))[-1]
    paid = str(ids.derive("payment", "anna", "paid"))
    assert (event["kind"], event["amount_micro"], event["refunds"]) == (
        "adjustment",
        -5_000_000,
        paid,
    )
    again = await refund(api, "r-1", "5", paid)
    assert again == (200, answer)


async def test_refunds_under_several_keys_never_exceed_the_payment(api: RunningApi) -> None:
    assert (await refund(api, "r-1", "15"))[0] == 201
    status, answer = await refund(api, "r-2", "15")
    assert (status, answer["error"]["field"]) == (409, "amount")
    assert "5.00 of the payment of 20.00 CAD are left" in answer["error"]["message"]
    assert (await refund(api, "r-3", "5"))[0] == 201
    assert (await refund(api, "r-3", "5"))[0] == 200, "a repeated request gets the same answer"
    assert (await refund(api, "r-4", "0.000001"))[0] == 409


async def test_concurrent_refunds_do_not_exceed_the_payment(api: RunningApi) -> None:
    answers = await asyncio.gather(*(refund(api, f"r-{n}", "6") for n in range(20)))
    assert sorted(status for status, _ in answers) == [201] * 3 + [409] * 17
    total = await api.database.fetchval(
        "select sum(amount_micro) from accounts.payment where refunds is not null"
    )
    assert total == -18_000_000


async def test_forty_concurrent_requests_of_one_refund_refund_once(api: RunningApi) -> None:
    answers = await asyncio.gather(*(refund(api, "r-1", "20") for _ in range(40)))
    assert sorted(status for status, _ in answers) == [200] * 39 + [201]
    assert len(await api.published(PAYMENT)) == 3


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"payment": None}, 422, "payment"),
        ({"payment": "unknown"}, 404, "payment"),
        ({"payment": str(uuid4())}, 404, "payment"),
        ({"amount": "-5"}, 422, "amount"),
        ({"amount": "0"}, 422, "amount"),
        ({"payment": "opening"}, 409, "payment"),
        ({"payment": "hand"}, 409, "payment"),
        ({"payment": "r-0"}, 409, "payment"),
        ({"kind": "top-up"}, 422, "payment"),
    ],
)
async def test_an_invalid_refund_is_refused(
    api: RunningApi, change: dict[str, object], status: int, field: str
) -> None:
    await api.pay("hand", {"amount": "9", "kind": "adjustment"})
    await refund(api, "r-0", "1")
    body = {"amount": "1", "kind": "refund", "payment": "paid", **change}
    answer = await api.pay("r-1", body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


async def test_a_payment_of_another_client_cannot_be_refunded(api: RunningApi) -> None:
    await api.client("bert")
    paid = str(ids.derive("payment", "anna", "paid"))
    assert (await refund(api, "r-1", "5", paid, "bert"))[0] == 404


async def test_payments_are_listed_with_their_posting(api: RunningApi) -> None:
    await refund(api, "r-1", "5")
    paid = ids.derive("payment", "anna", "paid")
    await api.database.execute("insert into rating.account (account_id, balance_micro, version,"
                                " currency) values ('anna', 20000000, 1, 'CAD')")  # fmt: skip
    await api.database.execute(
        "insert into rating.ledger (entry_id, account_id, version, kind, amount_micro,"
        " balance_after_micro, cause_id, occurred_at, input_hash, explanation)"
        " values ($1, 'anna', 1, 'top-up', 20000000, 20000000, $1, now(), '', '{}')",
        paid,
    )
    first = (await api.http.get("/v1/clients/anna/payments", params={"limit": 2})).json()
    assert [row["idempotency_key"] for row in first["items"]] == ["r-1", "paid"]
    shown = first["items"][1]
    assert (shown["posted"], shown["balance_after"], shown["refunded"]) == (True, "20.00", "5.00")
    assert (first["items"][0]["posted"], first["items"][0]["balance_after"]) == (False, None)
    params = {"limit": 2, "cursor": first["next"]}
    rest = (await api.http.get("/v1/clients/anna/payments", params=params)).json()
    assert [row["idempotency_key"] for row in rest["items"]] == ["opening"]
    one = (await api.http.get(f"/v1/clients/anna/payments/{paid}")).json()
    assert one == shown
    assert (await api.http.get(f"/v1/clients/bert/payments/{paid}")).status_code == 404


# Claims


def claim(key: str = "lost", **more: object) -> dict[str, object]:
    return {
        "payment_id": str(ids.derive("payment", "anna", key)), "account_id": "anna",
        "kind": "top-up", "amount": "30", "currency": "CAD", "reference": "cheque",
        "received_at": "2026-11-01T10:00:00Z", **more,
    }  # fmt: skip


async def claims(api: RunningApi, *payments: dict[str, object]) -> list[tuple[str, str]]:
    body = {"reason": "restored", "payments": list(payments)}
    answer = await api.http.post("/v1/payments/claims", json=body)
    assert answer.status_code == 200, answer.text
    return [(item["outcome"], item["why"]) for item in answer.json()["items"]]


async def test_a_lost_payment_is_entered_under_its_own_id_and_published_again(
    api: RunningApi,
) -> None:
    assert await claims(api, claim()) == [("claimed", "")]
    event = (await api.published(PAYMENT))[-1]
    assert (event["payment_id"], event["amount_micro"]) == (claim()["payment_id"], 30_000_000)
    event_id = await api.database.fetchval(
        "select event_id from accounts.outbox order by id desc limit 1"
    )
    assert event_id != ids.derive(PAYMENT, event["payment_id"]), "a new event id"
    assert (await claims(api, claim()))[0][0] == "known"
    retried = await api.pay("lost", {"amount": "30", "reference": "cheque"})
    assert retried.status_code == 200, "the first sender may retry"
    assert (await api.pay("lost", {"amount": "31"})).status_code == 409
    audit = (await api.http.get("/v1/clients/anna/audit")).json()["items"]
    assert ("tester", "top-up of 30.00 claimed from the topic", "restored") in [
        (entry["who"], entry["what"], entry["reason"]) for entry in audit
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account_id": "nobody"}, "no client nobody"),
        ({"currency": "USD"}, "kept in CAD"),
        ({"amount": "0", "kind": "adjustment"}, "opening"),
        ({"refunds": str(uuid4()), "kind": "adjustment", "amount": "-1"}, "there is no"),
        ({"amount": "-1.00"}, "more than 0"),
        ({"amount": "99999999999"}, "at most"),
    ],
)
async def test_an_invalid_claim_is_refused(
    api: RunningApi, change: dict[str, Any], why: str
) -> None:
    """The next claim of the same request is entered."""
    before = len(await api.published(PAYMENT))
    bad, good = await claims(api, claim(**change), claim("good"))
    assert bad[0] == "refused"
    assert why in bad[1]
    assert good == ("claimed", "")
    assert len(await api.published(PAYMENT)) == before + 1


async def test_a_claim_of_a_stored_payment_with_another_amount_is_refused(api: RunningApi) -> None:
    ((outcome, why),) = await claims(api, claim("paid", reference=""))
    assert (outcome, why) == ("refused", "accounts holds it with another amount")


async def test_a_refund_is_claimed_with_its_payment_in_any_order(api: RunningApi) -> None:
    paid = claim()
    given_back = claim("r-9", kind="adjustment", amount="-10", refunds=paid["payment_id"])
    too_much = claim("r-10", kind="adjustment", amount="-21", refunds=paid["payment_id"])
    outcomes = [outcome for outcome, _ in await claims(api, given_back, paid, too_much)]
    assert outcomes == ["claimed", "claimed", "refused"]


async def test_a_claimed_opening_balance_keeps_its_key(api: RunningApi) -> None:
    await api.database.execute("delete from accounts.payment where idempotency_key = 'opening'")
    opening = claim("opening", kind="adjustment", amount="0", reference="opening balance")
    assert await claims(api, opening) == [("claimed", "")]
    assert (await api.client(opening_balance="0"))["opening_balance"] == "0.00"


async def test_forty_claims_of_one_payment_enter_it_once(api: RunningApi) -> None:
    outcomes = [o for found in await asyncio.gather(*(claims(api, claim()) for _ in range(40)))
                for o, _ in found]  # fmt: skip
    assert sorted(outcomes) == ["claimed"] + ["known"] * 39


async def test_unclaimed_payments_are_listed_with_what_a_claim_would_do(api: RunningApi) -> None:
    for account_id, currency in (("anna", "CAD"), ("anna", "USD"), ("nobody", "CAD")):
        await api.database.execute(
            "insert into rating.unclaimed (payment_id, account_id, kind, amount_micro, currency,"
            " reference, received_at, correlation_id, reason, record)"
            " values ($1, $2, 'top-up', 5000000, $3, '', now(), '', 'not held', '')",
            uuid4(),
            account_id,
            currency,
        )
    items = (await api.http.get("/v1/payments/unclaimed")).json()["items"]
    assert [item["amount"] for item in items] == ["5.00"] * 3
    problems = [item["claim_problem"] for item in items]
    assert [
        "claim it" in problems[0],
        "kept in CAD" in problems[1],
        "no such client" in problems[2],
    ] == [True] * 3
