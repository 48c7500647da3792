"""The price of a call by a row, as rating computes it for a package without markup.

Pure: without clock, socket, database or logger.
"""

from decimal import Decimal
from fractions import Fraction

from ringfence_contracts.events.tariff import NO_ROW_FEES, RowFees

SHOWN_SECONDS = (10, 60, 150)
"""The lengths of the calls that an import shows."""

SHOWN_ROWS = 10
_MICRO = 1_000_000


def billed_seconds(talk_s: int, initial_s: int, increment_s: int) -> int:
    """Billed seconds for `talk_s` seconds of talk (domain/billing, section 4)."""
    beyond = talk_s - initial_s
    return initial_s if beyond <= 0 else initial_s - (-beyond // increment_s) * increment_s


def price_of_call(
    rate: str, initial_s: int, increment_s: int, talk_s: int, fees: RowFees = NO_ROW_FEES
) -> str:
    """The price of a call, rounded half up to a millionth, as decimal text without padding."""
    exact = Fraction(rate) * billed_seconds(talk_s, initial_s, increment_s) / 60
    exact = max(exact + Fraction(fees.connection_fee or 0), Fraction(fees.minimum_cost or 0))
    if fees.maximum_cost is not None:
        exact = min(exact, Fraction(fees.maximum_cost))
    micro = int(exact * _MICRO + Fraction(1, 2))
    text = f"{Decimal(micro).scaleb(-6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
