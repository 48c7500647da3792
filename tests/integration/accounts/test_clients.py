"""Clients, products and packages through the API, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.accounts import CLIENT, FUSIONPBX, FrontDoor, front_door

ACCOUNT = "account.changed.v1"
PACKAGE = {"tariff_id": "retail", "markup_percent": "120"}
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


@pytest.fixture
async def door(database: str) -> AsyncIterator[FrontDoor]:
    async with front_door(database) as opened:
        yield opened


async def test_without_a_token_nothing_is_answered(door: FrontDoor) -> None:
    async with httpx.AsyncClient(base_url=door.url) as stranger:
        for path in ("/v1/clients", "/v1/openapi.json", "/v1/clients/anna/balance", "/"):
            assert (await stranger.get(path)).status_code == 401
        wrong = {"Authorization": "Bearer not-the-token"}
        answer = await stranger.put("/v1/clients/anna", json=CLIENT, headers=wrong)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "not-the-token" not in answer.text
    assert await door.told(ACCOUNT) == []


async def test_a_client_is_created_and_told_whole(door: FrontDoor) -> None:
    answer = await door.http.put("/v1/clients/anna", json=CLIENT)
    assert answer.status_code == 201
    (told,) = await door.told(ACCOUNT)
    assert told["version"] == 1
    assert told["client"]["first_name"] == "Anna"
    assert told["profile"]["has_voip_service"] is True
    assert told["profile"]["low_balance_threshold"] == "$15"
    assert told["profile"]["threshold_micro"] == 15_000_000
    assert (await door.http.get("/v1/clients/anna")).json()["email"] == "anna@example.com"


async def test_the_same_profile_again_tells_nothing(door: FrontDoor) -> None:
    await door.client()
    again = await door.http.put("/v1/clients/anna", json=CLIENT)
    assert again.status_code == 200
    assert again.json()["version"] == 1
    assert len(await door.told(ACCOUNT)) == 1


async def test_who_changed_a_client_is_recorded(door: FrontDoor) -> None:
    await door.client()
    await door.http.post("/v1/clients/anna/suspend")
    rows = await door.database.fetch(
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
    door: FrontDoor, field: str, value: str, expected: str
) -> None:
    error = await door.refused("clients/anna", {**CLIENT, field: value})
    assert expected in error["expected"]
    assert expected in error["message"]
    assert (await door.http.get("/v1/clients/anna")).status_code == 404


async def test_half_a_surrogate_pair_is_refused_and_not_a_failure(door: FrontDoor) -> None:
    body = b'{"first_name": "\\ud800", "email": "a@b.ca", "currency": "CAD"}'
    answer = await door.http.put("/v1/clients/anna", content=body)
    assert answer.status_code == 422


async def test_the_value_of_a_field_that_does_not_exist_is_not_echoed(door: FrontDoor) -> None:
    error = await door.refused("clients/anna", {**CLIENT, "password": "hunter2hunter2"})
    assert error["field"] == "password"
    assert "hunter2" not in str(error)


async def test_sql_and_formulas_are_data(door: FrontDoor) -> None:
    name = "'); drop table accounts.account; --"
    await door.client(first_name=name, company_name="=1+1")
    assert (await door.http.get("/v1/clients/anna")).json()["first_name"] == name


async def test_the_currency_of_an_account_never_changes(door: FrontDoor) -> None:
    await door.client()
    error = await door.refused("clients/anna", {**CLIENT, "currency": "USD"}, 409)
    assert error["field"] == "currency"
    assert "CAD" in error["message"]


async def test_suspension_fields_left_out_stay_as_they_are(door: FrontDoor) -> None:
    await door.client(voip_suspended="No", manual_voip_suspend="no")
    after = await door.client(first_name="Anne")
    assert (after["voip_suspended"], after["voip_suspended_by"]) == ("No", "person")
    assert after["manual_voip_suspend"] == "No"


async def test_an_imported_yes_is_not_a_persons_and_sending_it_back_keeps_its_writer(
    door: FrontDoor,
) -> None:
    imported = await door.client(voip_suspended="Yes", written_by="import")
    assert imported["voip_suspended_by"] == "import"
    sent_back = await door.client(voip_suspended="Yes")
    assert sent_back["voip_suspended_by"] == "import"
    claimed = await door.client(voip_suspended="Yes", written_by="person")
    assert claimed["voip_suspended_by"] == "person"


async def test_suspend_and_unsuspend_by_hand(door: FrontDoor) -> None:
    await door.client()
    on = await door.http.post("/v1/clients/anna/suspend")
    off = await door.http.post("/v1/clients/anna/unsuspend")
    assert (on.json()["manual_voip_suspend"], on.json()["warnings"]) == ("Yes", [])
    assert off.json()["manual_voip_suspend"] == "None"
    told = [event["profile"]["manual_voip_suspend"] for event in await door.told(ACCOUNT)]
    assert told == ["None", "Yes", "None"]
    assert (await door.http.post("/v1/clients/nobody/suspend")).status_code == 404


async def test_unsuspend_says_when_a_persons_yes_still_holds(door: FrontDoor) -> None:
    await door.client(voip_suspended="Yes")
    answer = await door.http.post("/v1/clients/anna/unsuspend")
    assert "written by a person" in answer.json()["warnings"][0]


async def test_outstanding_is_set_and_told(door: FrontDoor) -> None:
    await door.client()
    answer = await door.put("clients/anna/outstanding", {"amount": "1,250.50"})
    assert answer["outstanding_micro"] == 1_250_500_000
    assert answer["outstanding"] == "1250.50"
    assert (await door.told(ACCOUNT))[-1]["outstanding_micro"] == 1_250_500_000
    assert (await door.refused("clients/anna/outstanding", {"amount": "-1"}))["field"] == "amount"
    await door.refused("clients/anna/outstanding", {"amount": 1.1})
    await door.refused("clients/nobody/outstanding", {"amount": "1"}, 404)


async def test_clients_are_listed_in_pages(door: FrontDoor) -> None:
    for number in range(5):
        await door.client(f"c{number}")
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await door.http.get("/v1/clients", params=params)).json()
        seen += [client["account_id"] for client in page["items"]]
        cursor = page["next"]
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    assert cursor is None
    assert (await door.http.get("/v1/clients?cursor=x'--")).status_code == 422


async def test_a_product_is_read_and_told(door: FrontDoor) -> None:
    await door.client()
    await door.put("packages/standard", PACKAGE)
    answer = await door.put("clients/anna/products/pbx-1", {**FUSIONPBX, "package": "standard"})
    (warning,) = answer["warnings"]
    assert warning.startswith("911 does not work while it is off")
    told = await door.told(ACCOUNT)
    (service,) = told[-1]["services"]
    assert told[-1]["version"] == 2
    assert service["tenant"] == "mcon.wat5.ictvoip.ca"
    assert service["dids"] == ["5192229000"]
    assert service["extensions"] == ["2112", "2113", "2114", "2115", "2216"]
    assert service["package"]["markup_percent"] == "120"
    stored = (await door.http.get("/v1/clients/anna/products/pbx-1")).json()
    assert stored["extensions"] == FUSIONPBX["extensions"]


async def test_a_malformed_product_changes_nothing_of_what_stood(door: FrontDoor) -> None:
    await door.client()
    before = await door.put("clients/anna/products/pbx-1", FUSIONPBX)
    body = {**FUSIONPBX, "name": "Renamed", "extensions": "2112-2116"}
    error = await door.refused("clients/anna/products/pbx-1", body)
    assert error["field"] == "extensions"
    assert error["value"] == "2112-2116"
    assert "2112 | 2113" in error["expected"]
    for part in ("Extensions", "2112-2116", "2112 | 2113"):
        assert part in error["message"]
    after = (await door.http.get("/v1/clients/anna/products/pbx-1")).json()
    assert after["name"] == before["name"]
    assert len(await door.told(ACCOUNT)) == 2


async def test_a_product_of_an_unknown_client_or_package_is_refused(door: FrontDoor) -> None:
    await door.refused("clients/nobody/products/pbx-1", FUSIONPBX, 404)
    await door.client()
    body = {**FUSIONPBX, "package": "gold"}
    assert (await door.refused("clients/anna/products/pbx-1", body))["field"] == "package"


async def test_no_two_clients_have_the_same_product_extension_or_switched_gateway(
    door: FrontDoor,
) -> None:
    await door.client()
    await door.client("bert")
    shared = {**FUSIONPBX, "suspend_by": "gateway", "gateway_ids": GATEWAY}
    await door.put("clients/anna/products/pbx-1", shared)
    mine = await door.refused("clients/bert/products/pbx-1", FUSIONPBX, 409)
    assert mine["field"] == "service_id"
    twice = await door.refused("clients/bert/products/pbx-2", FUSIONPBX, 409)
    assert twice["field"] == "extensions"
    other = {**shared, "extensions": "3000", "suspend_by": "extensions"}
    gateway = await door.refused("clients/bert/products/pbx-2", other, 409)
    assert gateway["field"] == "gateway_ids"
    assert "anna" in gateway["message"]
    await door.put("clients/bert/products/pbx-2", {**FUSIONPBX, "extensions": "3000"})


async def test_two_clients_who_claim_one_extension_at_once_do_not_both_get_it(
    door: FrontDoor,
) -> None:
    names = [f"c{number}" for number in range(6)]
    for name in names:
        await door.client(name)
    for extension in ("2001", "2002", "2003", "2004", "2005"):
        body = {**FUSIONPBX, "extensions": extension}
        answers = await asyncio.gather(
            *(door.http.put(f"/v1/clients/{n}/products/{n}-{extension}", json=body) for n in names)
        )
        assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_product_can_be_removed(door: FrontDoor) -> None:
    await door.client()
    await door.put("clients/anna/products/pbx-1", FUSIONPBX)
    assert (await door.http.delete("/v1/clients/anna/products/pbx-1")).status_code == 200
    assert (await door.told(ACCOUNT))[-1]["services"] == []
    assert (await door.http.delete("/v1/clients/anna/products/pbx-1")).status_code == 404


async def test_a_changed_package_is_told_for_all_accounts_that_use_it(door: FrontDoor) -> None:
    await door.put("packages/standard", PACKAGE)
    for name in ("anna", "bert", "carl"):
        await door.client(name)
        package = None if name == "carl" else "standard"
        body = {**FUSIONPBX, "server_id": f"pbx-of-{name}", "package": package}
        await door.put(f"clients/{name}/products/pbx-{name}", body)
    before = len(await door.told(ACCOUNT))
    answer = await door.put("packages/standard", {**PACKAGE, "markup_percent": "220"})
    again = await door.put("packages/standard", {**PACKAGE, "markup_percent": "220.0"})
    told = (await door.told(ACCOUNT))[before:]
    assert (answer["accounts_told"], again["accounts_told"]) == (2, 0)
    assert [(event["account_id"], event["version"]) for event in told] == [("anna", 3), ("bert", 3)]
    assert {event["services"][0]["package"]["markup_percent"] for event in told} == {"220"}


async def test_markup_under_100_and_an_unknown_tariff_earn_warnings(door: FrontDoor) -> None:
    answer = await door.put("packages/cheap", {"tariff_id": "retail", "markup_percent": "99.9"})
    assert "under 100" in answer["warnings"][0]
    assert "no version yet" in answer["warnings"][1]
    await door.import_card()
    fine = await door.put("packages/cheap", {"tariff_id": "retail", "markup_percent": 100})
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
    ],
)
async def test_a_malformed_package_is_refused(door: FrontDoor, field: str, value: object) -> None:
    error = await door.refused("packages/standard", {**PACKAGE, field: value})
    assert error["field"] == field
    assert (await door.http.get("/v1/packages/standard")).status_code == 404


async def test_an_account_too_large_for_a_record_is_refused_and_nothing_is_left(
    door: FrontDoor,
) -> None:
    await door.client()
    long = " | ".join(str(10**14 + number) for number in range(490))
    fields = "domain_tenant_and_main_dids"
    statuses = []
    for number in range(60):
        body = {**FUSIONPBX, fields: f"t{number}.ca | {long}", "server_id": f"s{number}"}
        answer = await door.http.put(f"/v1/clients/anna/products/p{number}", json=body)
        statuses.append(answer.status_code)
    assert statuses[0] == 201
    assert statuses[-1] == 422
    assert len((await door.told(ACCOUNT))[-1]["services"]) == statuses.count(201)


async def test_a_body_above_a_mebibyte_is_refused(door: FrontDoor) -> None:
    answer = await door.http.put("/v1/clients/anna", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    chunked = await door.http.put("/v1/clients/anna", content=unannounced())
    assert chunked.status_code == 413
    assert "1 MiB" in chunked.json()["error"]["expected"]


async def test_how_a_client_is_written_to_is_entered_shown_changed_and_published(
    door: FrontDoor,
) -> None:
    """The language, the copies and the custom fields of mails: additive fields of `client`."""
    given: dict[str, Any] = {
        "language": "fr-CA",
        "cc": ["boss@example.com"],
        "custom_fields": {"CC Auth on File": "yes"},
    }
    shown = await door.client(**given)
    assert {name: shown[name] for name in given} == given
    answer = await door.http.patch("/v1/clients/anna", json={"language": "en"})
    assert answer.json()["cc"] == ["boss@example.com"]
    told = (await door.told("account.changed.v1"))[-1]["client"]
    assert (told["language"], told["cc"], told["custom_fields"]) == (
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
async def test_what_no_mail_can_use_is_refused_when_it_is_entered(
    door: FrontDoor, name: str, value: object
) -> None:
    error = await door.refused("clients/anna", {**CLIENT, name: value})
    assert error["field"].startswith(name)
