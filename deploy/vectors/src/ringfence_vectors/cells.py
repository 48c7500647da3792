"""Reads the cells of a row; errors name the column of an invalid value."""

from ringfence_contracts.errors import BadInput


def one_of(row: dict[str, str], column: str, *allowed: str) -> str:
    """A cell with one of these words, in any case. Raises BadInput for any other."""
    return word(column, row[column], *allowed)


def word(column: str, text: str, *allowed: str) -> str:
    """One of these words, in any case. Raises BadInput for any other."""
    found = text.strip().casefold()
    if found not in allowed:
        raise BadInput(column, text, " or ".join(allowed))
    return found


def parts(row: dict[str, str], column: str) -> list[str]:
    """A cell's values, separated by `;`. Raises BadInput where one of them is blank."""
    found = [part.strip() for part in row[column].split(";")]
    if not all(found):
        raise BadInput(column, row[column], "one value or more, separated by ;, none of them blank")
    return found
