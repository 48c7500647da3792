"""Who may import whom: the rules of .importlinter, and those that follow from names and docstrings.

A module is pure if its docstring or that of one of its packages says so (": pure", "Pure" or
"(pure)"). A module whose name begins with `store` is a store. No list names them: a new module is
checked from its first day.
"""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.support.sources import ROOT, module_of

pytestmark = pytest.mark.whole_tree

FOLDERS = [
    source
    for folder in ("shared/*/src", "services/*/src", "deploy/*/src")
    for source in ROOT.glob(folder)
]
SAYS_PURE = re.compile(r": pure\b|\(pure\)|\bPure\b")
PURE_FOLDERS = ("rating.pricing", "suspender.rules", "cdr_ingest.freeswitch")
"""So that a rule about money or suspension cannot drop the word and with it the check."""
IMPURE = {
    "aiohttp", "aiokafka", "aiosmtplib", "asyncio", "asyncpg", "click", "fastapi", "faust",
    "httpx", "logging", "os", "pathlib", "prometheus_client", "pydantic_settings", "random",
    "secrets", "select", "smtplib", "socket", "ssl", "stamina", "structlog", "subprocess",
    "threading", "time", "uvicorn", "uvloop",
}  # fmt: skip
"""What has or gives a clock, chance, a socket, a file, a database, a logger or the environment."""
A_CLASS_ALONE = {("ringfence_contracts.ids", "asyncpg")}
"""A class without a connection: the form in which ids are in the database (docs/adr/0019)."""
STILL_LEAKING: set[str] = set()
"""Pure in what they do, but what they import is not. This list only gets shorter."""
NETWORK = {"aiohttp", "aiokafka", "aiosmtplib", "fastapi", "faust", "httpx", "smtplib"}


@cache
def graph() -> grimp.ImportGraph:
    """Every import of the product, with the packages from outside as one module each."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter", encoding="utf-8")
    packages = config["importlinter"]["root_packages"].split()
    return grimp.build_graph(
        packages[0], *packages[1:], include_external_packages=True, cache_dir=None
    )


@cache
def ours() -> frozenset[str]:
    """All modules and packages of the product."""
    return frozenset(name for name in graph().modules if not graph().is_module_squashed(name))


@cache
def tree(module: str) -> ast.Module:
    """A module's syntax tree."""
    for source in FOLDERS:
        base = source.joinpath(*module.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return module_of(file)
    raise FileNotFoundError(module)


def packages_of(module: str) -> Iterator[str]:
    """The module itself and the packages around it."""
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(len(parts), 0, -1))


@cache
def pure() -> frozenset[str]:
    """The modules that are pure by their own word or that of a package around them."""
    said = {name for name in ours() if SAYS_PURE.search(ast.get_docstring(tree(name)) or "")}
    return frozenset(name for name in ours() if said & set(packages_of(name)))


def leaks(module: str) -> list[str]:
    """The impure packages that a module reaches by its imports, each with one way to it."""
    ways: dict[str, list[str]] = {module: [module]}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in ours():
            continue
        for imported in graph().find_modules_directly_imported_by(name):
            if imported not in ways and (name, imported) not in A_CLASS_ALONE:
                ways[imported] = [*ways[name], imported]
                waiting.append(imported)
    return [" -> ".join(way) for name, way in sorted(ways.items()) if name in IMPURE]


def test_import_rules_are_kept() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    answer = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("folder", PURE_FOLDERS)
def test_the_rules_about_money_and_suspension_are_pure(folder: str) -> None:
    assert SAYS_PURE.search(ast.get_docstring(tree(folder)) or "")


def test_what_is_pure_reaches_no_clock_socket_database_or_logger() -> None:
    found = {name: leaks(name) for name in pure()}
    assert [way for name, ways in found.items() if name not in STILL_LEAKING for way in ways] == []
    fixed = [name for name in STILL_LEAKING if not found.get(name)]
    assert fixed == [], "delete these from STILL_LEAKING"


def test_what_is_pure_imports_no_clock_socket_database_or_logger_itself() -> None:
    """Even where what it imports still leaks."""
    found = [
        f"{name} -> {imported}"
        for name in sorted(pure())
        for imported in sorted(graph().find_modules_directly_imported_by(name) & IMPURE)
        if (name, imported) not in A_CLASS_ALONE
    ]
    assert found == []


def test_what_is_pure_asks_for_no_time_and_opens_no_file() -> None:
    """`datetime.now()` needs no import that could be forbidden."""
    found = [f"{name}:{line} {call}" for name in sorted(pure()) for line, call in calls(tree(name))]
    assert found == []


def calls(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls that read a clock, a file or a terminal."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("open", "print", "input") or called.endswith(
                ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")
            ):
                yield node.lineno, called


def test_a_store_speaks_to_its_database_and_to_nothing_else() -> None:
    """It imports no network client, and no module that imports one."""
    stores = [name for name in ours() if name.rpartition(".")[2].startswith("store")]
    assert len(stores) > 20
    found = [
        f"{store} -> {imported}"
        for store in sorted(stores)
        for imported in sorted(graph().find_modules_directly_imported_by(store))
        if imported in NETWORK
        or (imported in ours() and graph().find_modules_directly_imported_by(imported) & NETWORK)
    ]
    assert found == []
