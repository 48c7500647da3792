"""How many examples a property test draws."""

from hypothesis import settings

from tests.support.narrow import present


def examples(times: int) -> int:
    """So many times the examples that the profile draws: 100 usually, 10 in `make test-fast`."""
    return times * present(settings.default).max_examples
