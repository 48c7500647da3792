"""What products name and a PBX does not have, what it has and no product names, and proposals."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.events.account import Service
from ringfence_pbx.comparison import (
    ClientProduct,
    Comparison,
    InventoryItem,
    Missing,
    ServerInventory,
    Unowned,
    compare,
)
from ringfence_pbx.inventory_view import ServerKind
from ringfence_pbx.proposals import Proposal

MCON, RUCKEN = "mcon.wat5.ictvoip.ca", "rucken.wat7.ictvoip.ca"
TRUNK_A, TRUNK_B = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11", "8b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c22"
TENANT = InventoryItem("tenant", MCON, MCON, label="Mcon Inc.")
EXTENSIONS = tuple(InventoryItem("extension", MCON, number) for number in ("2112", "2113"))
DIDS = (InventoryItem("did", MCON, "5192229000", leads_to="2112"),)
GATEWAYS = (
    InventoryItem("gateway", MCON, "Trunk A", TRUNK_A),
    InventoryItem("gateway", "", "Carrier", TRUNK_B),
)
ITEMS = (TENANT, *EXTENSIONS, *DIDS, *GATEWAYS)


def product(account_id: str = "a1", **changed: Any) -> ClientProduct:
    fields = {
        "service_id": "s1",
        "name": "Line",
        "kind": "fusionpbx",
        "server_id": "pbx-1",
        "tenant": MCON,
        "dids": ("5192229000",),
        "extensions": ("2112", "2113"),
    }
    return ClientProduct(account_id, Service.model_validate(fields | changed))


def inventory(
    items: tuple[InventoryItem, ...] = ITEMS,
    server_id: str = "pbx-1",
    kind: ServerKind = "fusionpbx",
    **said: Any,
) -> ServerInventory:
    return ServerInventory(server_id, kind, items, **said)


def missing(
    *products: ClientProduct, items: tuple[InventoryItem, ...] = ITEMS, **said: Any
) -> list[tuple[str, str, str, str]]:
    return [
        (found.kind, found.name, found.suggestion, found.hint)
        for found in compare(products, [inventory(items, **said)]).missing
    ]


def test_matching_products_and_inventories_give_no_finding() -> None:
    both = [product(gateway_ids=(TRUNK_A.upper(),), tenant=MCON.upper(), dids=("+15192229000",))]
    assert compare(both, [inventory()], {"pbx-1"}) == Comparison()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"extensions": ("2112", "2123")}, ("extension", "2123", "2113", "extension 2113")),
        ({"extensions": ("2112", "2113", "77")}, ("extension", "77", "", "")),
        (
            {"dids": ("5192229001",), "extensions": ("2113",)},
            ("did", "5192229001", "5192229000", "did 5192229000"),
        ),
        ({"dids": ("4165550100",)}, ("did", "4165550100", "", "")),
        (
            {"gateway_ids": (TRUNK_A[:-1] + "0",)},
            ("gateway", TRUNK_A[:-1] + "0", TRUNK_A, "gateway Trunk A"),
        ),
        ({"gateway_ids": ("carrier",)}, ("gateway", "carrier", TRUNK_B, "gateway Carrier")),
        (
            {"tenant": "mcom.wat5.ictvoip.ca"},
            ("tenant", "mcom.wat5.ictvoip.ca", MCON, "a tenant of that server"),
        ),
        ({"tenant": "other.example"}, ("tenant", "other.example", "", "")),
    ],
)
def test_a_missing_element_is_named_with_the_most_similar_one(
    changed: dict[str, Any], expected: tuple[str, str, str, str]
) -> None:
    assert missing(product(**changed)) == [expected]


@pytest.mark.parametrize(
    ("changed", "is_grave"),
    [
        ({"tenant": "other.example"}, True),
        ({"extensions": ("77", "78")}, True),
        ({"extensions": ("77", "2112")}, False),
        ({"dids": ("4165550100",)}, False),
        ({"gateway_ids": ("x",)}, False),
        ({"gateway_ids": ("x",), "suspend_by": "gateway"}, True),
    ],
)
def test_a_missing_element_that_breaks_a_product_is_grave(
    changed: dict[str, Any], is_grave: bool
) -> None:
    found = compare([product(**changed)], [inventory()]).missing
    assert {missing.is_grave for missing in found} == {is_grave}


def test_an_element_of_another_product_is_not_suggested() -> None:
    assert missing(product(), product("a2", service_id="s2", extensions=("2115",), dids=())) == [
        ("extension", "2115", "", "")
    ]


def test_where_no_did_is_listed_at_all_none_is_missing() -> None:
    assert missing(product(dids=("4165550100",)), items=(TENANT, *EXTENSIONS)) == []


def test_a_did_of_another_tenant_is_reported() -> None:
    items = (
        *ITEMS,
        InventoryItem("tenant", RUCKEN, RUCKEN),
        InventoryItem("did", RUCKEN, "+1 519 555 0100"),
    )
    assert missing(product(dids=("5195550100",)), items=items) == [
        ("did", "5195550100", "", f"tenant {RUCKEN} has this DID")
    ]


def test_a_tenant_of_another_server_is_reported() -> None:
    found = compare(
        [product(server_id="pbx-2")],
        [inventory(), inventory((InventoryItem("tenant", RUCKEN, RUCKEN),), "pbx-2")],
    )
    assert [m.hint for m in found.missing] == ["server pbx-1 has this tenant"]


def test_a_server_that_does_not_exist_is_reported_for_each_product() -> None:
    both = [product(server_id="pbx1"), product("a2", service_id="s2", server_id="pbx1")]
    found = compare(both, [], {"pbx-1", "vodia"})
    assert found.missing == tuple(
        Missing(a, s, "pbx1", "server", MCON, "pbx1", "pbx-1", "a server of the servers file", True)
        for a, s in (("a1", "s1"), ("a2", "s2"))
    )
    assert found.unread == ()
    assert compare(both, []).missing == ()


def test_a_server_that_was_never_read_is_named_and_not_compared() -> None:
    assert compare([product()], [], {"pbx-1"}) == Comparison(unread=("pbx-1",))


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_elements_that_could_not_be_read_count_as_existing(kept: int) -> None:
    """With a gap, an empty list says nothing; one with items is taken as complete."""
    elsewhere = product(tenant=MCON, extensions=("2112", "9999"), gateway_ids=(TRUNK_A[:-1] + "0",))
    found = missing(elsewhere, items=ITEMS[:kept], gaps=("no right to list",))
    assert [kind for kind, *_ in found] == ["extension"] * (kept == 3)
    assert len(missing(elsewhere, items=ITEMS[:kept])) >= 1


def unowned(
    *products: ClientProduct, items: tuple[InventoryItem, ...] = ITEMS, **said: Any
) -> list[tuple[str, str, str]]:
    return [
        (found.kind, found.tenant, found.name)
        for found in compare(products, [inventory(items, **said)]).unowned
    ]


def test_elements_without_a_product_are_listed() -> None:
    assert unowned(product(extensions=("2113",), dids=())) == [
        ("extension", MCON, "2112"),
        ("did", MCON, "5192229000"),
    ]


def test_a_did_that_rings_a_products_extension_is_owned() -> None:
    assert unowned(product(dids=())) == []


@pytest.mark.parametrize(
    "changed", [{"rest_of_tenant": True, "extensions": ("2113",)}, {"extensions": ()}]
)
def test_the_owner_of_the_rest_of_a_tenant_owns_all(
    changed: dict[str, Any],
) -> None:
    assert unowned(product(**changed, dids=())) == []


def test_a_product_owns_the_extensions_of_its_range_and_no_others() -> None:
    items = (*ITEMS, InventoryItem("extension", MCON, "3000"))
    ranged = product(extensions=(), extension_ranges=("2100-2199",), dids=())
    assert ("extension", MCON, "3000") in unowned(ranged, items=items)
    assert not any(name in ("2112", "2113") for _, _, name in unowned(ranged, items=items))
    assert [kind for kind, *_ in missing(ranged, items=items)] == []


def test_disabled_elements_without_a_product_are_not_listed() -> None:
    off = [
        InventoryItem("extension", MCON, "2114", enabled=False),
        InventoryItem("did", MCON, "1", enabled=False),
    ]
    off += [
        InventoryItem("tenant", RUCKEN, RUCKEN, enabled=False),
        InventoryItem("extension", RUCKEN, "1"),
    ]
    assert unowned(product(), items=(*ITEMS, *off)) == []


def test_a_tenant_without_product_is_listed_once_unless_it_can_have_no_calls() -> None:
    empty = InventoryItem("tenant", "pbx.example", "pbx.example")
    assert compare([], [inventory((*ITEMS, empty))]).unowned == (
        Unowned("pbx-1", "tenant", MCON, MCON, "Mcon Inc."),
    )
    assert [name for *_, name in unowned(items=(empty,), gaps=("no extensions",))] == [
        "pbx.example"
    ]


def proposal(items: tuple[InventoryItem, ...] = ITEMS, **said: Any) -> Proposal:
    [found] = compare([], [inventory(items, **said)]).proposals
    return found


def test_a_product_is_proposed_for_each_tenant_without_one() -> None:
    found = proposal(tests_toll_allow=True)
    assert (found.server_id, found.tenant, found.name) == ("pbx-1", MCON, "Mcon Inc.")
    assert found.fields == {
        "domain_tenant_and_main_dids": f"{MCON} | 5192229000",
        "extensions": "2112 | 2113",
        "suspend_by": "outbound",
        "gateway_ids": TRUNK_A,
    }
    assert found.notes == ()
    assert compare([product()], [inventory()]).proposals == ()


@pytest.mark.parametrize(("tests", "said"), [(None, "are not known to test"), (False, "do not")])
def test_without_a_test_of_toll_allow_extensions_are_proposed_and_911_is_mentioned(
    tests: bool | None, said: str
) -> None:
    found = proposal(tests_toll_allow=tests)
    assert found.fields["suspend_by"] == "extensions"
    [note] = found.notes
    assert said in note
    assert "911 does not work while off" in note


def test_elements_that_a_product_cannot_list_are_left_out_and_reported() -> None:
    odd = (
        InventoryItem("extension", MCON, '"x"'),
        InventoryItem("did", MCON, "12"),
        InventoryItem("extension", MCON, "1"),
    )
    found = proposal((*ITEMS, *odd), tests_toll_allow=True)
    assert found.fields["extensions"] == "2112 | 2113"
    assert found.notes == ('left out, a product cannot list them: "x", 1, 12',)


def test_a_proposal_notes_elements_that_no_list_shows() -> None:
    notes = proposal((TENANT,), gaps=("no right",), tests_toll_allow=True).notes
    assert [note.split(":")[0] for note in notes] == [
        "no DID is listed for the tenant",
        "no extension is listed for the tenant",
    ]


def test_a_vodia_product_is_proposed_in_vodias_fields() -> None:
    trunk = InventoryItem("gateway", MCON, "Trunk", "10")
    found = proposal((TENANT, *EXTENSIONS, *DIDS, trunk), kind="vodia")
    assert found.fields == {
        "tenant_and_inbound_dids": f"{MCON} | 5192229000 | 2112 | 2113",
        "did_or_extension": "2112",
        "suspend_by": "extensions",
        "trunk_ids": "10",
    }
    assert proposal((TENANT,), kind="vodia", gaps=("x",)).fields == {
        "tenant_and_inbound_dids": MCON,
        "suspend_by": "extensions",
    }


def test_vodias_lists_may_hold_extensions_and_dids_alike() -> None:
    mixed = product(kind="vodia", dids=("2112", "5192229000"), extensions=("2113",))
    assert compare([mixed], [inventory(kind="vodia")]) == Comparison()


def test_a_lesnet_account_that_lists_nothing_is_not_compared() -> None:
    peer = product(kind="lesnet", tenant="D4E3CD2BFC791", server_id="les", extensions=())
    empty = inventory((), "les", "lesnet", gaps=("its API lists neither peers nor DIDs",))
    assert compare([peer], [empty]) == Comparison()


numbers = st.sets(st.from_regex(r"[1-9][0-9]{2,4}", fullmatch=True), max_size=6)


@given(named=numbers, there=numbers)
def test_each_extension_is_in_order_missing_or_unowned(named: set[str], there: set[str]) -> None:
    items = (TENANT, *(InventoryItem("extension", MCON, number) for number in there))
    ours = product(extensions=tuple(named), dids=())
    found = compare([ours], [inventory(items)])
    assert {m.name for m in found.missing} == named - there
    assert {u.name for u in found.unowned} == (there - named if named else set())
    assert all(m.suggestion in {"", *(there - named)} for m in found.missing)
