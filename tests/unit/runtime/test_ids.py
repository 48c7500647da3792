"""Ids are derived from causes, so the same cause must never get another id."""

import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.ids import call_id, derive, deriver

_PART = st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]))
_CAUSES = st.lists(_PART, max_size=4).map(tuple)


def test_ids_in_ledgers_never_change() -> None:
    """Another namespace, or another way to join parts, would break every stored id."""
    assert call_id("pbx1", "0f4205b4") == UUID("90422410-dd8c-59e5-9e9d-9cc141fd74f8")


@given(_CAUSES, _CAUSES)
def test_two_causes_share_an_id_only_if_they_are_the_same(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert (derive("charge", *one) == derive("charge", *other)) == (one == other)


@given(_PART, _CAUSES.filter(bool))
def test_deriver_gives_the_same_id_as_derive(kind: str, cause: tuple[str, ...]) -> None:
    assert deriver(kind)(*cause) == derive(kind, *cause)


def test_parts_are_separated() -> None:
    assert derive("charge", "a", "bc") != derive("charge", "ab", "c")


def test_the_kind_is_part_of_the_id() -> None:
    assert derive("charge", 1) != derive("reversal", 1)


def test_a_call_has_one_id_however_it_is_received() -> None:
    assert call_id("pbx1", "u1") == call_id("pbx1", "u1")
    assert call_id("pbx1", "u1") != call_id("pbx2", "u1")


ALONE = """
import sys
for name in ("asyncpg", "click", "orjson"):
    sys.modules[name] = None  # an import of it raises ImportError
from ringfence_contracts import events, ids, money, topics
print(ids.derive("charge", 1), ids.as_id(bytes(16)), len(topics.ALL_TOPICS))
"""


@pytest.mark.processes
def test_events_topics_and_ids_need_no_driver_and_no_command_line() -> None:
    """A third party that reads topics installs pydantic and nothing else."""
    run = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    derived, zero, _ = run.stdout.split()
    assert (derived, zero) == (str(derive("charge", 1)), str(UUID(int=0)))
