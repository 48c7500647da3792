"""The modules of the product and their syntax trees, each read once by all tests of a process."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("shared/*/src", "services/*/src", "deploy/*/src")
    for path in ROOT.glob(f"{folder}/**/*.py")
)
"""Every module of the product."""


@cache
def text_of(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


@cache
def module_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(text_of(path), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree, in the order of `ast.walk`."""
    return tuple(ast.walk(module_of(path)))
