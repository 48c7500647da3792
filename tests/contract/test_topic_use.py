"""Each topic is written by the one service named as its writer, and read by those named."""

import ast
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ringfence_contracts import topics
from ringfence_contracts.topics import ALL_TOPICS, BY_NAME, Topic
from tests.support.sources import nodes_of

pytestmark = pytest.mark.whole_tree

SERVICES = Path(__file__).parents[2] / "services"
NAMES = sorted(path.name for path in SERVICES.iterdir() if (path / "src").is_dir())
CONSUMERS = {"BatchRunner", "GuardedAgents"}
WRITERS = {"Outgoing", "Alarms"}
CONSTANTS = {name: value for name, value in vars(topics).items() if isinstance(value, Topic)}
each_service = pytest.mark.parametrize("service", NAMES)


def modules(service: str) -> Iterator[tuple[Path, tuple[ast.AST, ...]]]:
    """A service's files, with the nodes of each."""
    for path in sorted((SERVICES / service / "src").rglob("*.py")):
        yield path, nodes_of(path)


def calls(nodes: Iterable[ast.AST], names: set[str]) -> list[ast.Call]:
    """The calls of these functions, by plain name or as attributes."""
    found = [node for node in nodes if isinstance(node, ast.Call)]
    return [c for c in found if getattr(c.func, "id", getattr(c.func, "attr", "")) in names]


def topics_named_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The topics whose constants a file imports."""
    return {
        CONSTANTS[alias.name].name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "ringfence_contracts.topics"
        for alias in node.names
        if alias.name in CONSTANTS
    }


@each_service
def test_a_service_writes_the_topics_of_which_it_is_the_writer_and_no_other(service: str) -> None:
    """A file that builds events or raises alarms names no topic of another writer."""
    written: set[str] = set()
    for _, nodes in modules(service):
        if calls(nodes, WRITERS):
            written |= topics_named_in(nodes)
    assert written == {topic.name for topic in ALL_TOPICS if topic.writer == service}


@each_service
def test_a_service_subscribes_to_exactly_the_topics_that_name_it_as_a_reader(service: str) -> None:
    read: set[str] = set()
    for path, nodes in modules(service):
        for call in calls(nodes, CONSUMERS):
            subscribed = _value(_module(service, path), _argument(call))
            read |= {topic.name for topic in subscribed}
    assert read == {topic.name for topic in ALL_TOPICS if service in topic.readers}


def _module(service: str, path: Path) -> ModuleType:
    parts = path.relative_to(SERVICES / service / "src").with_suffix("").parts
    return importlib.import_module(".".join(parts))


def _argument(call: ast.Call) -> ast.expr:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "topics"]
    return (named or call.args[1:2])[0]


def _value(module: ModuleType, expression: ast.expr) -> tuple[Any, ...]:
    """What an expression of names and tuples stands for in its module."""
    if isinstance(expression, ast.Tuple | ast.List):
        return tuple(getattr(module, ast.unparse(name)) for name in expression.elts)
    return tuple(getattr(module, ast.unparse(expression)))


@each_service
def test_a_service_uses_its_own_name_for_group_consumer_and_source(
    service: str,
) -> None:
    """The group is where the offsets are; the consumer's name is in its dead letters' topics."""
    for path, nodes in modules(service):
        for call in calls(
            nodes, {*CONSUMERS, "RecordProcessor", "Publisher", "open_publisher", "Outgoing"}
        ):
            for keyword in call.keywords:
                if keyword.arg in ("group", "consumer", "source"):
                    named = str(_text(_module(service, path), keyword.value))
                    # Reading that must not delay the rest has its own group: notifier-channels.
                    is_beside = keyword.arg == "group" and named.startswith(f"{service}-")
                    assert named == service or is_beside, (
                        f"{path.name}:{call.lineno}: {keyword.arg}={named}"
                    )


def _text(module: ModuleType, expression: ast.expr) -> object:
    if isinstance(expression, ast.Constant):
        return expression.value
    return getattr(module, ast.unparse(expression))


@each_service
def test_topics_are_named_by_their_constants(service: str) -> None:
    """A name in a text is not found by a search for the constant."""
    typed = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path, nodes in modules(service)
        for node in nodes
        if isinstance(node, ast.Constant) and node.value in BY_NAME
    ]
    assert typed == []


def test_every_writer_and_reader_is_a_service() -> None:
    named = {topic.writer for topic in ALL_TOPICS}
    named |= {reader for topic in ALL_TOPICS for reader in topic.readers}
    assert named == set(NAMES) - {"console"}  # it only shows
