"""Products: ways of suspension, the rest of a tenant, calls in progress, elements that stay off."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from accounts import store_rows
from accounts.products import store
from accounts.products.product import Product
from tests.support.accounts import FUSIONPBX, RunningApi, running_api
from tests.support.commands import Operator

ACCOUNT = "account.changed.v1"
REQUESTED = "operator.requested.v1"
TENANT = "mcon.wat5.ictvoip.ca"
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"
VODIA = {
    "kind": "vodia", "server_id": "vodia1", "package": "standard",
    "tenant_and_inbound_dids": "cffm.wat1.ictvoip.ca | 8300", "did_or_extension": "8300",
}  # fmt: skip
LESNET = {"kind": "lesnet", "server_id": "les", "domain": "D4E3CD2BFC791 | 12046664021"}


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        await api.client("anna")
        await api.client("bert")
        yield Operator(api)


async def published(api: RunningApi, product: str = "pbx-1") -> dict[str, Any]:
    """The service as it was last published."""
    services = (await api.published(ACCOUNT))[-1]["services"]
    found: dict[str, Any] = next(s for s in services if s["service_id"] == product)
    return found


async def entered(operator: Operator, product: str = "pbx-1", **changes: object) -> dict[str, Any]:
    """Put a FusionPBX product of anna."""
    return await operator.api.put(f"clients/anna/products/{product}", {**FUSIONPBX, **changes})


async def off(operator: Operator, **changes: Any) -> None:
    """Anna's pbx-1 is off for lack of credit, by its extensions 101 and 102."""
    await entered(operator, extensions="101 | 102", **changes)
    await operator.posted("anna", -3_600_000)
    await operator.level("anna", "exhausted", -3_600_000)
    await operator.service("anna", "pbx-1", "suspended")
    for extension in ("101", "102"):
        await operator.switched_off("anna", "pbx-1", "extensions", extension, tenant=TENANT)


async def test_a_product_can_be_outbound_only_and_have_the_rest(
    operator: Operator,
) -> None:
    answer = await entered(operator, suspend_by="outbound", extensions="2112 | *", package=None)
    assert (answer["suspend_by"], answer["extensions"]) == ("outbound", "2112 | *")
    assert "emergency calls still work" in answer["emergency"]
    assert not [warning for warning in answer["warnings"] if "911" in warning]
    service = await published(operator.api)
    assert (service["suspend_by"], service["outbound_only"]) == ("extensions", True)
    assert (service["extensions"], service["rest_of_tenant"]) == (["2112"], True)
    listed = await operator.api.put(
        "clients/bert/products/pbx-2", {**FUSIONPBX, "extensions": "3000"}
    )
    assert listed["service"]["extensions"] == ["3000"]
    rest = {**FUSIONPBX, "extensions": "*"}
    error = await operator.api.refused("clients/bert/products/pbx-3", rest, 409)
    assert (error["field"], "anna" in error["message"]) == ("extensions", True)


@pytest.mark.parametrize(
    ("body", "warns"),
    [
        (FUSIONPBX, True),
        ({**FUSIONPBX, "suspend_by": "domain"}, True),
        ({**FUSIONPBX, "suspend_by": "gateway", "gateway_ids": GATEWAY}, True),
        ({**FUSIONPBX, "suspend_by": "outbound"}, False),
        ({**VODIA, "package": None}, True),
        (LESNET, False),
    ],
)
async def test_every_way_without_911_warns(
    operator: Operator, body: Mapping[str, object], warns: bool
) -> None:
    answer = await operator.api.put("clients/anna/products/pbx-1", body)
    warned = [w for w in answer["warnings"] if "911 does not work while it is off" in w]
    assert len(warned) == warns
    shown = (await operator.api.http.get("/v1/clients/anna/products/pbx-1")).json()
    works = body.get("suspend_by") == "outbound"
    assert ("911 does not work" in shown["emergency"]) is not works


async def test_a_product_switched_with_another_client_is_refused(operator: Operator) -> None:
    await entered(operator, suspend_by="domain")
    alone = {**FUSIONPBX, "extensions": "3000"}
    error = await operator.api.refused("clients/bert/products/pbx-2", alone, 409)
    assert (error["field"], "anna" in error["message"]) == ("domain_tenant_and_main_dids", True)
    await entered(operator, suspend_by="outbound")
    await operator.api.put("clients/bert/products/pbx-2", alone)
    whole = {**FUSIONPBX, "suspend_by": "domain"}
    error = await operator.api.refused("clients/anna/products/pbx-1", whole, 409)
    assert (error["field"], "bert" in error["message"]) == ("suspend_by", True)


async def test_new_prepaid_products_end_calls_and_the_setting_is_kept(
    operator: Operator,
) -> None:
    assert (await entered(operator))["hang_up"] == "credit"
    assert (await published(operator.api))["hang_up"] == "credit"
    assert (await entered(operator, hang_up="never"))["hang_up"] == "never"
    assert (await entered(operator, name="Renamed"))["hang_up"] == "never"
    metered = await entered(operator, "pbx-2", extensions="30", prepaid="no")
    assert metered["hang_up"] == "never"
    wrong = {**FUSIONPBX, "hang_up": "always"}
    assert (await operator.api.refused("clients/anna/products/pbx-1", wrong))["field"] == "hang_up"
    assert (await operator.api.put("clients/anna/products/les-1", LESNET))["hang_up"] == "never"
    ended = {**LESNET, "hang_up": "credit"}
    assert (await operator.api.refused("clients/anna/products/les-1", ended))["field"] == "hang_up"


async def test_calls_of_an_imported_client_are_ended_only_on_request(operator: Operator) -> None:
    made = await operator.api.client("carl", written_by="import", voip_suspended="Yes")
    assert made["imported"] is True
    await operator.api.client("carl", last_name="Berg-Lund")
    body = {**FUSIONPBX, "extensions": "4000"}
    assert (await operator.api.put("clients/carl/products/pbx-4", body))["hang_up"] == "never"
    answer = await operator.api.put("clients/carl/products/pbx-4", {**body, "hang_up": "credit"})
    assert answer["hang_up"] == "credit"
    assert (await operator.api.client("dora"))["imported"] is False


async def test_an_element_that_leaves_a_product_while_off_stays_off(
    operator: Operator,
) -> None:
    await off(operator)
    unchanged = await entered(operator, extensions="101 | 102")
    assert (unchanged["stays_off"], unchanged["words"]) == ([], "")
    assert unchanged["what_happens"].startswith("stays off: no credit (balance -3.60 CAD)")
    narrowed = await entered(operator, extensions="101")
    assert narrowed["stays_off"] == [
        {"server_id": "wat5", "way": "extensions", "tenant": TENANT, "element": "102"}
    ]
    assert narrowed["words"].startswith("extension 102 stays off until the hold ends")
    assert "a payment of more than 3.60" in narrowed["words"]
    assert "--release" in narrowed["words"]
    assert await operator.api.published(REQUESTED) == []
    # A product of another client names the element: it is not left behind.
    his = await operator.api.put("clients/bert/products/pbx-2", {**FUSIONPBX, "extensions": "102"})
    assert his["what_happens"] == "stays on"
    assert (await entered(operator, extensions="101"))["stays_off"] == []


async def test_a_product_of_a_held_client_is_answered_as_switched_off(
    operator: Operator,
) -> None:
    await off(operator)
    added = await entered(operator, "pbx-2", extensions="201")
    assert added["what_happens"] == ("switched off within seconds: no credit (balance -3.60 CAD)")
    metered = await entered(operator, "pbx-3", extensions="301", prepaid="no")
    assert metered["what_happens"] == "stays on"
    await operator.api.put("clients/anna/mode", {"mode": "shadow"})
    shadow = await entered(operator, "pbx-4", extensions="401")
    assert shadow["what_happens"].startswith("shadow mode: nothing is switched; would be off")
    await operator.api.client("anna", has_voip_service="no")
    nothing = await entered(operator, "pbx-5", extensions="501")
    assert nothing["what_happens"] == "nothing is switched: the client has no VoIP service"


async def test_a_release_is_published_with_its_change(
    operator: Operator,
) -> None:
    await off(operator)
    answer = await operator.api.http.put(
        "/v1/clients/anna/products/pbx-1", json={**FUSIONPBX, "extensions": "101"},
        params={"release": "true"},
    )  # fmt: skip
    narrowed = answer.json()
    (request,) = await operator.api.published(REQUESTED)
    assert (request["service"], request["command"]) == ("suspender", "service.release")
    assert request["arguments"] == {
        "account_id": "anna", "service_id": "pbx-1", "version": str(narrowed["version"]),
    }  # fmt: skip
    assert request["request_id"] == narrowed["release_request"]
    assert narrowed["version"] == (await operator.api.published(ACCOUNT))[-1]["version"]
    assert narrowed["words"] == "extension 102: switched on within seconds, as asked"
    topics = await operator.api.database.fetch("select topic from accounts.outbox order by id")
    assert [row["topic"] for row in topics][-2:] == [ACCOUNT, REQUESTED]
    # A change that is refused releases nothing.
    answer = await operator.api.http.put(
        "/v1/clients/anna/products/pbx-1", json={**FUSIONPBX, "extensions": "1-9"},
        params={"release": "true"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert len(await operator.api.published(REQUESTED)) == 1


async def test_a_product_that_was_removed_while_off_can_be_released_later(
    operator: Operator,
) -> None:
    await off(operator)
    place = "/v1/clients/anna/products/pbx-1"
    removed = (await operator.api.http.delete(place)).json()
    assert [each["element"] for each in removed["stays_off"]] == ["101", "102"]
    assert "extensions 101 | 102 stay off until the hold ends" in removed["words"]
    assert "(a payment of more than 3.60)" in removed["words"]
    assert "ringfence product remove anna pbx-1 --release" in removed["words"]
    assert removed["release_request"] is None
    await operator.departed("anna", "pbx-1")
    shown = (await operator.api.http.get("/v1/clients/anna")).json()
    (departed,) = shown["departed"]
    assert (departed["product"], departed["confirmed"]) == ("pbx-1", "off")
    assert "until the hold ends" in departed["words"]
    assert (await operator.api.http.delete(place)).status_code == 404
    released = (await operator.api.http.delete(place, params={"release": "true"})).json()
    (request,) = await operator.api.published(REQUESTED)
    assert request["arguments"]["version"] == str(removed["version"]) == str(released["version"])
    assert released["release_request"] == request["request_id"]
    await operator.api.database.execute("delete from suspender.switched_off")
    gone = await operator.api.http.delete(place, params={"release": "true"})
    assert gone.status_code == 404


async def test_an_unconfirmed_suspension_ends_with_its_product(
    operator: Operator,
) -> None:
    await off(operator)
    await operator.api.database.execute("update suspender.service set confirmed = 'active'")
    removed = (await operator.api.http.delete("/v1/clients/anna/products/pbx-1")).json()
    assert (removed["stays_off"], removed["words"]) == ([], "")


async def test_elements_that_were_off_before_are_not_listed(operator: Operator) -> None:
    await off(operator)
    await operator.api.database.execute("update suspender.switched_off set was_on = false")
    assert (await entered(operator, extensions="101"))["stays_off"] == []


async def test_a_product_is_reapplied_on_request_and_an_unknown_one_is_refused(
    operator: Operator,
) -> None:
    await entered(operator)
    place = "/v1/clients/anna/products/pbx-1/reapply"
    answer = await operator.api.http.post(place, json={"reason": "restored"})
    assert answer.status_code == 202
    (request,) = await operator.api.published(REQUESTED)
    assert request["request_id"] == answer.json()["request_id"]
    assert (request["command"], request["reason"]) == ("service.reapply", "restored")
    assert request["arguments"] == {"account_id": "anna", "service_id": "pbx-1"}
    for wrong in ("anna/products/pbx-9", "bert/products/pbx-1", "nobody/products/pbx-1"):
        answer = await operator.api.http.post(f"/v1/clients/{wrong}/reapply")
        assert answer.status_code == 404
    assert len(await operator.api.published(REQUESTED)) == 1


async def test_elements_are_listed_with_their_state_before(operator: Operator) -> None:
    await off(operator)
    await operator.switched_off("anna", "pbx-1", "gateway", GATEWAY, was_on=False, adopted=True)
    place = "/v1/clients/anna/elements"
    first = (await operator.api.http.get(place, params={"limit": 2})).json()
    assert [each["element"] for each in first["items"]] == ["101", "102"]
    assert first["items"][0]["was_on"] is True
    rest = (await operator.api.http.get(place, params={"cursor": first["next"]})).json()
    (gateway,) = rest["items"]
    assert (gateway["was_on"], gateway["adopted"], gateway["left_behind"]) == (False, True, True)
    assert rest["next"] is None
    assert (await operator.api.http.get("/v1/clients/bert/elements")).json()["items"] == []
    assert (await operator.api.http.get("/v1/clients/nobody/elements")).status_code == 404


async def test_entering_a_product_reads_only_those_beside_it(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 10,000 products on a server, a further one took fifty times as long as the first."""
    for number in range(20):
        beside = {
            "domain_tenant_and_main_dids": f"t{number}.example | 51955500{number:02}",
            "extensions": "2112",
        }
        await entered(operator, f"other-{number}", **beside, suspend_by="gateway",
                      gateway_ids=GATEWAY.replace("7b3c1f6e", f"7b3c1f{number:02}"))  # fmt: skip
    read: list[str] = []
    as_product = store_rows.as_product

    def noted(row: Any) -> Product:
        product = as_product(row)
        read.append(product.service.service_id)
        return product

    monkeypatch.setattr(store, "as_product", noted)
    await entered(
        operator, "mine", domain_tenant_and_main_dids="t3.example | 5195551111", extensions="2113",
        suspend_by="gateway", gateway_ids=GATEWAY.replace("7b3c1f6e", "7b3c1f07"),
    )  # fmt: skip
    assert sorted(read) == ["other-3", "other-7"]
