"""Entering clients: omitted and repeated fields, opening balances, `If-Match`, debts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from accounts.clients.store_publishing import AuditEntry
from ringfence_contracts import ids
from tests.support.accounts import CLIENT, FUSIONPBX, RunningApi, running_api

ACCOUNT = "account.changed.v1"
PAYMENT = "payment.received.v1"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def get(api: RunningApi, who: str = "anna") -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get(f"/v1/clients/{who}")).json()
    return found


async def patch(api: RunningApi, body: dict[str, object], **headers: str) -> httpx.Response:
    return await api.http.patch("/v1/clients/anna", json=body, headers=headers)


async def confirm(api: RunningApi, *, suspended: bool, client_wide: bool = True) -> None:
    """Apply a confirmation of the suspender for the client's product."""
    await api.store.confirm(
        uuid4(), "anna", "pbx-1", at=datetime.now(UTC), suspended=suspended,
        client_wide=client_wide, failure=None, entry=AuditEntry("suspender", "confirmed"),
    )  # fmt: skip


# A new client has a balance of 0 from its creation.


async def test_creating_a_client_posts_its_opening_balance(api: RunningApi) -> None:
    created = await api.client(opening_balance="-12.50")
    (event,) = await api.published(PAYMENT)
    assert event["payment_id"] == str(ids.derive("payment", "anna", "opening"))
    assert (event["kind"], event["amount_micro"]) == ("adjustment", -12_500_000)
    assert (await api.published(ACCOUNT))[0]["accepted"] == 1
    assert created["opening_balance"] == "-12.50"


async def test_a_client_without_one_opens_at_zero(api: RunningApi) -> None:
    await api.client()
    assert [event["amount_micro"] for event in await api.published(PAYMENT)] == [0]
    again = await api.client(opening_balance="0.00")
    assert (again["version"], again["opening_balance"]) == (1, "0.00")


async def test_forty_concurrent_creations_post_one_opening_balance(api: RunningApi) -> None:
    body = {**CLIENT, "opening_balance": "5"}
    answers = await asyncio.gather(
        *(api.http.put("/v1/clients/anna", json=body) for _ in range(40))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 39 + [201]
    assert len(await api.published(PAYMENT)) == 1
    assert len(await api.published(ACCOUNT)) == 1


async def test_a_different_opening_balance_is_refused(api: RunningApi) -> None:
    await api.client(opening_balance="5")
    body = {**CLIENT, "opening_balance": "6", "company_name": "Berg"}
    error = await api.refused("clients/anna", body, 409)
    assert error["field"] == "opening_balance"
    assert "5.00 CAD was posted before" in error["message"]
    assert (await get(api))["company_name"] == ""


async def test_the_opening_key_is_reserved(api: RunningApi) -> None:
    await api.client()
    for key in ("opening", "claimed:1"):
        answer = await api.pay(key, {"amount": "5"})
        assert answer.status_code == 422
        assert "opening balance" in answer.text or "claimed payments" in answer.text


async def test_a_client_of_an_earlier_version_gets_its_opening_balance_once(
    api: RunningApi,
) -> None:
    await api.client()
    await api.database.execute("delete from accounts.payment")
    unposted = (await api.http.get("/v1/clients", params={"posted": "no"})).json()
    assert unposted["count"] == 1
    await api.client(company_name="Berg")
    assert len(await api.published(PAYMENT)) == 1, (
        "left out, nothing is posted to an existing client"
    )
    answers = await asyncio.gather(*(patch(api, {"opening_balance": "7"}) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert [event["amount_micro"] for event in await api.published(PAYMENT)] == [0, 7_000_000]


async def test_an_opening_balance_is_refused_where_postings_exist(api: RunningApi) -> None:
    await api.client()
    await api.database.execute("delete from accounts.payment")
    await api.pay("k-1", {"amount": "5"})
    answer = await patch(api, {"opening_balance": "7"})
    assert answer.status_code == 409
    assert "by an adjustment" in answer.json()["error"]["message"]


# A PUT body must not turn off by omission what it does not name.


@pytest.mark.parametrize("left_out", ["has_voip_service", "low_balance_threshold"])
async def test_a_put_that_would_drop_voip_service_or_alerts_is_refused(
    api: RunningApi, left_out: str
) -> None:
    await api.client()
    body = {name: value for name, value in CLIENT.items() if name != left_out}
    error = await api.refused("clients/anna", body)
    assert error["field"] == left_out
    assert "PATCH" in error["message"]
    assert (await get(api))["version"] == 1


async def test_a_patch_changes_only_what_it_names(api: RunningApi) -> None:
    await api.client(credit_limit="50")
    before = await get(api)
    after = (await patch(api, {"company_name": "Berg"})).json()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"company_name", "version"}
    assert (await patch(api, {"credit_limit": "0.00"})).json()["credit_limit"] == "0.00"
    assert (await patch(api, {"credit_limit": "-1"})).json()["error"]["field"] == "credit_limit"
    assert (await api.http.patch("/v1/clients/nobody", json={})).status_code == 404
    assert (await api.published(ACCOUNT))[0]["credit_limit_micro"] == 50_000_000


# A response that is sent back gives no order, and If-Match is honoured.


async def test_a_client_read_while_off_can_be_sent_back_unchanged(
    api: RunningApi,
) -> None:
    await api.client()
    await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    await confirm(api, suspended=True)
    read = await get(api)
    assert (read["voip_suspended"], read["voip_suspended_by"]) == ("Yes", "us")
    await confirm(api, suspended=False)
    for name in (None, "voip_suspended_by"):
        body = {**read, "company_name": f"Berg {name}"}
        body.pop(name or "version")
        after = await api.put("clients/anna", body)
        assert (after["voip_suspended"], after["orders"]) == ("None", [])
        assert after["company_name"] == f"Berg {name}"
        assert "voip_suspended was not changed" in after["warnings"][0]


async def test_a_response_can_be_sent_back_whole(api: RunningApi) -> None:
    await api.client(voip_suspended="Yes", written_by="person", manual_voip_suspend="Yes")
    read = await get(api)
    again = await api.http.put("/v1/clients/anna", json=read)
    assert again.status_code == 200, again.text
    assert (again.json()["version"], again.json()["warnings"]) == (1, [])
    elsewhere = await api.http.put("/v1/clients/bert", json=read)
    assert elsewhere.json()["error"]["field"] == "account_id"


async def test_written_by_person_gives_the_forced_order(api: RunningApi) -> None:
    await api.client()
    await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    await confirm(api, suspended=True)
    await confirm(api, suspended=False)
    meant = (await patch(api, {"voip_suspended": "Yes", "written_by": "person"})).json()
    assert [order["kind"] for order in meant["orders"]] == ["forced"]
    ended = (await patch(api, {"voip_suspended": "None"})).json()
    assert (ended["orders"], ended["voip_suspended"]) == ([], "None")
    version = f'"{ended["version"]}"'
    matched = (await patch(api, {"voip_suspended": "Yes"}, **{"If-Match": version})).json()
    assert [order["kind"] for order in matched["orders"]] == ["forced"]


async def test_every_change_for_another_version_is_refused(api: RunningApi) -> None:
    await api.client()
    await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    calls = [
        ("PUT", "", CLIENT),
        ("PATCH", "", {"company_name": "Berg"}),
        ("PUT", "/outstanding", {"amount": "1"}),
        ("PUT", "/orders/manual", {}),
        ("DELETE", "/orders/manual", None),
        ("PUT", "/mode", {"mode": "shadow"}),
        ("POST", "/suspend", {}),
        ("POST", "/unsuspend", {}),
        ("PUT", "/products/pbx-1", FUSIONPBX),
        ("DELETE", "/products/pbx-1", None),
    ]
    for method, path, body in calls:
        answer = await api.http.request(
            method, f"/v1/clients/anna{path}", json=body, headers={"If-Match": '"1"'}
        )
        assert answer.status_code == 412, (method, path, answer.text)
        assert "version 1" in answer.json()["error"]["message"]
        assert "version 2" in answer.json()["error"]["message"]
    assert (await get(api))["version"] == 2
    assert (await patch(api, {}, **{"If-Match": "two"})).json()["error"]["field"] == "If-Match"


async def test_every_response_has_the_version_for_the_next_change(
    api: RunningApi,
) -> None:
    tag = (await api.http.put("/v1/clients/anna", json=CLIENT)).headers["etag"]
    assert tag == '"1"'
    for name in ("Berg", "Berg & Co", "Berg Ltd"):
        answer = await patch(api, {"company_name": name}, **{"If-Match": tag})
        assert answer.status_code == 200
        tag = answer.headers["etag"]
    assert (await api.http.get("/v1/clients/anna")).headers["etag"] == tag == '"4"'


async def test_of_ten_concurrent_changes_for_one_version_one_succeeds(api: RunningApi) -> None:
    await api.client()
    answers = await asyncio.gather(
        *(patch(api, {"company_name": f"Berg {n}"}, **{"If-Match": '"1"'}) for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


# Debts that were read before the stored ones.


async def test_debts_older_than_the_stored_ones_change_nothing(api: RunningApi) -> None:
    await api.client()
    now = datetime.now(UTC)
    early, late = (now - timedelta(minutes=5)).isoformat(), now.isoformat()
    paid = await api.put("clients/anna/outstanding", {"amount": "0", "as_of": late})
    overtaken = await api.put("clients/anna/outstanding", {"amount": "20", "as_of": early})
    assert (paid["applied"], overtaken["applied"]) == (True, False)
    assert (overtaken["outstanding"], overtaken["outstanding_as_of"][:19]) == ("0.00", late[:19])
    assert "newer invoices" in overtaken["what_happens"]
    person = await api.put("clients/anna/outstanding", {"amount": "20"})
    assert (person["applied"], person["outstanding"]) == (True, "20.00")
    stale = await api.put("clients/anna/outstanding", {"amount": "0", "as_of": late})
    assert (stale["applied"], stale["outstanding"]) == (False, "20.00")


async def test_the_same_debts_read_again_make_no_new_version(api: RunningApi) -> None:
    await api.client()
    for minute in (3, 2, 1):
        as_of = (datetime.now(UTC) - timedelta(minutes=minute)).isoformat()
        await api.put("clients/anna/outstanding", {"amount": "20", "as_of": as_of})
    read = await get(api)
    assert (read["version"], read["outstanding_as_of"][:19]) == (2, as_of[:19])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"as_of": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "as_of"),
        ({"as_of": "2026-11-01T10:00:00"}, "as_of"),
        ({"currency": "USD"}, "currency"),
    ],
)
async def test_debts_of_the_future_or_in_another_currency_are_refused(
    api: RunningApi, change: dict[str, str], field: str
) -> None:
    await api.client()
    error = await api.refused("clients/anna/outstanding", {"amount": "1", **change})
    assert error["field"] == field
    assert (await get(api))["outstanding"] == "0.00"


async def test_several_missing_fields_are_named_together(api: RunningApi) -> None:
    error = await api.refused("clients/anna", {"last_name": "Berg"})
    assert error["field"] == "first_name, currency"
    assert error["message"] == "first_name and currency are missing: they are required"
