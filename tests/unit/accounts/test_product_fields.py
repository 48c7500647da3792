"""Product fields: exactly the formats that operators type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.products.fields import LABELS, FieldRefused, read_product
from accounts.products.product import enter_product
from ringfence_contracts.errors import BadInput

FUSIONPBX = {
    "domain_tenant_and_main_dids": "mcon.wat5.ictvoip.ca | 5192229000",
    "extensions": "2112 | 2113 | 2114 | 2115 | 2216",
}
VODIA = {
    "tenant_and_inbound_dids": "cffm.wat1.ictvoip.ca | 5484815577 | 5197830020 | 8300",
    "did_or_extension": "8300",
    "ext_profile_first_name": "CFFM Kitchener",
    "inbound_search_string": "cffm, 8300, Kitchener",
}
LESNET = {
    "domain": "D4E3CD2BFC791 | 12046664021",
    "username": "12046664021",
    "peer_id": "D4E3CD2BFC791",
    "dids_attached_to_peer": "12046664021",
    "cdr_link": "https://portal.les.net/cdr/11330_0000.txt",
    "free_minutes": "0",
    "rate_per_minute": ".03",
}
FULL = {"fusionpbx": FUSIONPBX, "vodia": VODIA, "lesnet": LESNET}
GATEWAY = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"


def test_the_documented_fusionpbx_product() -> None:
    parts = read_product("fusionpbx", FUSIONPBX).parts
    assert parts["tenant"] == "mcon.wat5.ictvoip.ca"
    assert parts["dids"] == ("5192229000",)
    assert parts["extensions"] == ("2112", "2113", "2114", "2115", "2216")
    assert (parts["suspend_by"], parts["gateway_ids"]) == ("extensions", ())


def test_the_documented_vodia_product() -> None:
    parts = read_product("vodia", VODIA).parts
    assert parts["tenant"] == "cffm.wat1.ictvoip.ca"
    assert parts["dids"] == ("5484815577", "5197830020")
    assert parts["extensions"] == ("8300",)
    assert parts["display_name"] == "CFFM Kitchener"
    assert parts["inbound_search"] == ("cffm", "8300", "Kitchener")


def test_the_documented_lesnet_product() -> None:
    read = read_product("lesnet", LESNET)
    assert read.parts["tenant"] == "D4E3CD2BFC791"
    assert read.parts["dids"] == ("12046664021",)
    assert read.parts["flat_rate"] == "0.03"
    assert read.parts["cdr_link"] == "https://portal.les.net/cdr/11330_0000.txt"
    assert read.free_minutes == 0


def test_lists_are_split_at_the_bar_stripped_and_without_empty_items() -> None:
    loose = {**FUSIONPBX, "extensions": " 2112|2113 |  | 2112 |"}
    assert read_product("fusionpbx", loose).parts["extensions"] == ("2112", "2113")


def test_a_gateway_product_needs_gateway_uuids() -> None:
    fields = {**FUSIONPBX, "suspend_by": "Gateway", "gateway_ids": GATEWAY.upper()}
    parts = read_product("fusionpbx", fields).parts
    assert (parts["suspend_by"], parts["gateway_ids"]) == ("gateway", (GATEWAY,))


def test_suspension_of_outbound_calls_is_by_extensions() -> None:
    parts = read_product("fusionpbx", {**FUSIONPBX, "suspend_by": "Outbound"}).parts
    assert (parts["suspend_by"], parts["outbound_only"]) == ("extensions", True)
    assert read_product("fusionpbx", FUSIONPBX).parts["outbound_only"] is False


@pytest.mark.parametrize(
    ("typed", "extensions"), [("*", ()), ("2112 | *", ("2112",)), ("*|2112| * ", ("2112",))]
)
def test_a_star_is_the_rest_of_the_tenant(typed: str, extensions: tuple[str, ...]) -> None:
    parts = read_product("fusionpbx", {**FUSIONPBX, "extensions": typed}).parts
    assert (parts["extensions"], parts["rest_of_tenant"]) == (extensions, True)
    assert read_product("fusionpbx", FUSIONPBX).parts["rest_of_tenant"] is False


@pytest.mark.parametrize("typed", ["2112 | 2200-2249", "2200 - 2249|2112|2200-2249"])
def test_a_range_of_extensions_is_kept_as_a_range(typed: str) -> None:
    parts = read_product("fusionpbx", {**FUSIONPBX, "extensions": typed}).parts
    assert (parts["extensions"], parts["extension_ranges"]) == (("2112",), ("2200-2249",))
    assert parts["rest_of_tenant"] is False


def test_a_blank_list_of_extensions_is_the_whole_tenants() -> None:
    parts = read_product("fusionpbx", {**FUSIONPBX, "extensions": " "}).parts
    assert (parts["extensions"], parts["rest_of_tenant"]) == ((), True)


@pytest.mark.parametrize(
    ("typed", "ranges", "rest"),
    [("", (), True), (" * ", (), True), ("8300-8349", ("8300-8349",), False)],
)
def test_a_vodia_product_may_have_a_range_or_the_rest(
    typed: str, ranges: tuple[str, ...], rest: bool
) -> None:
    parts = read_product("vodia", {**VODIA, "did_or_extension": typed}).parts
    assert (parts["extension_ranges"], parts["rest_of_tenant"]) == (ranges, rest)


def test_the_refusal_of_a_range_says_what_a_range_is() -> None:
    with pytest.raises(FieldRefused, match=r"2116-2112.*lower to a higher.*2200-2249"):
        read_product("fusionpbx", {**FUSIONPBX, "extensions": "2112 | 2116-2112"})


REFUSED = [
    ("fusionpbx", "domain_tenant_and_main_dids", ""),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.wat5.ictvoip.ca"),
    ("fusionpbx", "domain_tenant_and_main_dids", "5192229000 | mcon.wat5.ictvoip.ca"),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.wat5.ictvoip.ca, 5192229000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.wat5.ictvoip.ca 5192229000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.wat5.ictvoip.ca | 519-222-9000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.wat5.ictvoip.ca | +15192229000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "http://mcon.ca/ | 5192229000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "a..b | 5192229000"),
    ("fusionpbx", "domain_tenant_and_main_dids", "mcon.ca' or 1=1 -- | 5192229000"),
    ("fusionpbx", "extensions", " | | "),
    ("fusionpbx", "extensions", "2116-2112"),
    ("fusionpbx", "extensions", "2112-2112"),
    ("fusionpbx", "extensions", "990-1010"),
    ("fusionpbx", "extensions", "1000-2000"),
    ("fusionpbx", "extensions", "2112-"),
    ("fusionpbx", "extensions", "2112-2116-2120"),
    ("fusionpbx", "extensions", " | ".join(f"{n}00-{n}99" for n in range(10, 31))),
    ("fusionpbx", "extensions", "2112..2116"),
    ("fusionpbx", "extensions", "2112, 2113"),
    ("fusionpbx", "extensions", "2112 | 211x"),
    ("fusionpbx", "extensions", "2112 | 5192229000"),
    ("fusionpbx", "extensions", "٢١١٢"),
    ("fusionpbx", "extensions", " | ".join(str(n) for n in range(1000, 1501))),
    ("fusionpbx", "extensions", "*2112"),
    ("fusionpbx", "extensions", "2112 | **"),
    ("vodia", "did_or_extension", "8300 | *"),
    ("vodia", "did_or_extension", "8349-8300"),
    ("vodia", "suspend_by", "outbound"),
    ("vodia", "suspend_by", "domain"),
    ("fusionpbx", "suspend_by", "trunk"),
    ("fusionpbx", "gateway_ids", "external"),
    ("fusionpbx", "gateway_ids", "{7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11}"),
    ("fusionpbx", "gateway_ids", "7b3c1f6e1f0a4a579d7e2f1f3a0d5c11"),
    ("vodia", "tenant_and_inbound_dids", "cffm.wat1.ictvoip.ca"),
    ("vodia", "tenant_and_inbound_dids", "cffm.wat1.ictvoip.ca | 83"),
    ("vodia", "did_or_extension", "8300-8310-8320"),
    ("vodia", "did_or_extension", "8300 | 8301"),
    ("vodia", "ext_profile_first_name", "CFFM\nKitchener"),
    ("vodia", "inbound_search_string", "c, 8300"),
    ("vodia", "inbound_search_string", ","),
    ("lesnet", "domain", "D4E3CD2BFC791"),
    ("lesnet", "domain", "D4E3CD2BFC79 | 12046664021"),
    ("lesnet", "domain", "G4E3CD2BFC791 | 12046664021"),
    ("lesnet", "domain", "D4E3CD2BFC791 | 12046664021 | 12046664022"),
    ("lesnet", "username", "12046664022"),
    ("lesnet", "peer_id", "D4E3CD2BFC792"),
    ("lesnet", "dids_attached_to_peer", "12046664022"),
    ("lesnet", "cdr_link", "portal.les.net/cdr/11330_0000.txt"),
    ("lesnet", "cdr_link", "file:///etc/passwd"),
    ("lesnet", "cdr_link", "https://user:word@portal.les.net/cdr"),
    ("lesnet", "cdr_link", "https://portal.les.net/a b"),
    ("lesnet", "free_minutes", "-1"),
    ("lesnet", "free_minutes", "1.5"),
    ("lesnet", "free_minutes", "9999999"),
    ("lesnet", "rate_per_minute", "-.03"),
    ("lesnet", "rate_per_minute", "."),
    ("lesnet", "rate_per_minute", "3e-2"),
    ("lesnet", "rate_per_minute", "NaN"),
]


@pytest.mark.parametrize(("kind", "name", "value"), REFUSED)
def test_a_malformed_field_is_refused_with_its_label_its_value_and_the_format(
    kind: str, name: str, value: str
) -> None:
    with pytest.raises(FieldRefused) as refused:
        read_product(kind, {**FULL[kind], name: value})
    error = refused.value
    assert (error.name, error.field, error.value) == (name, LABELS[name], value)
    for part in (LABELS[name], repr(value)[:40], error.expected):
        assert part in str(error)


def test_gateway_suspension_without_a_gateway_is_refused() -> None:
    with pytest.raises(FieldRefused, match="Gateway"):
        read_product("fusionpbx", {**FUSIONPBX, "suspend_by": "gateway"})


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(FieldRefused, match="vodia"):
        read_product("vodia", {**VODIA, "extensions": "2112"})


@given(st.sampled_from(sorted(FULL)), st.data())
def test_any_text_in_any_field_is_parsed_or_refused(kind: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FULL[kind])))
    text = data.draw(st.text(max_size=60) | st.text("0123456789 |.-,aF:/", max_size=60))
    try:
        parts = read_product(kind, {**FULL[kind], name: text}).parts
    except FieldRefused:
        return
    assert all(number.isascii() and number.isdigit() for number in parts["dids"])
    for extension in parts.get("extensions", ()):
        assert extension.isascii()
        assert 2 <= len(extension) <= 6
    assert "|" not in parts["tenant"]


@given(st.lists(st.integers(10, 999_999), min_size=1, max_size=50, unique=True))
def test_typed_extensions_are_billed_in_their_order(numbers: list[int]) -> None:
    typed = " | ".join(map(str, numbers))
    parts = read_product("fusionpbx", {**FUSIONPBX, "extensions": typed}).parts
    assert list(parts["extensions"]) == [str(number) for number in numbers]


def test_free_minutes_need_a_package() -> None:
    fields = {**LESNET, "free_minutes": "100"}
    for package_id in (None, "standard"):
        entry = {"kind": "lesnet", "name": "", "server_id": "les", "prepaid": True}
        if package_id is None:
            with pytest.raises(BadInput, match="Free Minutes"):
                enter_product("anna", "a", package_id=None, fields=fields, **entry)  # type: ignore[arg-type]
        else:
            product = enter_product("anna", "a", package_id=package_id, fields=fields, **entry)  # type: ignore[arg-type]
            assert product.free_minutes == 100


def test_a_vodia_product_can_be_switched_by_its_own_trunks() -> None:
    parts = read_product("vodia", {**VODIA, "suspend_by": "gateway", "trunk_ids": "3 | 7"}).parts
    assert (parts["suspend_by"], parts["gateway_ids"]) == ("gateway", ("3", "7"))


@pytest.mark.parametrize("trunks", ["", "three", "3-7"])
def test_a_vodia_product_switched_by_trunks_needs_trunk_ids(trunks: str) -> None:
    with pytest.raises(FieldRefused, match="Trunk ID"):
        read_product("vodia", {**VODIA, "suspend_by": "gateway", "trunk_ids": trunks})
