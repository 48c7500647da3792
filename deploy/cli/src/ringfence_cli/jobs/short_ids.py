"""Ids of runs and jobs, which may be shortened to their first characters."""

from collections.abc import Callable, Iterable
from uuid import UUID

from ringfence_cli.connection import fail

_SHORTEST = 4


def full_id(name: str, text: str, known: Callable[[], Iterable[object]], expected: str) -> str:
    """The id that `text` is, or is the beginning of. Ends the command if there is not one such id.

    `known` reads the ids; it is called for a shortened one alone.
    """
    prefix = text.strip().lower()
    try:
        return str(UUID(prefix))
    except ValueError:
        pass
    matching = [str(each) for each in known() if str(each).startswith(prefix)]
    if len(prefix) < _SHORTEST or len(matching) != 1:
        fail(f"{name}: got {text!r}, expected {expected}")
    return matching[0]
