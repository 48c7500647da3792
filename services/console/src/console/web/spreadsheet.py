"""Texts in files that a spreadsheet opens. Pure."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like it gets a quote."""
    return f"'{text}" if text.startswith(_FORMULA) else text
