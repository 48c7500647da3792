"""The next clients to change their mode, and what the API says happens to each."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.accounts import RunningApi, running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    """In shadow: two who have credit, one who has none, one who was never posted to."""
    async with running_api(database, default_mode="shadow") as api:
        made = Operator(api)
        for account, balance in (("a-none", -1), ("b-some", 5), ("c-some", 7)):
            await api.client(account, opening_balance=f"{balance}.00")
            await made.product(account, f"pbx-{account}")
            await made.posted(account, balance * 1_000_000)
            await made.level(account, "exhausted" if balance < 0 else "ok", balance * 1_000_000)
            would = "suspended" if balance < 0 else "active"
            await made.service(account, f"pbx-{account}", "active", would=would, live=False)
        await api.client("0-old", company_name="Old & Co")
        await api.database.execute("delete from accounts.payment where account_id = '0-old'")
        yield made


async def wave(api: RunningApi, **query: Any) -> dict[str, Any]:
    answer = await api.http.get("/v1/mode/wave", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outcomes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["account_id"], each["outcome"]) for each in found["items"]]


async def test_those_who_stay_on_are_first_and_those_who_cannot_go_live_last(
    operator: Operator,
) -> None:
    found = await wave(operator.api)
    assert outcomes(found) == [
        ("b-some", "on"), ("c-some", "on"), ("a-none", "off"), ("0-old", "refused"),
    ]  # fmt: skip
    assert (found["total"], found["off"], found["refused"], found["brake"]) == (4, 1, 1, False)
    assert found["items"][2]["what_happens"] == "it is switched off: no credit: balance -1.00"
    assert "opening balance" in found["items"][3]["what_happens"]
    assert outcomes(await wave(operator.api, limit=1)) == [("b-some", "on")]
    assert outcomes(await wave(operator.api, search="old & co")) == [("0-old", "refused")]


async def test_what_happens_is_what_the_change_does(operator: Operator) -> None:
    """The refused client is refused; one that is live is not of the next wave."""
    refused = await operator.api.refused("clients/0-old/mode", {"mode": "live"}, 409)
    assert "opening balance" in refused["message"]
    await operator.api.put("clients/b-some/mode", {"mode": "live"})
    found = await wave(operator.api)
    assert outcomes(found)[0] == ("c-some", "on")
    assert found["total"] == 3
    named = await wave(operator.api, clients=["nobody", "b-some", "a-none"])
    assert outcomes(named) == [("b-some", "same"), ("a-none", "off")]


async def test_while_the_brake_is_on_nobody_without_credit_is_switched_off(
    operator: Operator,
) -> None:
    await operator.api.database.execute("update suspender.brake set on_since = now()")
    found = await wave(operator.api, clients=["a-none"])
    assert found["brake"]
    (client,) = found["items"]
    assert client["outcome"] == "on"
    assert client["what_happens"] == (
        "it stays on until the brake is released: no credit: balance -1.00"
    )
    await operator.api.put("clients/a-none/orders/whmcs", {"reason": "overdue"})
    assert outcomes(await wave(operator.api, clients=["a-none"])) == [("a-none", "off")]


async def test_back_into_shadow_those_who_are_on_are_first(operator: Operator) -> None:
    for account in ("a-none", "c-some"):
        await operator.api.put(f"clients/{account}/mode", {"mode": "live"})
    await operator.service("a-none", "pbx-a-none", "suspended")
    found = await wave(operator.api, to="shadow")
    assert [(each["account_id"], each["what_happens"]) for each in found["items"]] == [
        ("c-some", "it stays on"),
        ("a-none", "what ringfence switched off is switched on again"),
    ]
    assert (found["total"], found["off"], found["refused"]) == (2, 1, 0)


async def test_a_wave_is_read_with_the_scope_read_and_within_limits(operator: Operator) -> None:
    for query in ({"limit": 101}, {"clients": [f"c{n}" for n in range(101)]}, {"to": "on"},
                  {"clients": ["<b>"]}, {"search": "x" * 201}):  # fmt: skip
        answer = await operator.api.http.get("/v1/mode/wave", params=query)
        assert answer.status_code == 422, query
    token = await operator.api.http.post("/v1/tokens", json={"operator": "w", "scopes": ["money"]})
    headers = {"Authorization": f"Bearer {token.json()['secret']}"}
    answer = await operator.api.http.get("/v1/mode/wave", headers=headers)
    assert answer.status_code == 403
