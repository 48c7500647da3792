"""The product of a call, for each kind of product."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.pricing.product_match import Ambiguous, Match, NoMatch, ProductIndex
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_testing import records


def product(name: str = "trunk", **fields: Any) -> Service:
    given_ = {
        "service_id": name,
        "name": name,
        "kind": "fusionpbx",
        "server_id": "pbx1",
        "tenant": "mcon.example.com",
    }
    return Service.model_validate(given_ | fields)


def account(account_id: str, *services: Service, version: int = 1) -> AccountChanged:
    return records.account(account_id, version=version, services=services)


def call(**fields: Any) -> CallCompleted:
    """A call without any number or extension, unless `fields` give them."""
    without = {"tenant": "mcon.example.com", "destination_number": "", "extension": ""}
    return records.call(**(without | fields))


def owner(index: ProductIndex, **fields: Any) -> str:
    """The account that a call is matched to; `ambiguous` or `none` where there is no one."""
    found = index.match(call(**fields))
    if isinstance(found, Match):
        return found.account_id
    return "ambiguous" if isinstance(found, Ambiguous) else "none"


SHARED_TENANT = ProductIndex(
    [
        account("a1", product(extensions=("2112", "2113"), dids=("5192229000",))),
        account("a2", product(extensions=("2216",), dids=("15192229001",))),
    ]
)


class TestFusionPbx:
    @pytest.mark.parametrize(
        ("fields", "account_id"),
        [
            ({"extension": "2112"}, "a1"),
            ({"extension": "2216"}, "a2"),
            ({"caller_number": "2113"}, "a1"),
            ({"caller_number": "15192229000", "source_number": "2216"}, "a2"),
            ({"extension": "2999"}, "none"),
            ({"extension": "2999", "caller_number": "2112"}, "none"),
            ({"caller_number": "15192229000", "source_number": "15192229000"}, "none"),
            ({"destination_number": "2112"}, "none"),
            ({"caller_destination": "5192229000"}, "none"),
        ],
    )
    def test_outbound_calls_belong_to_their_extension(
        self, fields: dict[str, str], account_id: str
    ) -> None:
        assert owner(SHARED_TENANT, **fields) == account_id

    @pytest.mark.parametrize(
        ("fields", "account_id"),
        [
            ({"caller_destination": "5192229000"}, "a1"),
            ({"caller_destination": "15192229000"}, "a1"),
            ({"caller_destination": "+1 519 222-9001"}, "a2"),
            ({"destination_number": "5192229001"}, "a2"),
            ({"caller_destination": "5192229000", "destination_number": "2216"}, "a1"),
            ({"caller_destination": "4165550000", "destination_number": "2216"}, "a2"),
            ({"caller_destination": "4165550000", "extension": "2216"}, "a2"),
            ({"caller_destination": "4165550000", "destination_number": "*99"}, "none"),
            ({"caller_number": "2112", "destination_number": "4165550000"}, "none"),
            ({}, "none"),
        ],
    )
    def test_inbound_calls_belong_to_the_did_before_the_extension(
        self, fields: dict[str, str], account_id: str
    ) -> None:
        assert owner(SHARED_TENANT, direction="inbound", **fields) == account_id

    @pytest.mark.parametrize(
        ("fields", "account_id"),
        [
            ({"extension": "2112", "destination_number": "2216"}, "a1"),
            ({"caller_number": "2112", "destination_number": "2216"}, "a1"),
            ({"destination_number": "2216"}, "a2"),
            ({"extension": "2113", "destination_number": "*97"}, "a1"),
        ],
    )
    @pytest.mark.parametrize("direction", ["local", ""])
    def test_local_and_undirected_calls_belong_to_the_caller_first(
        self, fields: dict[str, str], account_id: str, direction: str
    ) -> None:
        assert owner(SHARED_TENANT, direction=direction, **fields) == account_id

    def test_the_tenant_is_a_domain_in_any_case_of_one_server(self) -> None:
        assert owner(SHARED_TENANT, tenant="MCON.Example.COM", extension="2112") == "a1"
        assert owner(SHARED_TENANT, tenant="other.example.com", extension="2112") == "none"
        assert owner(SHARED_TENANT, server_id="pbx2", extension="2112") == "none"
        assert owner(SHARED_TENANT, tenant="", extension="2112") == "none"

    def test_an_unlisted_extension_does_not_match_the_only_product(self) -> None:
        index = ProductIndex([account("a1", product(extensions=("2112",)))])
        found = index.match(call(extension="2113"))
        assert isinstance(found, NoMatch)
        assert "2113" in found.detail

    def test_a_product_without_extensions_gets_the_rest_of_its_tenant(self) -> None:
        index = ProductIndex(
            [
                account("whole", product(dids=("5192229000",))),
                account("a2", product(extensions=("2216",))),
            ]
        )
        assert owner(index, extension="2112") == "whole"
        assert owner(index, extension="2216") == "a2"
        assert owner(index, direction="inbound", caller_destination="4165550000") == "whole"
        assert owner(index, direction="inbound", destination_number="2216") == "a2"

    def test_rest_of_tenant_gets_unlisted_calls_and_its_own_extensions(self) -> None:
        owner_of_rest = product(extensions=("2112",), dids=("5192229000",), rest_of_tenant=True)
        index = ProductIndex(
            [account("rest", owner_of_rest), account("a2", product(extensions=("2216",)))]
        )
        assert owner(index, extension="2112") == "rest"
        assert owner(index, extension="2113") == "rest"
        assert owner(index, extension="2216") == "a2"
        assert owner(index, direction="inbound", caller_destination="4165550000") == "rest"
        assert owner(index, direction="inbound", destination_number="2216") == "a2"
        assert owner(index, tenant="other.example.com", extension="2113") == "none"
        index.replace(account("rest", product(extensions=("2112",)), version=2))
        assert owner(index, extension="2113") == "none"

    def test_a_listed_extension_beats_a_range_and_a_range_beats_the_rest(self) -> None:
        index = ProductIndex(
            [
                account("exact", product(extensions=("2150",))),
                account("range", product(extensions=("2300",), extension_ranges=("2100-2199",))),
                account("rest", product(rest_of_tenant=True)),
            ]
        )
        assert owner(index, extension="2150") == "exact"
        assert owner(index, extension="2100") == owner(index, extension="2199") == "range"
        assert owner(index, direction="inbound", destination_number="2151") == "range"
        assert owner(index, extension="2300") == "range"
        for outside in ("2099", "2200", "02150", "215", "21500"):
            assert owner(index, extension=outside) == "rest"
        index.replace(account("range", product(extensions=("2300",)), version=2))
        assert owner(index, extension="2100") == "rest"
        index.replace(account("exact", product(extensions=("2151",)), version=2))
        assert owner(index, extension="2150") == "rest"

    def test_an_extension_of_two_ranges_is_ambiguous(self) -> None:
        index = ProductIndex(
            [
                account("a1", product("gold", extension_ranges=("2100-2199",))),
                account("a2", product("silver", extension_ranges=("2150-2250",))),
            ]
        )
        assert owner(index, extension="2149") == "a1"
        assert owner(index, extension="2150") == "ambiguous"
        index.replace(account("a2", product("silver", extensions=("1",)), version=2))
        assert owner(index, extension="2150") == "a1"

    def test_a_product_with_a_range_alone_does_not_get_the_rest(self) -> None:
        index = ProductIndex([account("a1", product(extension_ranges=("2100-2199",)))])
        assert owner(index, extension="2200") == "none"

    def test_a_call_with_two_claims_is_ambiguous_and_names_both(self) -> None:
        index = ProductIndex(
            [
                account("a1", product("gold", extensions=("2112",), dids=("5192229000",))),
                account("a2", product("silver", extensions=("2112",), dids=("15192229000",))),
            ]
        )
        for fields in (
            {"extension": "2112"},
            {"direction": "inbound", "caller_destination": "5192229000"},
        ):
            found = index.match(call(**fields))
            assert isinstance(found, Ambiguous)
            assert found.names == ("gold (a1)", "silver (a2)")
            assert "gold (a1) and silver (a2)" in found.detail

    def test_two_products_of_one_account_are_ambiguous_too(self) -> None:
        services = product("gold", extensions=("2112",)), product("silver", extensions=("2112",))
        assert owner(ProductIndex([account("a1", *services)]), extension="2112") == "ambiguous"

    def test_a_did_listed_twice_in_one_product_is_one_claim(self) -> None:
        index = ProductIndex([account("a1", product(dids=("5192229000", "15192229000")))])
        assert owner(index, direction="inbound", caller_destination="5192229000") == "a1"


VODIA = ProductIndex(
    [
        account(
            "kitchener",
            product(
                kind="vodia",
                tenant="cffm.example.com",
                dids=("5484815577", "8300"),
                extensions=("8300",),
                display_name="CFFM Kitchener",
                inbound_search=("8300", "Kitchener"),
            ),
        ),
        account(
            "cambridge",
            product(
                kind="vodia",
                tenant="cffm.example.com",
                extensions=("5197830020",),
                inbound_search=("cambridge", "cffm"),
            ),
        ),
    ]
)


class TestVodia:
    @pytest.mark.parametrize(
        ("fields", "account_id"),
        [
            ({"extension": "8300"}, "kitchener"),
            ({"caller_number": "8300"}, "kitchener"),
            ({"caller_name": "cffm kitchener"}, "kitchener"),
            ({"caller_number": "15197830020"}, "cambridge"),
            ({"extension": "8301"}, "none"),
            ({"direction": "inbound", "caller_destination": "15484815577"}, "kitchener"),
            ({"direction": "inbound", "destination_number": "8300"}, "kitchener"),
            ({"direction": "inbound", "extension": "8300"}, "kitchener"),
            ({"direction": "inbound", "caller_name": "Anna, KITCHENER ON"}, "kitchener"),
            ({"direction": "inbound", "caller_name": "Cambridge"}, "cambridge"),
            ({"direction": "inbound", "caller_name": "kitchener+cambridge"}, "ambiguous"),
            ({"direction": "inbound", "caller_name": "Toronto"}, "cambridge"),
            ({"direction": "outbound", "caller_name": "Toronto"}, "none"),
        ],
    )
    def test_calls_match_their_product(self, fields: dict[str, str], account_id: str) -> None:
        """`cffm` occurs in the tenant's name alone, and counts after all that is in the record."""
        fields = {"source": "vodia-pull", "tenant": "cffm.example.com"} | fields
        assert owner(VODIA, **fields) == account_id


LESNET = ProductIndex(
    [
        account(
            "one",
            product(kind="lesnet", tenant="D4E3CD2BFC791", dids=("12046664021",), flat_rate="0.03"),
        ),
        account("two", product(kind="lesnet", tenant="AAAACD2BFC791", dids=("12046664022",))),
        account("three", product(kind="lesnet", tenant="AAAACD2BFC791", dids=("12046664023",))),
    ]
)


class TestLesNet:
    @pytest.mark.parametrize(
        ("fields", "account_id"),
        [
            ({"tenant": "D4E3CD2BFC791"}, "one"),
            ({"tenant": "d4e3cd2bfc791", "caller_number": "4165550000"}, "one"),
            ({"tenant": "12046664021"}, "one"),
            ({"tenant": "2046664021"}, "one"),
            ({"tenant": "+12046664021"}, "one"),
            ({"tenant": "AAAACD2BFC791"}, "ambiguous"),
            ({"tenant": "AAAACD2BFC791", "caller_number": "2046664023"}, "three"),
            (
                {
                    "tenant": "AAAACD2BFC791",
                    "direction": "inbound",
                    "destination_number": "12046664022",
                },
                "two",
            ),
            ({"tenant": "AAAACD2BFC791", "caller_number": "2046664021"}, "ambiguous"),
            ({"tenant": "4165550000"}, "none"),
            ({"tenant": "x12046664021"}, "none"),
        ],
    )
    def test_calls_belong_to_the_did_then_the_peer(
        self, fields: dict[str, str], account_id: str
    ) -> None:
        assert owner(LESNET, source="lesnet-file", **fields) == account_id


@pytest.mark.parametrize("direction", ["inbound", "outbound", "local", ""])
def test_reasons_of_long_records_fit_the_topic(direction: str) -> None:
    """`call.unrated.v1` holds 1,000 characters of detail."""
    long = "\\" * 1000
    numbers = ("caller_number", "caller_destination", "destination_number", "source_number")
    fields = dict.fromkeys((*numbers, "caller_name", "extension"), long)
    crowd = [account(f"a{i}", product(long, service_id="s", dids=("1",))) for i in range(20)]
    for index in (SHARED_TENANT, ProductIndex(crowd)):
        for tenant in ("mcon.example.com", long):
            found = index.match(
                call(direction=direction, source="vodia-pull", tenant=tenant, **fields)
            )
            assert not isinstance(found, Match)
            assert len(found.detail) <= 1000


class TestReplacing:
    def test_a_changed_profile_replaces_the_previous_one(self) -> None:
        index = ProductIndex([account("a1", product(extensions=("2112",), dids=("5192229000",)))])
        index.replace(account("a1", product(extensions=("2113",)), version=2))
        assert owner(index, extension="2113") == "a1"
        assert owner(index, extension="2112") == "none"
        assert owner(index, direction="inbound", caller_destination="5192229000") == "none"

    def test_an_ambiguity_ends_when_one_product_drops_its_claim(self) -> None:
        index = ProductIndex(
            [account(name, product(extensions=("2112",))) for name in ("a1", "a2")]
        )
        assert owner(index, extension="2112") == "ambiguous"
        index.replace(account("a1", version=2))
        assert owner(index, extension="2112") == "a2"

    def test_search_strings_are_removed_with_their_product(self) -> None:
        searched = product(kind="vodia", inbound_search=("kitchener",))
        other = product(kind="vodia", extensions=("8300",))
        index = ProductIndex(
            [account("a1", searched), account("a2", searched), account("a3", other)]
        )
        inbound = {"direction": "inbound", "caller_name": "Kitchener", "source": "vodia-push"}
        assert owner(index, **inbound) == "ambiguous"
        index.replace(account("a1", version=2))
        assert owner(index, **inbound) == "a2"
        index.replace(account("a2", version=2))
        assert owner(index, **inbound) == "none"

    EXTENSIONS = st.lists(st.sampled_from(["2112", "2113", "2114"]), max_size=3, unique=True)
    CHANGES = st.lists(st.tuples(st.sampled_from(["a1", "a2", "a3"]), EXTENSIONS), max_size=12)

    @given(CHANGES)
    def test_changes_give_the_same_index_as_a_fresh_start(
        self, changes: list[tuple[str, list[str]]]
    ) -> None:
        """An index that saw every change answers as one that saw only the last of each account."""
        kept, last = ProductIndex(), {}
        for account_id, extensions in changes:
            last[account_id] = account(account_id, product(extensions=tuple(extensions)))
            kept.replace(last[account_id])
        fresh = ProductIndex(last.values())
        for extension in ("2112", "2113", "2114", "2999"):
            assert owner(kept, extension=extension) == owner(fresh, extension=extension)
