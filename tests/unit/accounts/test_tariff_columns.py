"""The column names of a tariff's files."""

import pytest

from accounts.tariffs.decks.columns import FIELDS, find_columns, merged, read_mapping, split_pair
from ringfence_contracts.errors import BadInput


def mapping_of(*pairs: str) -> dict[str, str]:
    return read_mapping(map(split_pair, pairs))


def test_a_mapping_ignores_the_case_of_fields() -> None:
    assert mapping_of("prefix=Code", "RATEVALUE= Price per min ") == {
        "Prefix": "Code",
        "RateValue": "Price per min",
    }


def test_a_column_may_have_an_equals_sign() -> None:
    assert mapping_of("Prefix=a=b") == {"Prefix": "a=b"}


@pytest.mark.parametrize(
    "pairs",
    [["Prefix"], ["Code=Prefix"], ["=Code"], ["Prefix=A", "prefix=B"], [f"Prefix={'x' * 101}"],
     ["Prefix=a\nb"]],
)  # fmt: skip
def test_a_malformed_mapping_is_refused(pairs: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        mapping_of(*pairs)
    assert refused.value.field == "map"


def test_a_given_mapping_replaces_the_stored_one() -> None:
    remembered = {"Prefix": "Code", "RateValue": "Price"}
    assert merged(remembered, {"Prefix": "Dial"}) == {"Prefix": "Dial", "RateValue": "Price"}


@pytest.mark.parametrize("own", ["", "Prefix", "PREFIX"])
def test_a_field_can_be_reset_to_its_own_name(own: str) -> None:
    assert merged({"Prefix": "Code"}, {"Prefix": own}) == {}


def test_two_fields_may_share_a_column() -> None:
    mapping = {"Prefix": "code", "Description": "CODE"}
    found = find_columns(["Code", "RateValue", "Increment"], mapping).places
    assert (found["Prefix"], found["Description"]) == (0, 0)
    assert found.keys() < set(FIELDS)
