"""Orders and modes through the API: given, replaced, ended, refused, and their effect."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.accounts import FUSIONPBX, RunningApi, running_api

ACCOUNT = "account.changed.v1"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        for number in (1, 2):
            body = {**FUSIONPBX, "extensions": f"200{number}"}
            await opened.put(f"clients/anna/products/pbx-{number}", body)
        yield opened


async def ask(
    api: RunningApi, method: str, path: str, body: object = None, status: int = 200
) -> dict[str, Any]:
    answer: httpx.Response = await api.http.request(method, f"/v1/clients/anna{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found if status == 200 else found["error"]


async def published(api: RunningApi) -> list[tuple[str, str | None]]:
    """The orders that were published last."""
    orders = (await api.published(ACCOUNT))[-1]["orders"]
    return [(order["kind"], order["service_id"]) for order in orders]


@pytest.mark.parametrize("kind", ["manual", "forced", "whmcs", "exemption"])
async def test_an_order_of_each_kind_is_given_shown_published_and_ended(
    api: RunningApi, kind: str
) -> None:
    given = await ask(api, "PUT", f"/orders/{kind}", {"reason": "holiday"})
    (order,) = given["orders"]
    assert (order["kind"], order["product"], order["given_by"]) == (kind, None, "tester")
    assert (order["reason"], order["until"]) == ("holiday", None)
    assert await published(api) == [(kind, None)]
    assert (await ask(api, "GET", "/orders"))["items"] == given["orders"]
    ended = await ask(api, "DELETE", f"/orders/{kind}")
    assert (ended["orders"], await published(api)) == ([], [])
    error = await ask(api, "DELETE", f"/orders/{kind}", status=404)
    assert f"no {kind} order for the whole client" in error["message"]


async def test_the_fields_show_client_wide_orders_of_any_origin(
    api: RunningApi,
) -> None:
    await ask(api, "PUT", "/orders/manual")
    shown = await ask(api, "PUT", "/orders/forced")
    assert (shown["manual_voip_suspend"], shown["voip_suspended"]) == ("Yes", "Yes")
    event = (await api.published(ACCOUNT))[-1]["profile"]
    assert (event["manual_voip_suspend"], event["voip_suspended_by"]) == ("Yes", "person")
    ended = await ask(api, "PATCH", "", {"manual_voip_suspend": "None", "voip_suspended": "None"})
    assert ended["orders"] == []
    exempt = await ask(api, "PATCH", "", {"manual_voip_suspend": "No", "voip_suspended": "No"})
    assert [order["kind"] for order in exempt["orders"]] == ["exemption"]
    assert (await ask(api, "PATCH", "", {"voip_suspended": "None"}))["orders"] == []


async def test_an_order_for_one_product_leaves_the_other_on(api: RunningApi) -> None:
    held = await ask(api, "POST", "/suspend", {"product": "pbx-2", "reason": "abuse"})
    assert held["what_happens"] == "pbx-1: stays on; pbx-2: switched off within seconds"
    assert held["manual_voip_suspend"] == "None"
    assert await published(api) == [("manual", "pbx-2")]
    whole = await ask(api, "POST", "/unsuspend")
    assert whole["what_happens"].startswith("nothing changes: there is no manual order; ")
    freed = await ask(api, "POST", "/unsuspend", {"product": "pbx-2"})
    assert (freed["orders"], freed["what_happens"]) == (
        [],
        "pbx-1: stays on; pbx-2: switched on within seconds",
    )
    unknown = await ask(api, "PUT", "/orders/manual", {"product": "pbx-9"}, status=404)
    assert unknown["field"] == "product"
    forced = await ask(api, "PUT", "/orders/forced", {"product": "pbx-1"}, status=422)
    assert "whole client" in forced["message"]


async def test_the_orders_of_a_removed_product_are_removed(api: RunningApi) -> None:
    await ask(api, "PUT", "/orders/whmcs", {"product": "pbx-2"})
    await api.http.delete("/v1/clients/anna/products/pbx-2")
    assert await published(api) == []


async def test_an_end_by_date_is_the_end_of_that_day_in_the_clients_zone(api: RunningApi) -> None:
    given = await ask(api, "POST", "/suspend", {"until": TOMORROW})
    until = datetime.fromisoformat(given["orders"][0]["until"])
    day_after = datetime.fromisoformat(TOMORROW).date() + timedelta(days=1)
    assert until.date() == day_after
    assert until.hour in (4, 5), "midnight in Toronto"
    again = await ask(api, "PUT", "/orders/manual", {"until": f"{TOMORROW}T12:00:00Z"})
    assert again["orders"][0]["until"] == f"{TOMORROW}T12:00:00+00:00"
    assert again["orders"][0]["since"] == given["orders"][0]["since"]
    for until_text in ("2020-01-01", "soon", f"{TOMORROW}T12:00:00"):
        body = {"until": until_text}
        assert (await ask(api, "PUT", "/orders/manual", body, status=422))["field"] == "until"


async def test_an_order_past_its_end_is_not_shown_or_published(
    api: RunningApi,
) -> None:
    await ask(api, "POST", "/suspend", {"until": TOMORROW})
    await api.database.execute(
        """update accounts.account set orders =
           jsonb_set(orders, '{0,until}', '"2026-01-01T00:00:00Z"')"""
    )
    shown = await ask(api, "GET", "")
    assert (shown["orders"], shown["manual_voip_suspend"]) == ([], "None")
    await ask(api, "DELETE", "/orders/manual", status=404)
    await ask(api, "PATCH", "", {"company_name": "Berg"})
    assert await published(api) == []


async def test_ten_concurrent_orders_are_all_stored(api: RunningApi) -> None:
    kinds = ("manual", "whmcs", "exemption")
    paths = [f"/orders/{kind}" for kind in kinds for _ in range(3)]
    bodies = [{"product": product} for product in (None, "pbx-1", "pbx-2")] * 3
    await asyncio.gather(
        *(ask(api, "PUT", path, body) for path, body in zip(paths, bodies, strict=True))
    )
    orders = (await ask(api, "GET", "/orders"))["items"]
    assert len(orders) == 9
    versions = [event["version"] for event in await api.published(ACCOUNT)]
    assert versions == list(range(1, 13))


async def test_in_shadow_orders_by_hand_are_refused_and_whmcs_orders_accepted(
    api: RunningApi,
) -> None:
    shadow = await ask(api, "PUT", "/mode", {"mode": "shadow", "reason": "trial"})
    assert shadow["what_happens"] == "shadow mode: nothing is switched; would be on"
    for path in ("/orders/manual", "/orders/forced", "/orders/exemption"):
        error = await ask(api, "PUT", path, {}, status=409)
        assert "ringfence mode live --clients anna" in error["message"]
    await ask(api, "POST", "/suspend", status=409)
    await ask(api, "PATCH", "", {"manual_voip_suspend": "Yes"}, status=409)
    heard = await ask(api, "PUT", "/orders/whmcs", {"reason": "overdue"})
    assert heard["what_happens"] == (
        "shadow mode: nothing is switched; would be off: WHMCS order by tester"
    )
    imported = {"manual_voip_suspend": "Yes", "written_by": "import"}
    assert len((await ask(api, "PATCH", "", imported))["orders"]) == 2


async def test_a_mode_is_set_and_published(api: RunningApi) -> None:
    await ask(api, "PUT", "/mode", {"mode": "shadow", "leave": True})
    event = (await api.published(ACCOUNT))[-1]
    assert (event["mode"], event["leave_off"]) == ("shadow", True)
    again = await ask(api, "PUT", "/mode", {"mode": "shadow", "leave": True})
    live = await ask(api, "PUT", "/mode", {"mode": "live"})
    assert (live["mode"], live["leave_off"], live["version"]) == (
        "live",
        False,
        again["version"] + 1,
    )
    counts = (await api.http.get("/v1/mode")).json()
    assert counts == {"default": "live", "live": 1, "shadow": 0, "without_posting": 0}


async def test_a_client_without_any_posting_cannot_go_live(database: str) -> None:
    async with running_api(database, default_mode="shadow") as api:
        created = await api.client()
        assert created["mode"] == (await api.published(ACCOUNT))[0]["mode"] == "shadow"
        await api.database.execute("delete from accounts.payment")
        error = await ask(api, "PUT", "/mode", {"mode": "live"}, status=409)
        assert "--opening-balance" in error["message"]
        assert (await api.http.get("/v1/mode")).json()["without_posting"] == 1
        await ask(api, "PATCH", "", {"opening_balance": "0"})
        assert (await ask(api, "PUT", "/mode", {"mode": "live"}))["mode"] == "live"


async def test_suspend_says_what_it_does_to_a_client_without_voip_service(api: RunningApi) -> None:
    await api.client(has_voip_service="No")
    answer = await ask(api, "POST", "/suspend")
    assert answer["what_happens"] == "nothing is switched: it has no VoIP service"
    assert "Has VoIP Service" in answer["warnings"][0]


@pytest.mark.parametrize("kind", ["manual", "forced", "whmcs"])
async def test_an_order_that_ends_calls_in_progress_is_audited(api: RunningApi, kind: str) -> None:
    plain = await ask(api, "PUT", f"/orders/{kind}")
    assert plain["orders"][0]["hang_up"] is False
    assert (await api.published(ACCOUNT))[-1]["orders"][0]["hang_up"] is False
    given = await ask(api, "PUT", f"/orders/{kind}", {"hang_up": True})
    assert given["orders"][0]["hang_up"] is True
    assert (await api.published(ACCOUNT))[-1]["orders"][0]["hang_up"] is True
    entry = (await ask(api, "GET", "/audit"))["items"][0]
    assert "calls in progress are ended" in entry["what"]
    assert entry["after"]["orders"][0]["hang_up"] is True


async def test_an_exemption_cannot_end_calls_and_suspend_can(api: RunningApi) -> None:
    error = await ask(api, "PUT", "/orders/exemption", {"hang_up": "yes"}, status=422)
    assert error["field"] == "hang_up"
    ended = await ask(api, "POST", "/suspend", {"hang_up": True, "product": "pbx-1"})
    assert ended["what_happens"] == (
        "pbx-1: switched off within seconds, and its calls in progress are ended; pbx-2: stays on"
    )
