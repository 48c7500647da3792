"""The list of clients, the explanation of their state, and their audit."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from accounts.clients.store_publishing import AuditEntry
from tests.support.accounts import FUSIONPBX, RunningApi, running_api


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def balance(api: RunningApi, who: str, micro: int) -> None:
    await api.database.execute(
        "insert into rating.account (account_id, balance_micro, version, currency)"
        " values ($1, $2, 1, 'CAD')",
        who,
        micro,
    )


async def level(api: RunningApi, who: str, named: str) -> None:
    await api.database.execute(
        "insert into balance_watch.account (account_id, level, held, holds, currency,"
        " outstanding_micro, profile_version, balance_micro, balance_version)"
        " values ($1, $2, $3, 1, 'CAD', 0, 1, 0, 1)",
        who,
        named,
        named == "exhausted",
    )
    await api.database.execute(
        "insert into suspender.account (account_id, held, hold, held_since)"
        " values ($1, $2, 1, '2026-11-01T09:00:00Z')",
        who,
        named == "exhausted",
    )


async def switched(
    api: RunningApi, who: str, product: str, wanted: str, confirmed: str | None, **more: Any
) -> None:
    """Insert the state of a product at the suspender."""
    done = wanted == confirmed
    await api.database.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted,"
        " wanted_seq, mode, confirmed, confirmed_seq, confirmed_at, would, holds, attempts,"
        " last_error) values ($1, $2, 'wat5', 'fusionpbx', $3, 1, 'auto', $4, $5,"
        " '2026-11-01T10:00:00Z', $6, $7, $8, $9)",
        who,
        product,
        wanted,
        confirmed,
        int(done),
        more.get("would", wanted),
        ["funds"] if more.get("would", wanted) == "suspended" else [],
        more.get("attempts", 0),
        more.get("last_error", ""),
    )


async def client(api: RunningApi, who: str, **changes: object) -> None:
    """Put a client with one product named after it."""
    await api.client(who, **changes)
    body = {**FUSIONPBX, "domain_tenant_and_main_dids": f"{who}.ca | 5192229000"}
    await api.put(f"clients/{who}/products/pbx-{who}", body)


async def get(api: RunningApi, path: str, **params: object) -> dict[str, Any]:
    answer = await api.http.get(f"/v1/{path}", params=params)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def names(api: RunningApi, **params: object) -> list[str]:
    found = await get(api, "clients", **params)
    assert found["count"] == len(found["items"])
    return [item["account_id"] for item in found["items"]]


async def test_each_state_is_shown_and_filtered(api: RunningApi) -> None:
    for who in ("on", "off", "switching", "failed", "braked", "metered"):
        await client(api, who)
        await balance(api, who, -3_600_000 if who != "on" else 20_000_000)
        await level(api, who, "ok" if who == "on" else "exhausted")
    await api.client("bare")
    await client(api, "none", has_voip_service="No")
    await client(api, "shadow")
    await balance(api, "shadow", 0)
    await level(api, "shadow", "exhausted")
    await api.put("clients/shadow/mode", {"mode": "shadow"})
    await switched(api, "on", "pbx-on", "active", "active")
    await switched(api, "off", "pbx-off", "suspended", "suspended")
    await switched(api, "switching", "pbx-switching", "suspended", "active")
    await switched(
        api, "failed", "pbx-failed", "suspended", "active", attempts=3, last_error="no answer"
    )
    await switched(api, "shadow", "pbx-shadow", "active", "active", would="suspended")
    await api.store.confirm(
        uuid4(), "failed", "pbx-failed", at=datetime.now(UTC), suspended=None, client_wide=True,
        failure="could not suspend: no answer", entry=AuditEntry("suspender", "failed"),
    )  # fmt: skip
    states = {item["account_id"]: item["state"] for item in (await get(api, "clients"))["items"]}
    assert states == {
        "on": "on", "off": "off", "switching": "switching", "failed": "failed",
        "bare": "no-service",
        "none": "no-service", "shadow": "on", "braked": "on", "metered": "on",
    }  # fmt: skip
    for state in ("off", "switching", "failed"):
        assert await names(api, state=state) == [state]
    assert await names(api, state="no-service") == ["bare", "none"]
    assert await names(api, state="would-be-off") == ["shadow"]
    assert await names(api, level="ok") == ["on"]
    assert await names(api, mode="shadow", level="exhausted") == ["shadow"]
    off = await get(api, "clients/off")
    assert (off["balance"], off["level"], off["held"]) == ("-3.60", "exhausted", True)
    assert (off["reason"], off["brings_back"]) == (
        "no credit: balance -3.60",
        "a payment of more than 3.60",
    )
    assert (off["since"], off["would"]) == ("2026-11-01T10:00:00Z", None)
    shadow = await get(api, "clients/shadow")
    assert (shadow["state"], shadow["would"]) == ("on", "off")
    assert shadow["reason"] == "no credit: balance 0.00"
    failed = await get(api, "clients/failed")
    assert failed["suspension_failures"] == {"pbx-failed": "could not suspend: no answer"}
    on = await get(api, "clients/on")
    assert (on["reason"], on["brings_back"], on["since"]) == ("", "", "2026-11-01T10:00:00Z")
    bare = await get(api, "clients/bare")
    assert (bare["balance"], bare["balance_micro"], bare["level"]) == (None, None, None)


async def test_a_suspension_that_waits_for_the_brake_is_shown_as_on(api: RunningApi) -> None:
    await client(api, "anna")
    await balance(api, "anna", 0)
    await level(api, "anna", "exhausted")
    await switched(api, "anna", "pbx-anna", "suspended", "active")
    await api.database.execute("update suspender.brake set on_since = now(), cause = 'a deck'")
    brake = await get(api, "brake")
    assert (brake["on"], brake["cause"], brake["paused"]) == (True, "a deck", 1)
    assert await names(api, state="on") == ["anna"]
    suspended = (await api.http.post("/v1/clients/anna/suspend")).json()
    assert suspended["what_happens"] == "switched off within seconds"
    freed = (await api.http.post("/v1/clients/anna/unsuspend")).json()
    assert freed["what_happens"].startswith("stays on while the brake is on: no credit")
    await api.database.execute("update suspender.brake set on_since = null")
    assert (await get(api, "brake"))["paused"] == 0
    assert await names(api, state="switching") == ["anna"]


async def test_suspend_and_unsuspend_name_what_holds_a_client_without_credit(
    api: RunningApi,
) -> None:
    await client(api, "anna")
    await balance(api, "anna", -3_600_000)
    await level(api, "anna", "exhausted")
    await switched(api, "anna", "pbx-anna", "suspended", "suspended")
    held = (await api.http.post("/v1/clients/anna/suspend")).json()
    assert held["what_happens"] == (
        "stays off: no credit (balance -3.60 CAD); manual order by tester; brought back by"
        " a payment of more than 3.60 and the end of the manual order"
    )
    freed = (await api.http.post("/v1/clients/anna/unsuspend")).json()
    assert freed["what_happens"] == (
        "stays off: no credit (balance -3.60 CAD); brought back by a payment of more than 3.60"
    )
    exempt = (await api.http.put("/v1/clients/anna/orders/exemption")).json()
    assert exempt["what_happens"] == "switched on within seconds"
    assert (await get(api, "clients/anna"))["reason"] == "", "nothing holds it any more"


async def test_the_explanation_of_a_client_has_sentences_and_products(api: RunningApi) -> None:
    await client(api, "anna")
    await api.put("clients/anna/products/metered", {
        **FUSIONPBX, "extensions": "3000", "prepaid": "no"})  # fmt: skip
    await balance(api, "anna", -3_600_000)
    await level(api, "anna", "exhausted")
    await switched(api, "anna", "pbx-anna", "suspended", "suspended")
    await switched(api, "anna", "metered", "active", "active")
    found = await get(api, "clients/anna/explanation")
    assert (found["state"], found["would"], found["mode"]) == ("off", None, "live")
    assert [(line["product"], line["state"], line["holds"]) for line in found["lines"]] == [
        ("metered", "on", []),
        ("pbx-anna", "off", ["funds"]),
    ]
    off = found["lines"][1]
    assert (off["desired"], off["confirmed"], off["server"]) == ("off", "off", "wat5")
    since = "off since 2026-11-01 10:00 UTC: no credit: balance -3.60"
    assert off["words"] == f"{since}; 911 does not work while it is off"
    assert found["words"][0] == "anna is off: no credit: balance -3.60."
    assert "a payment of more than 3.60" in found["words"][1]
    assert (await api.http.get("/v1/clients/nobody/explanation")).status_code == 404


async def test_a_thousand_clients_are_listed_whole_searched_and_counted(api: RunningApi) -> None:
    await api.client("anna")
    await api.database.execute(
        "insert into accounts.account (account_id, version, currency, time_zone, client, profile,"
        " changed_at) select 'c' || lpad(n::text, 4, '0'), 1, 'CAD', 'UTC',"
        " jsonb_build_object('first_name', 'Bert', 'last_name', 'Number ' || n, 'company_name',"
        " case when n = 500 then '100% Pur_e' else '' end, 'email', 'c' || n || '@example.com'),"
        " '{\"has_voip_service\": true}', now() from generate_series(1, 999) n"
    )
    body = {**FUSIONPBX, "domain_tenant_and_main_dids": "Zebra.example.ca | 14165550199"}
    await api.put("clients/c0007/products/hosted-7", {**body, "extensions": "4711"})
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        page = await get(api, "clients", limit=300, **({"cursor": cursor} if cursor else {}))
        assert page["count"] == 1000
        found += [item["account_id"] for item in page["items"]]
        cursor = page["next"]
    assert found == ["anna", *(f"c{n:04}" for n in range(1, 1000))]
    for search in ("C0007", "bert number 7", "C7@EXAMPLE", "zebra", "4165550199",
                   "+1 (416) 555-0199",
                   "1-416-555", "4711", "HOSTED-7"):  # fmt: skip
        assert "c0007" in await names(api, search=search, limit=500), search
    assert await names(api, search="100% pur_e") == ["c0500"]
    assert await names(api, search="pur%e") == [], "wildcards are text"
    assert await names(api, search="\\") == []
    assert await names(api, search="anna@example.com") == ["anna"]
    assert await names(api, search="nobody has this") == []


async def test_a_malformed_search_is_refused(api: RunningApi) -> None:
    for params in ({"search": "x" * 201}, {"search": "a\x00"}, {"state": "asleep"}, {"level": "x"}):
        answer = await api.http.get("/v1/clients", params=params)
        assert answer.status_code == 422, params


async def test_the_audit_has_who_what_when_and_the_changed_fields(api: RunningApi) -> None:
    await client(api, "anna")
    await api.put("clients/anna/products/pbx-anna", {
        **FUSIONPBX, "extensions": "2112",
        "domain_tenant_and_main_dids": "anna.ca | 5192229000"})  # fmt: skip
    await api.put("clients/anna/outstanding", {"amount": "20"})
    await api.put("clients/anna/orders/manual", {"reason": "holiday"})
    await api.put("packages/standard", {"tariff_id": "retail", "markup_percent": "120"})
    await api.pay("k-1", {"amount": "20", "reference": "cheque 12"})
    await api.put("clients/anna/mode", {"mode": "shadow", "reason": "a trial"})
    await api.store.confirm(
        uuid4(), "anna", "pbx-anna", at=datetime.now(UTC), suspended=True, client_wide=True,
        failure=None, entry=AuditEntry("suspender", "service.suspended.v1 of pbx-anna"),
    )  # fmt: skip
    await api.http.delete("/v1/clients/anna/products/pbx-anna")
    entries: list[dict[str, Any]] = []
    cursor = None
    while cursor is not None or not entries:
        page = await get(
            api, "clients/anna/audit", limit=2, **({"cursor": cursor} if cursor else {})
        )
        entries += page["items"]
        cursor = page["next"]
    assert [(e["what"], e["who"]) for e in entries] == [
        ("product pbx-anna removed", "tester"),
        ("service.suspended.v1 of pbx-anna", "suspender"),
        ("mode set to shadow", "tester"),
        ("top-up of 20.00", "tester"),
        ("manual order given", "tester"),
        ("outstanding set to 20.00", "tester"),
        ("product pbx-anna entered", "tester"),
        ("product pbx-anna entered", "tester"),
        ("profile entered", "tester"),
        ("opening balance of 0.00", "tester"),
    ]
    by_what = {entry["what"]: entry for entry in entries}
    assert by_what["outstanding set to 20.00"]["before"] == {"outstanding": "0.00"}
    assert by_what["outstanding set to 20.00"]["after"] == {"outstanding": "20.00"}
    given = by_what["manual order given"]
    assert (given["reason"], given["after"]["manual_voip_suspend"]) == ("holiday", "Yes")
    assert given["after"]["orders"][0]["given_by"] == "tester"
    assert by_what["mode set to shadow"]["reason"] == "a trial"
    assert by_what["mode set to shadow"]["before"] == {"mode": "live"}
    assert by_what["top-up of 20.00"]["reason"] == "cheque 12"
    assert by_what["top-up of 20.00"]["after"] == {"amount": "20.00", "currency": "CAD"}
    confirmed = by_what["service.suspended.v1 of pbx-anna"]
    assert confirmed["after"] == {"voip_suspended": "Yes", "voip_suspended_by": "us"}
    changed = entries[6]
    assert changed["before"] == {"product pbx-anna": {
        "extensions": "2112 | 2113 | 2114 | 2115 | 2216"}}  # fmt: skip
    assert changed["after"] == {"product pbx-anna": {"extensions": "2112"}}
    assert "product pbx-anna" in by_what["product pbx-anna removed"]["before"]
    created = by_what["profile entered"]
    assert (created["before"], created["after"]["email"]) == (None, "anna@example.com")
    assert (await api.http.get("/v1/clients/nobody/audit")).status_code == 404


async def test_every_published_version_has_an_audit_entry(api: RunningApi) -> None:
    await client(api, "anna")
    await api.put("packages/standard", {"tariff_id": "retail"})
    body = {**FUSIONPBX, "package": "standard"}
    await api.put("clients/anna/products/pbx-anna", body)
    await api.put("packages/standard", {"tariff_id": "retail", "markup_percent": "150"})
    await asyncio.gather(*(
        api.put(f"clients/anna/orders/{kind}", {}) for kind in ("manual", "forced", "whmcs")
    ))  # fmt: skip
    entries = (await get(api, "clients/anna/audit", limit=100))["items"]
    versions = sorted(entry["version"] for entry in entries if entry["version"])
    events = [event["version"] for event in await api.published("account.changed.v1")]
    assert versions == events == list(range(1, len(events) + 1))
    package = next(entry for entry in entries if entry["what"] == "package standard changed")
    assert package["before"] == {"package standard": {"markup_percent": "100"}}
    assert package["after"] == {"package standard": {"markup_percent": "150"}}
