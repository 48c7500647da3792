"""Which legs may have left by a carrier, by what a PBX records of them: pure."""

_SHORTEST = 7
"""Digits of the shortest number that is a telephone number and not an extension or a code."""


def is_carrier_number(number: str) -> bool:
    """Whether a dialled number can only be reached by a carrier, by its length."""
    digits = "".join(filter(str.isdecimal, number))
    return len(digits) >= _SHORTEST and not number.startswith("*")
