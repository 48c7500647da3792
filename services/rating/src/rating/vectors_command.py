"""`ringfence vectors rating FILE`: prices the calls of a conformance file by rating's own price."""

from rating.pricing.vectors import COLUMNS, PriceCase
from ringfence.vectors import vectors_command

command = vectors_command(
    "rating",
    "Price the calls of a CSV file and compare with what it expects.",
    COLUMNS,
    PriceCase.read,
)
