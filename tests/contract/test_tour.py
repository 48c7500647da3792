"""The walks of docs/tour.md lead through functions that exist, and through few files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tour.md"
STEP = re.compile(r"`([\w./-]+\.(?:py|sql))(?:::([\w.]+))?`")
MOST_FILES = {
    "A call record to the ledger": 26,
    "An empty balance to the PBX": 12,
    "A payment to the trunk": 22,
    "A question about a call": 10,
}


def walks() -> dict[str, list[tuple[str, str]]]:
    """Each walk's steps by its heading: file, and function or method."""
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    return {section.split("\n", 1)[0]: STEP.findall(section) for section in sections}


def defined_in(path: Path) -> set[str]:
    """Functions and classes of a module, and methods as `Class.method`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_page_has_the_walks() -> None:
    assert set(MOST_FILES) <= set(walks())


@pytest.mark.parametrize("walk", MOST_FILES)
def test_every_step_exists(walk: str) -> None:
    lost = [
        f"{file}::{name}"
        for file, name in walks()[walk]
        if not (ROOT / file).is_file() or (name and name not in defined_in(ROOT / file))
    ]
    assert lost == [], "docs/tour.md names what is not there"


@pytest.mark.parametrize("walk", MOST_FILES)
def test_walk_enters_few_files(walk: str) -> None:
    files = {file for file, _ in walks()[walk]}
    assert 5 <= len(files) <= MOST_FILES[walk]
