"""Vodia's lists of tenants and accounts are read in every shape that is known, and no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_pbx.vodia.accounts import VodiaAccount, accounts_of, tenants_of
from tests.support.narrow import present

KNOWN = [
    [{"name": "40", "displayname": "Ann", "disabled": False, "alias": ["40", "4165550100"]}],
    {"action": "domain-list", "accounts": [{"name": 40, "display": "Ann", "disabled": "false",
                                            "alias": ["4165550100"]}]},
    {"40": {"name": "Ann", "disabled": "", "alias": ["4165550100"]}},
]  # fmt: skip


@pytest.mark.parametrize("listed", KNOWN)
def test_an_account_is_read_in_each_known_shape(
    listed: dict[str, Any] | list[dict[str, Any]],
) -> None:
    assert accounts_of(listed) == [VodiaAccount("40", "Ann", False, True, ("4165550100",))]


@pytest.mark.parametrize(
    ("row", "disabled"),
    [({}, None), ({"disabled": True}, True), ({"disabled": "true"}, True), ({"disabled": 7}, None)],
)
def test_an_ambiguous_state_counts_as_not_shown(
    row: dict[str, int | str], disabled: bool | None
) -> None:
    [account] = present(accounts_of([{"name": "40", **row}]))
    assert account.disabled is disabled


def test_other_kinds_of_account_are_not_extensions() -> None:
    rows = [{"name": "1", "usertype": "hunts"}, {"name": "2", "usertype": "extensions"}]
    assert [account.is_extension for account in present(accounts_of(rows))] == [False, True]


@pytest.mark.parametrize("listed", [None, "text", 5, [None], [{}], [{"name": ""}], [["40"]]])
def test_another_format_is_rejected(
    listed: int | list[dict[str, str] | list[str] | None] | str | None,
) -> None:
    assert accounts_of(listed) is None


@pytest.mark.parametrize(
    "listed",
    [["a.example"], [{"name": "a.example"}], [{"domain": "a.example"}], {"1": "a.example"}],
)
def test_tenants_are_read_in_each_known_shape(
    listed: dict[str, str] | list[dict[str, str] | str],
) -> None:
    assert tenants_of(listed) == ["a.example"]


@pytest.mark.parametrize("listed", [None, "a", [None], [{}], [""], [{"name": 5.5}]])
def test_another_list_of_tenants_is_rejected(
    listed: list[dict[str, float] | str | None] | str | None,
) -> None:
    assert tenants_of(listed) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "alias", "accounts", "disabled", "40"]), inner)
    ),
    max_leaves=8,
)


@given(json)
def test_no_answer_is_an_error(
    listed: dict[str, Any] | list[bool | dict[str, Any] | list[Any] | None] | None,
) -> None:
    accounts_of(listed)
    tenants_of(listed)
