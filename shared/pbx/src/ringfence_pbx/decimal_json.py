"""JSON with its decimals kept as written: pure. A float would lose digits of a call's times."""

import json
from decimal import Decimal
from typing import Any, NoReturn

Json = Any
"""The values of JSON, with Decimal instead of float."""


def read_json(body: bytes) -> Json:
    """The content of a JSON document in UTF-8. Raises ValueError for anything else."""
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant)
    except (RecursionError, ArithmeticError):
        # ArithmeticError: an exponent beyond what Decimal can hold.
        raise ValueError("nested too deep, or a number too large") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
