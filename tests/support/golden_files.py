"""Golden files: the output of the product when it was last reviewed.

Run the failed test with GOLDEN=write to accept what the product shows now, and review the
difference before you commit it.
"""

import difflib
import os
from pathlib import Path

TESTS = Path(__file__).parents[1]


def writes() -> bool:
    """Whether golden files are written instead of compared."""
    return os.environ.get("GOLDEN") == "write"


def compare(path: Path, text: str) -> None:
    """Compare a text with the golden file `path`, or write it there.

    Raises AssertionError with the difference, and how to accept it.
    """
    if writes():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return
    agreed = path.read_bytes().decode() if path.is_file() else ""
    if agreed != text:
        name = path.relative_to(TESTS.parent) if path.is_relative_to(TESTS.parent) else path
        difference = "\n".join(
            difflib.unified_diff(
                agreed.splitlines(), text.splitlines(), f"{name} (agreed)", "now", lineterm="", n=1
            )
        )
        raise AssertionError(f"{difference}\n\n{accept(name)}")


def accept(name: object) -> str:
    """The command by which a person accepts a change."""
    return (
        f"{name} differs from what the product shows now. If the change is meant, run this test"
        " with GOLDEN=write, review the difference with git diff, and commit the file."
    )


def no_others(folder: Path, names: set[str], pattern: str = "*.txt") -> None:
    """Compare the files of a folder with the names that it should have; remove others on write.

    Raises AssertionError that names the files that nothing writes any more.
    """
    others = sorted(path for path in folder.glob(pattern) if path.name not in names)
    if writes():
        for path in others:
            path.unlink()
        return
    assert not others, f"no test compares with these files any more; remove them: {others}"
