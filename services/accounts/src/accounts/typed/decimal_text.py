"""The canonical form of rates. They stay text, so that no decimals are lost.

Pure: without clock, socket, database or logger.
"""

import re

DIGITS = 12
_PLAIN = re.compile(rf"(\d{{1,{DIGITS}}}(\.\d{{0,{DIGITS}}})?|\.\d{{1,{DIGITS}}})", re.ASCII)


def canonical_decimal(text: str) -> str | None:
    """A non-negative decimal (`.03`, `0.0100`, `7.`) as `0.03`, `0.01`, `7`.

    None for anything else: signs, exponents, separators, more than 12 digits on either side.
    """
    typed = text.strip()
    if not _PLAIN.fullmatch(typed):
        return None
    whole, _, fraction = typed.partition(".")
    units = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    return f"{units}.{fraction}" if fraction else units
