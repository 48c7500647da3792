"""Ids of which the first digits are typed."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.refusals import Clash, Unknown
from accounts.typed.short_ids import LEAST, id_range, the_only_one


@given(st.uuids(), st.integers(LEAST, 36))
def test_an_id_is_in_the_range_of_its_first_digits(one: UUID, length: int) -> None:
    found = id_range(str(one)[:length].upper())
    assert found is not None
    assert found.first <= one <= found.last
    assert str(found.first)[:length] == str(found.last)[:length] == str(one)[:length]


@pytest.mark.parametrize("text", ["", "abc", "nonsense", "12 34", "x" * 40, "1" * 33, "١٢٣٤"])
def test_other_text_is_no_id(text: str) -> None:
    assert id_range(text) is None


def test_several_candidates_are_listed_and_none_is_unknown() -> None:
    one, *others = (uuid4() for _ in range(7))
    assert the_only_one("payment", "1234", [one], "the list") == one
    with pytest.raises(Unknown, match="there is no '1234'; the list"):
        the_only_one("payment", "1234", [], "the list")
    with pytest.raises(Clash, match=f"type more: {one}, {others[0]}$"):
        the_only_one("payment", "1234", [one, others[0]], "the list")
    with pytest.raises(Clash, match=r"…$"):
        the_only_one("payment", "1234", [one, *others], "the list")
