"""Clients, products and packages through the API, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.accounts import CLIENT, FUSIONPBX, RunningApi, running_api

ACCOUNT = "account.changed.v1"
PACKAGE = {"tariff_id": "retail", "markup_percent": "120"}
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def test_a_request_without_a_token_is_refused(api: RunningApi) -> None:
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        for path in ("/v1/clients", "/v1/openapi.json", "/v1/clients/anna/balance", "/"):
            assert (await stranger.get(path)).status_code == 401
        wrong = {"Authorization": "Bearer not-the-token"}
        answer = await stranger.put("/v1/clients/anna", json=CLIENT, headers=wrong)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "not-the-token" not in answer.text
    assert await api.published(ACCOUNT) == []


async def test_a_new_client_is_published_whole(api: RunningApi) -> None:
    answer = await api.http.put("/v1/clients/anna", json=CLIENT)
    assert answer.status_code == 201
    (event,) = await api.published(ACCOUNT)
    assert event["version"] == 1
    assert event["client"]["first_name"] == "Anna"
    assert event["profile"]["has_voip_service"] is True
    assert event["profile"]["low_balance_threshold"] == "$15"
    assert event["profile"]["threshold_micro"] == 15_000_000
    assert (await api.http.get("/v1/clients/anna")).json()["email"] == "anna@example.com"


async def test_the_same_profile_again_publishes_nothing(api: RunningApi) -> None:
    await api.client()
    again = await api.http.put("/v1/clients/anna", json=CLIENT)
    assert again.status_code == 200
    assert again.json()["version"] == 1
    assert len(await api.published(ACCOUNT)) == 1


async def test_who_changed_a_client_is_recorded(api: RunningApi) -> None:
    await api.client()
    await api.http.post("/v1/clients/anna/suspend")
    rows = await api.database.fetch(
        "select version, what, changed_by from accounts.account_change order by version"
    )
    assert [tuple(row) for row in rows] == [
        (1, "profile entered", "tester"),
        (2, "suspended by hand", "tester"),
    ]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("low_balance_threshold", "fifteen", "1,500"),
        ("low_balance_threshold", "1,50", "1,500"),
        ("low_balance_threshold", "-1", "blank"),
        ("time_zone", "Mars/Olympus", "America/Toronto"),
        ("time_zone", "../../etc/passwd", "America/Toronto"),
        ("email", "anna", "anna@example.com"),
        ("email", "a@b.ca\r\nBcc: x@y.ca", "anna@example.com"),
        ("first_name", "Anna\nBcc: x", "one line"),
        ("first_name", "An\x00na", "NUL"),
        ("currency", "cad", "such as CAD"),
        ("voip_suspended", "maybe", "'Yes', 'No' or 'None'"),
        ("has_voip_service", "perhaps", "yes or no"),
    ],
)
async def test_a_malformed_profile_field_is_refused_with_its_format(
    api: RunningApi, field: str, value: str, expected: str
) -> None:
    error = await api.refused("clients/anna", {**CLIENT, field: value})
    assert expected in error["expected"]
    assert expected in error["message"]
    assert (await api.http.get("/v1/clients/anna")).status_code == 404


async def test_half_a_surrogate_pair_is_refused(api: RunningApi) -> None:
    body = b'{"first_name": "\\ud800", "email": "a@b.ca", "currency": "CAD"}'
    answer = await api.http.put("/v1/clients/anna", content=body)
    assert answer.status_code == 422


async def test_the_value_of_an_unknown_field_is_not_echoed(api: RunningApi) -> None:
    error = await api.refused("clients/anna", {**CLIENT, "password": "hunter2hunter2"})
    assert error["field"] == "password"
    assert "hunter2" not in str(error)


async def test_sql_and_formulas_are_data(api: RunningApi) -> None:
    name = "'); drop table accounts.account; --"
    await api.client(first_name=name, company_name="=1+1")
    assert (await api.http.get("/v1/clients/anna")).json()["first_name"] == name


async def test_the_currency_of_an_account_never_changes(api: RunningApi) -> None:
    await api.client()
    error = await api.refused("clients/anna", {**CLIENT, "currency": "USD"}, 409)
    assert error["field"] == "currency"
    assert "CAD" in error["message"]


async def test_suspension_fields_left_out_stay_as_they_are(api: RunningApi) -> None:
    await api.client(voip_suspended="No", manual_voip_suspend="no")
    after = await api.client(first_name="Anne")
    assert (after["voip_suspended"], after["voip_suspended_by"]) == ("No", "person")
    assert after["manual_voip_suspend"] == "No"


async def test_an_imported_yes_keeps_its_writer_when_sent_back(
    api: RunningApi,
) -> None:
    imported = await api.client(voip_suspended="Yes", written_by="import")
    assert imported["voip_suspended_by"] == "import"
    sent_back = await api.client(voip_suspended="Yes")
    assert sent_back["voip_suspended_by"] == "import"
    claimed = await api.client(voip_suspended="Yes", written_by="person")
    assert claimed["voip_suspended_by"] == "person"


async def test_suspend_and_unsuspend_by_hand(api: RunningApi) -> None:
    await api.client()
    on = await api.http.post("/v1/clients/anna/suspend")
    off = await api.http.post("/v1/clients/anna/unsuspend")
    assert (on.json()["manual_voip_suspend"], on.json()["warnings"]) == ("Yes", [])
    assert off.json()["manual_voip_suspend"] == "None"
    events = [event["profile"]["manual_voip_suspend"] for event in await api.published(ACCOUNT)]
    assert events == ["None", "Yes", "None"]
    assert (await api.http.post("/v1/clients/nobody/suspend")).status_code == 404


async def test_unsuspend_warns_when_a_persons_yes_still_holds(api: RunningApi) -> None:
    await api.client(voip_suspended="Yes")
    answer = await api.http.post("/v1/clients/anna/unsuspend")
    assert "written by a person" in answer.json()["warnings"][0]


async def test_outstanding_is_set_and_published(api: RunningApi) -> None:
    await api.client()
    answer = await api.put("clients/anna/outstanding", {"amount": "1,250.50"})
    assert answer["outstanding_micro"] == 1_250_500_000
    assert answer["outstanding"] == "1250.50"
    assert (await api.published(ACCOUNT))[-1]["outstanding_micro"] == 1_250_500_000
    assert (await api.refused("clients/anna/outstanding", {"amount": "-1"}))["field"] == "amount"
    await api.refused("clients/anna/outstanding", {"amount": 1.1})
    await api.refused("clients/nobody/outstanding", {"amount": "1"}, 404)


async def test_clients_are_listed_in_pages(api: RunningApi) -> None:
    for number in range(5):
        await api.client(f"c{number}")
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.http.get("/v1/clients", params=params)).json()
        seen += [client["account_id"] for client in page["items"]]
        cursor = page["next"]
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    assert cursor is None
    assert (await api.http.get("/v1/clients?cursor=x'--")).status_code == 422


async def test_a_product_is_parsed_and_published(api: RunningApi) -> None:
    await api.client()
    await api.put("packages/standard", PACKAGE)
    answer = await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "package": "standard"})
    (warning,) = answer["warnings"]
    assert warning.startswith("911 does not work while it is off")
    events = await api.published(ACCOUNT)
    (service,) = events[-1]["services"]
    assert events[-1]["version"] == 2
    assert service["tenant"] == "mcon.wat5.ictvoip.ca"
    assert service["dids"] == ["5192229000"]
    assert service["extensions"] == ["2112", "2113", "2114", "2115", "2216"]
    assert service["package"]["markup_percent"] == "120"
    stored = (await api.http.get("/v1/clients/anna/products/pbx-1")).json()
    assert stored["extensions"] == FUSIONPBX["extensions"]


async def test_a_malformed_product_changes_nothing(api: RunningApi) -> None:
    await api.client()
    before = await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    body = {**FUSIONPBX, "name": "Renamed", "extensions": "2112 to 2116"}
    error = await api.refused("clients/anna/products/pbx-1", body)
    assert error["field"] == "extensions"
    assert error["value"] == "2112 to 2116"
    assert "2112 | 2113" in error["expected"]
    for part in ("Extensions", "2112 to 2116", "2112 | 2113"):
        assert part in error["message"]
    after = (await api.http.get("/v1/clients/anna/products/pbx-1")).json()
    assert after["name"] == before["name"]
    assert len(await api.published(ACCOUNT)) == 2


async def test_a_product_of_an_unknown_client_or_package_is_refused(api: RunningApi) -> None:
    await api.refused("clients/nobody/products/pbx-1", FUSIONPBX, 404)
    await api.client()
    body = {**FUSIONPBX, "package": "gold"}
    assert (await api.refused("clients/anna/products/pbx-1", body))["field"] == "package"


async def test_no_two_clients_have_the_same_product_extension_or_switched_gateway(
    api: RunningApi,
) -> None:
    await api.client()
    await api.client("bert")
    shared = {**FUSIONPBX, "suspend_by": "gateway", "gateway_ids": GATEWAY}
    await api.put("clients/anna/products/pbx-1", shared)
    mine = await api.refused("clients/bert/products/pbx-1", FUSIONPBX, 409)
    assert mine["field"] == "service_id"
    twice = await api.refused("clients/bert/products/pbx-2", FUSIONPBX, 409)
    assert twice["field"] == "extensions"
    other = {**shared, "extensions": "3000", "suspend_by": "extensions"}
    gateway = await api.refused("clients/bert/products/pbx-2", other, 409)
    assert gateway["field"] == "gateway_ids"
    assert "anna" in gateway["message"]
    await api.put("clients/bert/products/pbx-2", {**FUSIONPBX, "extensions": "3000"})


async def test_of_two_clients_that_claim_an_extension_at_once_one_gets_it(
    api: RunningApi,
) -> None:
    names = [f"c{number}" for number in range(6)]
    for name in names:
        await api.client(name)
    for extension in ("2001", "2002", "2003", "2004", "2005"):
        body = {**FUSIONPBX, "extensions": extension}
        answers = await asyncio.gather(
            *(api.http.put(f"/v1/clients/{n}/products/{n}-{extension}", json=body) for n in names)
        )
        assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_product_can_be_removed(api: RunningApi) -> None:
    await api.client()
    await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    assert (await api.http.delete("/v1/clients/anna/products/pbx-1")).status_code == 200
    assert (await api.published(ACCOUNT))[-1]["services"] == []
    assert (await api.http.delete("/v1/clients/anna/products/pbx-1")).status_code == 404


async def test_a_changed_package_is_published_for_all_accounts_that_use_it(api: RunningApi) -> None:
    await api.put("packages/standard", PACKAGE)
    for name in ("anna", "bert", "carl"):
        await api.client(name)
        package = None if name == "carl" else "standard"
        body = {**FUSIONPBX, "server_id": f"pbx-of-{name}", "package": package}
        await api.put(f"clients/{name}/products/pbx-{name}", body)
    before = len(await api.published(ACCOUNT))
    answer = await api.put("packages/standard", {**PACKAGE, "markup_percent": "220"})
    again = await api.put("packages/standard", {**PACKAGE, "markup_percent": "220.0"})
    events = (await api.published(ACCOUNT))[before:]
    assert (answer["accounts_told"], again["accounts_told"]) == (2, 0)
    assert [(event["account_id"], event["version"]) for event in events] == [
        ("anna", 3),
        ("bert", 3),
    ]
    assert {event["services"][0]["package"]["markup_percent"] for event in events} == {"220"}


async def test_markup_under_100_and_an_unknown_tariff_warn(api: RunningApi) -> None:
    answer = await api.put("packages/cheap", {"tariff_id": "retail", "markup_percent": "99.9"})
    assert "under 100" in answer["warnings"][0]
    assert "no version yet" in answer["warnings"][1]
    await api.import_card()
    fine = await api.put("packages/cheap", {"tariff_id": "retail", "markup_percent": 100})
    assert fine["warnings"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("custom_outbound_increment", "0"),
        ("custom_outbound_increment", "30/0"),
        ("custom_inbound_rate", "-1"),
        ("custom_inbound_rate", "1e3"),
        ("custom_inbound_rate", 0.1),
        ("free_minutes", -1),
        ("country_code", "Canada"),
        ("markup_percent", "NaN"),
        ("tariff_id", "../etc"),
        ("minimum_cost", "-0.05"),
        ("maximum_cost", "free"),
    ],
)
async def test_a_malformed_package_is_refused(api: RunningApi, field: str, value: object) -> None:
    error = await api.refused("packages/standard", {**PACKAGE, field: value})
    assert error["field"] == field
    assert (await api.http.get("/v1/packages/standard")).status_code == 404


async def test_an_account_too_large_for_a_record_is_refused(
    api: RunningApi,
) -> None:
    await api.client()
    long = " | ".join(str(10**14 + number) for number in range(490))
    fields = "domain_tenant_and_main_dids"
    statuses = []
    for number in range(60):
        body = {**FUSIONPBX, fields: f"t{number}.ca | {long}", "server_id": f"s{number}"}
        answer = await api.http.put(f"/v1/clients/anna/products/p{number}", json=body)
        statuses.append(answer.status_code)
    assert statuses[0] == 201
    assert statuses[-1] == 422
    assert len((await api.published(ACCOUNT))[-1]["services"]) == statuses.count(201)


async def test_a_body_above_a_mebibyte_is_refused(api: RunningApi) -> None:
    answer = await api.http.put("/v1/clients/anna", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    chunked = await api.http.put("/v1/clients/anna", content=unannounced())
    assert chunked.status_code == 413
    assert "1 MiB" in chunked.json()["error"]["expected"]


async def test_mail_fields_are_entered_shown_changed_and_published(
    api: RunningApi,
) -> None:
    """The language, the copies and the custom fields of mails: additive fields of `client`."""
    given: dict[str, Any] = {
        "language": "fr-CA",
        "cc": ["boss@example.com"],
        "custom_fields": {"CC Auth on File": "yes"},
    }
    shown = await api.client(**given)
    assert {name: shown[name] for name in given} == given
    answer = await api.http.patch("/v1/clients/anna", json={"language": "en"})
    assert answer.json()["cc"] == ["boss@example.com"]
    event = (await api.published("account.changed.v1"))[-1]["client"]
    assert (event["language"], event["cc"], event["custom_fields"]) == (
        "en",
        ["boss@example.com"],
        {"CC Auth on File": "yes"},
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("language", "français"),
        ("language", "../etc"),
        ("cc", ["a..b@example.com"]),
        ("cc", [f"{number}@example.com" for number in range(6)]),
    ],
)
async def test_invalid_mail_fields_are_refused_on_entry(
    api: RunningApi, name: str, value: object
) -> None:
    error = await api.refused("clients/anna", {**CLIENT, name: value})
    assert error["field"].startswith(name)
