"""The number of examples that a property test draws."""

from hypothesis import settings

from tests.support.narrow import present


def examples(times: int) -> int:
    """`times` the examples of the profile: 100 usually, 10 in `make test-fast`."""
    return times * present(settings.default).max_examples
