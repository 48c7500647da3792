"""Elements that left a product and stay off, and the text about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.products.elements import (
    LeftElement,
    elements_words,
    emergency_words,
    left_behind,
)
from accounts.products.leaving import leaving_words
from ringfence_contracts.elements import Element, elements_of
from ringfence_contracts.events.account import Service

TENANT = "mcon.example.com"
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


def service(**fields: Any) -> Service:
    given_ = {"service_id": "pbx-1", "name": "pbx-1", "kind": "fusionpbx", "server_id": "wat5",
              "tenant": TENANT}  # fmt: skip
    return Service.model_validate(given_ | fields)


def extension(number: str, way: str = "extensions") -> Element:
    return Element(way, TENANT, number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "element"),
    [
        ({"extensions": ("101",)}, extension("101")),
        ({"extensions": ("101",), "outbound_only": True}, extension("101", "outbound")),
        ({"rest_of_tenant": True}, extension("*")),
        ({"extension_ranges": ("100-199",)}, extension("100-199")),
        ({"suspend_by": "domain"}, Element("domain", TENANT, TENANT)),
        ({"suspend_by": "gateway", "gateway_ids": (GATEWAY,)}, Element("gateway", "", GATEWAY)),
        (
            {"kind": "vodia", "suspend_by": "gateway", "gateway_ids": ("3",)},
            Element("gateway", TENANT, "3"),
        ),
        ({"kind": "lesnet", "tenant": "D4E3CD2BFC791"}, Element("peer", "", "D4E3CD2BFC791")),
    ],
)
def test_a_product_names_the_element_it_is_switched_by(
    fields: dict[str, Any], element: Element
) -> None:
    assert elements_of(service(**fields)) == (element,)


def test_an_element_of_another_product_is_not_left_behind() -> None:
    recorded = [extension("102"), extension("101"), extension("103")]
    assert left_behind(recorded, [service(extensions=("101",))]) == (
        extension("102"),
        extension("103"),
    )
    other = service(service_id="pbx-2", extensions=("103",))
    assert left_behind(recorded, [service(extensions=("101",)), other]) == (extension("102"),)


def test_a_product_with_the_rest_names_every_extension_of_its_tenant() -> None:
    rest = service(rest_of_tenant=True)
    assert left_behind([extension("102")], [rest]) == ()
    elsewhere = service(rest_of_tenant=True, tenant="other.example.com")
    assert left_behind([extension("102")], [elsewhere]) == (extension("102"),)
    outbound = service(rest_of_tenant=True, outbound_only=True)
    assert left_behind([extension("102")], [outbound]) == (extension("102"),)


def test_a_product_with_a_range_names_every_extension_of_it() -> None:
    ranged = service(extension_ranges=("100-199",))
    assert left_behind([extension("102"), extension("200")], [ranged]) == (extension("200"),)
    outbound = service(extension_ranges=("100-199",), outbound_only=True)
    assert left_behind([extension("102")], [outbound]) == (extension("102"),)


NUMBERS = st.sets(st.sampled_from(["101", "102", "103", "104"]))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_recorded_elements_that_no_product_names_are_left_behind(
    recorded: set[str], mine: set[str], theirs: set[str]
) -> None:
    products = [service(extensions=tuple(mine)), service(extensions=tuple(theirs))]
    found = left_behind(map(extension, recorded), products)
    assert [element.name for element in found] == sorted(recorded - mine - theirs)


def words(*elements: Element, now: Service | None = None, **changes: Any) -> str:
    given_: dict[str, Any] = {
        "until": "a payment of more than 3.60",
        "released": False,
        "how": "do this",
    }
    leaving = [LeftElement("wat5", element) for element in elements]
    return leaving_words(leaving, now=now, **(given_ | changes))


def test_the_text_says_until_when_and_how_to_release() -> None:
    assert words() == ""
    assert words(extension("102")) == (
        "extension 102 stays off until the hold ends for which it was switched off"
        " (a payment of more than 3.60); to switch it on now: do this"
    )
    many = words(extension("102"), Element("gateway", "", GATEWAY), until="")
    assert many.startswith(f"gateway {GATEWAY} and extension 102 stay off until the hold ends")
    assert words(extension("102"), released=True) == (
        "extension 102: switched on within seconds, as asked"
    )


def test_elements_of_the_old_way_are_on_again_once_the_new_way_is_confirmed() -> None:
    by_outbound = service(extensions=("102",), outbound_only=True)
    output = words(extension("102"), now=by_outbound)
    assert "until the product is confirmed off by outbound on wat5; to switch it on" in output
    moved = service(extensions=("102",), server_id="wat6")
    output = words(extension("102"), now=moved)
    assert "until the product is confirmed off by extensions on wat6; to switch it on" in output
    both = words(extension("103"), Element("gateway", "", GATEWAY), now=service(extensions=("1",)))
    assert "extension 103 stays off until the hold ends" in both
    assert f"; gateway {GATEWAY} stays off until the product is confirmed off" in both
    narrowed = service(extensions=("101",))
    assert "until the hold ends" in words(extension("102"), now=narrowed)


def test_a_long_list_is_cut() -> None:
    many = [extension(str(number)) for number in range(100, 120)]
    assert elements_words(many).endswith("| 111 and 8 more")


@pytest.mark.parametrize(
    ("kind", "way", "works"),
    [
        ("fusionpbx", "outbound", True), ("fusionpbx", "extensions", False),
        ("fusionpbx", "gateway", False), ("fusionpbx", "domain", False),
        ("vodia", "extensions", False), ("vodia", "gateway", False),
    ],
)  # fmt: skip
def test_911_works_while_off_only_if_outbound_calls_alone_are_off(
    kind: str, way: str, works: bool
) -> None:
    assert ("emergency calls still work" in emergency_words(kind, way)) is works
    assert ("911 does not work while it is off" in emergency_words(kind, way)) is not works
