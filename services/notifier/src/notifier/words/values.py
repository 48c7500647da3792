"""Values of merge fields: text, and amounts that know each form in which templates name them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Amount:
    """An amount of money, ready for each form in which a template can name it.

    `bare` is for `{$x}`, `decimals` for `{$x}.00`, `priced` for `${$x}` and `${$x}.00`. `plain`
    is what conditions compare: a decimal number with a point, or empty where there is none.
    """

    bare: str
    decimals: str
    priced: str
    plain: str


@dataclass(frozen=True)
class Lines:
    """Text of several lines that keeps its line breaks in the HTML part, such as a signature."""

    text: str


MergeValue = str | Amount | Lines
MergeValues = Mapping[str, MergeValue]


def comparable_text(value: MergeValue) -> str:
    """What conditions and `default` see of a value."""
    if isinstance(value, Amount):
        return value.plain
    return value.text if isinstance(value, Lines) else value


def display_text(value: MergeValue, *, sign: str = "", decimals: str = "") -> str:
    """A value as it reads where a template has `sign` before it and `decimals` behind it.

    An amount replaces both, for it brings the sign of its own currency and its own decimals.
    """
    if not isinstance(value, Amount):
        return f"{sign}{comparable_text(value)}{decimals}"
    if sign:
        return value.priced
    return value.decimals if decimals else value.bare
