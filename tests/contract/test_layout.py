"""The layout: the same modules in every service, limits of length, meaningful names."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.settings import CommonSettings
from tests.support.sources import ROOT, SOURCES, module_of, nodes_of, text_of

pytestmark = pytest.mark.whole_tree

SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
ROOMS = ("__init__", "__main__", "settings", "service", "store")
SAYS_NOTHING = {"util", "utils", "common", "helper", "helpers", "base", "manager", "misc"}
NOT_OURS = {
    ".git", ".venv", ".ringfence", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".hypothesis", ".import_linter_cache", "node_modules", "dist",
}  # fmt: skip
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)


def package(service: Path) -> Path:
    """The folder of a service's code."""
    return service / "src" / service.name.replace("-", "_")


def shown(path: Path) -> str:
    """A path from the root of the repository."""
    return str(path.relative_to(ROOT))


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(text_of(path).splitlines())


def test_there_are_seven_services() -> None:
    assert {path.name for path in SERVICES} == {
        "cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts", "console",
    }  # fmt: skip


@each_service
@pytest.mark.parametrize("room", ROOMS)
def test_every_service_has_the_same_modules(service: Path, room: str) -> None:
    """A reader who knows one service knows the paths in all others. The console stores nothing."""
    if (service.name, room) == ("console", "store"):
        return
    assert (package(service) / f"{room}.py").is_file()


@each_service
def test_main_starts_the_service_and_does_nothing_else(service: Path) -> None:
    main = module_of(package(service) / "__main__.py")
    assert not [n for n in main.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert lines(package(service) / "__main__.py") <= 20


@each_service
def test_a_service_has_a_readme_that_is_read_in_a_few_minutes(service: Path) -> None:
    """The limit is in words: a limit in lines is kept by long lines."""
    readme = service / "README.md"
    assert readme.is_file()
    assert len(readme.read_text(encoding="utf-8").split()) <= 750


@each_service
def test_every_setting_has_a_description_and_a_default(service: Path) -> None:
    settings = importlib.import_module(f"{package(service).name}.settings").Settings
    assert issubclass(settings, CommonSettings)
    for name, field in settings.model_fields.items():
        assert field.description, f"{name} has no description"
        assert not field.is_required(), f"{name} has no default"


@each_service
def test_a_service_s_own_settings_begin_with_its_name(service: Path) -> None:
    """So that two services may have different values in one environment."""
    settings = importlib.import_module(f"{package(service).name}.settings").Settings
    own = settings.model_fields.keys() - CommonSettings.model_fields.keys()
    assert [name for name in own if not name.startswith(f"{package(service).name}_")] == []


def test_no_file_or_folder_has_a_meaningless_name() -> None:
    named = {path for source in SOURCES for path in (source, *source.relative_to(ROOT).parents)}
    empty = [str(path) for path in named if SAYS_NOTHING & set(path.stem.lower().split("_"))]
    assert empty == []


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the product: its place, and its length in lines."""
    for path in SOURCES:
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                yield f"{shown(path)}:{node.lineno} {node.name}", length


def longer(lengths: dict[str, int], limit: int) -> list[str]:
    """What is longer than the limit, longest first."""
    by_length = sorted(lengths.items(), key=lambda item: -item[1])
    return [f"{name}: {length} lines" for name, length in by_length if length > limit]


def test_functions_are_short() -> None:
    """None over 70 lines, 95 of 100 at most 40."""
    lengths = dict(functions())
    assert longer(lengths, 70) == []
    assert len(longer(lengths, 40)) <= 0.05 * len(lengths), longer(lengths, 40)


def test_files_are_short() -> None:
    """None over 500 lines, 95 of 100 at most 350."""
    lengths = {shown(path): lines(path) for path in SOURCES}
    assert longer(lengths, 500) == []
    assert len(longer(lengths, 350)) <= 0.05 * len(lengths), longer(lengths, 350)


MOST_MODULES = 12


def package_sizes() -> dict[str, int]:
    """How many modules each package has, `__init__` and `__main__` not counted."""
    sizes: dict[str, int] = {}
    for path in SOURCES:
        name = ".".join(path.parent.parts[path.parts.index("src", len(ROOT.parts)) + 1 :])
        sizes[name] = sizes.get(name, 0) + (not path.stem.startswith("__"))
    return sizes


def test_a_package_has_at_most_twelve_modules() -> None:
    """Beside its sub-packages: a larger one holds more than one subject."""
    sizes = package_sizes()
    larger = {name: size for name, size in sizes.items() if size > MOST_MODULES}
    assert larger == {}


SQL = re.compile(
    r"\binsert\s+into\s|\bdelete\s+from\s|\bupdate\s+\S+\s+(?:\w+\s+)?set\s|\bselect\s.+\sfrom\s",
    re.IGNORECASE | re.DOTALL,
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every text of a file but its docstrings; a formatted one as a whole."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    skipped: set[int] = set()
    for node in nodes_of(path):
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr):
            skipped.add(id(node.body[0].value))
    for node in nodes_of(path):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            yield node.lineno, str(node.value)


def test_sql_is_only_in_stores() -> None:
    """In the services and in what they share; what runs a database may talk to it."""
    elsewhere = [
        f"{shown(path)}:{line}"
        for path in SOURCES
        if not path.stem.startswith("store")
        if not shown(path).startswith("deploy/") and "/ringfence/postgres/" not in shown(path)
        for line, text in texts(path)
        if SQL.search(text)
    ]
    assert elsewhere == []


WHOLE = re.compile(r"\b(int|Micro)\b")
FRACTIONS = re.compile(r"\b(float|Decimal|Fraction)\b")


def test_money_is_never_a_float() -> None:
    """A name that ends in `_micro` is annotated as a whole number everywhere."""
    wrong = [
        f"{shown(path)}:{line} {name}: {kind}"
        for path in SOURCES
        for line, name, kind in annotated(path)
        if name.endswith("_micro") and (FRACTIONS.search(kind) or not WHOLE.search(kind))
    ]
    assert wrong == []


def annotated(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, name and annotation of a file's arguments, fields and variables."""
    for node in nodes_of(path):
        if isinstance(node, ast.AnnAssign):
            yield node.lineno, ast.unparse(node.target), ast.unparse(node.annotation)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            yield node.lineno, node.arg, ast.unparse(node.annotation)


def written_files() -> Iterator[tuple[Path, str]]:
    """Every text file of the repository that people or generators wrote."""
    for path in sorted(ROOT.rglob("*")):
        parts = set(path.relative_to(ROOT).parts)
        if not path.is_file() or parts & NOT_OURS or path.name == "uv.lock":
            continue
        try:
            yield path, text_of(path)
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_package_registry() -> None:
    """The settings of the machine decide where packages come from."""
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".", "maven" + ".org")
    named = [shown(p) for p, text in written_files() if any(host in text for host in hosts)]
    assert named == []


MENTIONS = re.compile(r"(?<![\w/.-])((?:docs|shared|domain|tests|deploy|services)/[\w/.-]*\w)")


def test_mentioned_paths_exist() -> None:
    """A page or folder that a text refers to is part of this repository."""
    lost = [
        f"{shown(path)}: {mention}"
        for path, text in written_files()
        if path.suffix in (".py", ".md", ".toml", ".sql") and path != Path(__file__)
        for mention in MENTIONS.findall(text)
        if not any([*ROOT.glob(f"{mention}*"), *ROOT.glob(f"docs/{mention}*")])
    ]
    assert lost == []
