"""What two products must not share: billed extensions and switched elements."""

from typing import Any

import pytest

from accounts.products.product import Product, enter_product
from accounts.products.sharing import check_shared
from accounts.refusals import Clash

FUSIONPBX = {
    "domain_tenant_and_main_dids": "mcon.wat5.ictvoip.ca | 5192229000",
    "extensions": "2112 | 2113 | 2114 | 2115 | 2216",
}
ELSEWHERE: dict[str, Any] = {"domain_tenant_and_main_dids": "other.ictvoip.ca | 5192229001"}
VODIA = {"tenant_and_inbound_dids": "cffm.wat1.ictvoip.ca | 8300", "did_or_extension": "8300"}
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


def entered(
    account_id: str, service_id: str, *, kind: str = "fusionpbx", server_id: str = "wat5",
    prepaid: bool = True, **fields: str,
) -> Product:  # fmt: skip
    base = {"fusionpbx": FUSIONPBX, "vodia": VODIA, "lesnet": {}}[kind]
    return enter_product(
        account_id, service_id, kind=kind, name="", server_id=server_id, prepaid=prepaid,
        package_id=None, fields={**base, **fields},
    )  # fmt: skip


def refused(product: Product, other: Product) -> str:
    """The field of the refusal, the same in both directions; it names the other client."""
    fields = []
    for mine, theirs in ((product, other), (other, product)):
        with pytest.raises(Clash, match=theirs.account_id) as clash:
            check_shared(mine, [mine, theirs])
        fields.append(str(clash.value.field))
    return fields[0]


def allowed(product: Product, other: Product) -> None:
    check_shared(product, [product, other])
    check_shared(other, [product, other])


def test_an_extension_is_billed_by_one_product_of_its_tenant() -> None:
    mine = entered("anna", "a")
    with pytest.raises(Clash, match="2115"):
        check_shared(mine, [entered("anna", "b", extensions="2115 | 3000")])
    allowed(mine, entered("bert", "b", extensions="3000"))
    allowed(mine, entered("bert", "b", **ELSEWHERE))
    allowed(mine, entered("bert", "b", server_id="wat6"))


def test_an_extension_is_in_one_range_of_its_tenant() -> None:
    mine = entered("anna", "a", extensions="2100-2199")
    assert refused(mine, entered("bert", "b", extensions="2150-2250")) == "extensions"
    with pytest.raises(Clash, match=r"2100-2199.*product b of client bert has 2199-2200.*itself"):
        check_shared(mine, [entered("bert", "b", extensions="2199-2200")])
    allowed(mine, entered("bert", "b", extensions="2200-2250"))
    allowed(mine, entered("bert", "b", extensions="02100-02199"))
    allowed(mine, entered("bert", "b", extensions="2150-2250", **ELSEWHERE))


def test_another_product_may_list_an_extension_of_a_range_and_a_third_own_the_rest() -> None:
    mine = entered("anna", "a", extensions="2100-2199")
    allowed(mine, entered("bert", "b", extensions="2150"))
    allowed(mine, entered("bert", "b", extensions="*"))
    blank, star = entered("anna", "a", extensions=""), entered("bert", "b", extensions="*")
    assert refused(blank, star) == "extensions"


def test_a_gateway_that_suspends_one_client_is_refused_for_another() -> None:
    by_gateway: dict[str, Any] = {"suspend_by": "gateway", "gateway_ids": GATEWAY}
    mine = entered("anna", "a", **by_gateway)
    for way in ("extensions", "outbound", "gateway"):
        other: dict[str, Any] = {"extensions": "3000", "suspend_by": way, "gateway_ids": GATEWAY}
        assert refused(mine, entered("bert", "b", **other)) == "gateway_ids"
    by_extensions = entered("anna", "a", gateway_ids=GATEWAY)
    allowed(by_extensions, entered("bert", "b", extensions="3000", gateway_ids=GATEWAY))
    allowed(mine, entered("anna", "b", extensions="3000", **by_gateway))


def test_a_vodia_trunk_that_suspends_one_client_is_refused_for_another() -> None:
    by_trunk: dict[str, Any] = {"suspend_by": "gateway", "trunk_ids": "3 | 7"}
    other: dict[str, Any] = {
        "tenant_and_inbound_dids": "cffm.wat1.ictvoip.ca | 8301",
        "did_or_extension": "8301",
    }
    mine = entered("anna", "a", kind="vodia", **by_trunk)
    theirs = entered("bert", "b", kind="vodia", trunk_ids="7", **other)
    assert refused(mine, theirs) == "trunk_ids"
    allowed(mine, entered("bert", "b", kind="vodia", trunk_ids="8", **other))


def test_the_rest_of_a_tenant_belongs_to_one_product() -> None:
    mine = entered("anna", "a", extensions="*")
    assert refused(mine, entered("bert", "b", extensions="3000 | *")) == "extensions"
    with pytest.raises(Clash, match="owns the rest"):
        check_shared(mine, [entered("anna", "b", extensions="*")])
    allowed(mine, entered("bert", "b", extensions="3000"))
    allowed(mine, entered("bert", "b", extensions="*", **ELSEWHERE))
    allowed(mine, entered("bert", "b", extensions="*", server_id="wat6"))


@pytest.mark.parametrize("way", ["extensions", "outbound", "domain"])
def test_suspension_by_domain_needs_a_client_alone_in_it(way: str) -> None:
    mine = entered("anna", "a", suspend_by="domain")
    theirs = entered("bert", "b", extensions="3000", suspend_by=way)
    assert refused(mine, theirs) == "suspend_by"
    allowed(mine, entered("anna", "b", extensions="3000", suspend_by=way))
    allowed(mine, entered("bert", "b", suspend_by=way, **ELSEWHERE))


def test_a_product_in_a_domain_that_is_switched_as_a_whole_is_refused() -> None:
    with pytest.raises(Clash, match="switch a another way") as clash:
        check_shared(
            entered("bert", "b", extensions="3000"), [entered("anna", "a", suspend_by="domain")]
        )
    assert clash.value.field == "domain_tenant_and_main_dids"


def test_a_prepaid_client_needs_a_peer_of_its_own() -> None:
    peers = [f"D4E3CD2BFC791 | 1204666402{number}" for number in (1, 2)]
    mine = entered("anna", "a", kind="lesnet", domain=peers[0])
    assert refused(mine, entered("bert", "b", kind="lesnet", domain=peers[1])) == "peer_id"
    metered = entered("bert", "b", kind="lesnet", domain=peers[1], prepaid=False)
    assert refused(mine, metered) == "peer_id"
    allowed(metered, entered("anna", "a", kind="lesnet", domain=peers[0], prepaid=False))
    allowed(mine, entered("anna", "b", kind="lesnet", domain=peers[1]))
