"""JSON with its decimals kept as written: pure. A float would lose digits of a call's times."""

import json
from decimal import Decimal
from typing import Any, NoReturn

MAX_DEPTH = 32
TOO_DEEP = "nested too deep"

Json = Any
"""The values of JSON, with Decimal instead of float."""


def read_json(body: bytes) -> Json:
    """The content of a JSON document in UTF-8. Raises ValueError for anything else.

    What is nested deeper than MAX_DEPTH is replaced by a text: Python could read it, but fail to
    show or write it, and a list of calls is not refused for one of them.
    """
    try:
        read = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (RecursionError, ArithmeticError):
        # ArithmeticError: an exponent beyond what Decimal can hold.
        raise ValueError("nested too deep, or a number too large") from None
    _cut(read)
    return read


def _cut(read: Json) -> None:
    """Replace what is nested too deep."""
    waiting = [(read, 1)]
    while waiting:
        container, depth = waiting.pop()
        items: Any = ()
        if isinstance(container, dict):
            items = list(container.items())
        elif isinstance(container, list):
            items = enumerate(container)
        for name, value in items:
            if not isinstance(value, dict | list):
                continue
            if depth >= MAX_DEPTH:
                container[name] = TOO_DEEP
            else:
                waiting.append((value, depth + 1))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
