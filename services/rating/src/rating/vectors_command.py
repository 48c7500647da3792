"""`ringfence vectors rating FILE`: prices the calls of a conformance file with pricing/price.py."""

from rating.vector_cases import COLUMNS, PriceCase
from ringfence.vectors import vectors_command

command = vectors_command(
    "rating",
    "Price the calls of a CSV file and compare with what it expects.",
    COLUMNS,
    PriceCase.read,
)
