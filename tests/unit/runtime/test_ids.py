"""Ids come from causes, so the same cause must never get another id."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.ids import call_id, derive, deriver

_PART = st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]))
_CAUSES = st.lists(_PART, max_size=4).map(tuple)


def test_ids_that_stand_in_ledgers_never_change() -> None:
    """Whoever changes the namespace or the way parts are joined breaks every stored id."""
    assert call_id("pbx1", "0f4205b4") == UUID("90422410-dd8c-59e5-9e9d-9cc141fd74f8")


@given(_CAUSES, _CAUSES)
def test_two_causes_share_an_id_only_if_they_are_the_same(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert (derive("charge", *one) == derive("charge", *other)) == (one == other)


@given(_PART, _CAUSES.filter(bool))
def test_the_quick_way_gives_the_same_id(kind: str, cause: tuple[str, ...]) -> None:
    assert deriver(kind)(*cause) == derive(kind, *cause)


def test_parts_are_not_run_together() -> None:
    assert derive("charge", "a", "bc") != derive("charge", "ab", "c")


def test_the_kind_is_part_of_the_id() -> None:
    assert derive("charge", 1) != derive("reversal", 1)


def test_a_call_is_one_call_whichever_way_it_comes() -> None:
    assert call_id("pbx1", "u1") == call_id("pbx1", "u1")
    assert call_id("pbx1", "u1") != call_id("pbx2", "u1")
