"""Which extensions belong to a range, and which to the rest of a tenant."""

import pytest

from suspender.rules.elements import REST, OwnedExtensions

OWNED = OwnedExtensions(frozenset({"150", "300"}), frozenset({"100-199", "200-249"}))


@pytest.mark.parametrize(
    ("extension", "to", "belongs"),
    [
        ("101", "100-199", True),
        ("150", "100-199", False),
        ("201", "100-199", False),
        ("201", "200-249", True),
        ("101", REST, False),
        ("150", REST, False),
        ("300", REST, False),
        ("250", REST, True),
        ("0101", REST, True),
    ],
)
def test_a_listed_extension_beats_a_range_and_a_range_beats_the_rest(
    extension: str, to: str, belongs: bool
) -> None:
    assert OWNED.belongs(extension, to) is belongs
