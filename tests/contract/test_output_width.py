"""What commands print fits a terminal of 80 columns, by the golden copies of it."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "output"
WIDTH = 80
EXCEPTIONS = {
    "$ ": "the command as it was typed",
    "\ufeffDescription,Prefix,": "the header of a rate deck: a file for a spreadsheet",
}
"""How a longer line may begin, and why."""


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_no_line_is_longer_than_80_columns(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    too_long = [
        line for line in lines if len(line) > WIDTH and not line.startswith(tuple(EXCEPTIONS))
    ]
    assert not too_long, "\n".join(too_long)
