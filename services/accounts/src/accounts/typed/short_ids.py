"""Ids of which only the first digits are typed, as tables show them. Pure."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from accounts.refusals import Clash, Unknown

LEAST = 4
"""Digits at least: fewer would often fit several."""

MOST_SHOWN = 5
"""How many candidates an error lists; query one more, to know whether there are others."""

_DIGITS = re.compile(rf"[0-9a-f]{{{LEAST},32}}")


class IdRange(NamedTuple):
    """The ids that begin with typed digits: from `first` to `last`."""

    first: UUID
    last: UUID


def id_range(text: str) -> IdRange | None:
    """The ids that begin with `text`, of any case, with or without dashes; None for other text."""
    digits = text.strip().lower().replace("-", "")
    if not _DIGITS.fullmatch(digits):
        return None
    return IdRange(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def the_only_one(field: str, text: str, found: Sequence[UUID], expected: str) -> UUID:
    """The one id that begins with `text`.

    Raises Unknown, with `expected`, where none does, and Clash, with the candidates, for several.
    """
    if not found:
        raise Unknown(field, text, expected)
    if len(found) > 1:
        listed = ", ".join(str(each) for each in found[:MOST_SHOWN])
        others = ", …" if len(found) > MOST_SHOWN else ""
        raise Clash(field, text, f"several begin like that, type more: {listed}{others}")
    return found[0]


Candidates = Callable[[UUID, UUID, int], Awaitable[Sequence[Any]]]
"""Rows that begin with an id from the first to the last one, in their order, at most so many."""


async def find_id(field: str, text: str, candidates: Candidates, expected: str) -> UUID:
    """The id among `candidates` that begins with `text`. Raises as `the_only_one`."""
    ids = id_range(text)
    rows = () if ids is None else await candidates(*ids, MOST_SHOWN + 1)
    return the_only_one(field, text, [row[0] for row in rows], expected)
