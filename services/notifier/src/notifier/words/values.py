"""Values of merge fields: text, and amounts in each form in which templates can use them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """An amount of money in each form in which a template can use it.

    `bare` is for `{$x}`, `decimals` for `{$x}.00`, `priced` for `${$x}` and `${$x}.00`. `plain` is
    for conditions: a decimal number with a point, or empty if there is no amount.
    """

    bare: str
    decimals: str
    priced: str
    plain: str


@dataclass(frozen=True)
class Lines:
    """Text of several lines whose line breaks are kept in the HTML part, such as a signature."""

    text: str


MergeValue = str | Amount | Lines
MergeValues = Mapping[str, MergeValue]


def comparable_text(value: MergeValue) -> str:
    """The text of a value for conditions and for `default`."""
    if isinstance(value, Amount):
        return value.plain
    return value.text if isinstance(value, Lines) else value


def display_text(value: MergeValue, *, sign: str = "", decimals: str = "") -> str:
    """The text of a value that has `sign` before it and `decimals` after it in the template.

    An amount replaces both by the sign of its own currency and its own decimals.
    """
    if not isinstance(value, Amount):
        return f"{sign}{comparable_text(value)}{decimals}"
    if sign:
        return value.priced
    return value.decimals if decimals else value.bare
