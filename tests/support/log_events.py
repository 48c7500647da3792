"""Finds every log event of the product in its sources, without running them.

An event is a call of a level (`info`, `warning`, …) of a logger. Its name and its fields are read
from the call. Where the call takes them from a variable, a parameter or a function that returns a
dict, the values that these can have are read instead.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from tests.support.sources import module_of, nodes_of

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NUMBERED = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
UNKNOWN_FIELDS = "…"
"""Further fields whose names the sources do not show, as those of a model that is dumped."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class NotUnderstood(Exception):
    """A use of a logger whose event cannot be read from the source."""


@dataclass(frozen=True, order=True)
class LogEvent:
    """One event: its name as logged ({} where a value is put in), its levels, its fields."""

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} [{'|'.join(self.levels)}] {' '.join(self.fields)}".rstrip()


class Sources:
    """The modules that are searched, by path."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.modules = {path: module_of(path) for path in paths}

    @cached_property
    def calls(self) -> dict[str, list[tuple[Path, ast.Call]]]:
        """Every call of the sources by the last part of the called name."""
        found: dict[str, list[tuple[Path, ast.Call]]] = {}
        for path in self.modules:
            for node in nodes_of(path):
                if isinstance(node, ast.Call) and (name := _last_name(node.func)):
                    found.setdefault(name, []).append((path, node))
        return found

    @cached_property
    def functions(self) -> dict[str, list[tuple[Path, Function]]]:
        """Every function and method of the sources by its name."""
        found: dict[str, list[tuple[Path, Function]]] = {}
        for path in self.modules:
            for node in nodes_of(path):
                if isinstance(node, Function):
                    found.setdefault(node.name, []).append((path, node))
        return found

    def calls_of(self, name: str, path: Path) -> list[tuple[Path, ast.Call]]:
        """The calls of a function of module `path`; a private one is called in its own module."""
        found = self.calls.get(name, [])
        return [each for each in found if each[0] == path] if name.startswith("_") else found

    def function(self, name: str, path: Path) -> Function | None:
        """The function that is called `name` in module `path`, if the sources have just one."""
        found = self.functions.get(name, [])
        own = [node for where, node in found if where == path] or [node for _, node in found]
        return own[0] if len(own) == 1 else None


def log_events(paths: Iterable[Path]) -> set[LogEvent]:
    """Every event that the modules `paths` log.

    Raises NotUnderstood, naming file and line, for a use of a logger that cannot be read.
    """
    sources = Sources(paths)
    return {event for path in sources.modules for event in _events_of(sources, path)}


def _events_of(sources: Sources, path: Path) -> Iterator[LogEvent]:
    module, nodes = sources.modules[path], nodes_of(path)
    if not (loggers := _loggers(nodes)) and not any(map(_maker, nodes)):
        return
    parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
    for node in nodes:
        if _is_structlog_logger(node, loggers):
            use = parents[node]
            if isinstance(use, ast.Assign) and use.value is node and use in module.body:
                continue  # log = structlog.get_logger()
            if not isinstance(use, ast.Attribute):
                raise NotUnderstood(
                    f"{path}:{getattr(node, 'lineno', 0)}: the logger itself is handed on"
                )
            yield from _Use(sources, path, parents, use).events()
        elif _is_standard_logger(node, loggers) and node in parents:
            use = parents[node]
            if isinstance(use, ast.Attribute) and use.attr in {*LEVELS, "log"}:
                yield from _Use(sources, path, parents, use).events()


def _loggers(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """The names of loggers in a module, each with the function that makes it."""
    made = {
        target.id: maker
        for node in nodes
        if isinstance(node, ast.Assign) and (maker := _maker(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names = {each.asname or each.name for each in node.names}
            made.update(dict.fromkeys(names & {"log", "logger"}, "get_logger"))
    return {"logging": "getLogger", **made} if _imports(nodes, "logging") else made


def _imports(nodes: Sequence[ast.AST], name: str) -> bool:
    return any(
        each.name == name for node in nodes if isinstance(node, ast.Import) for each in node.names
    )


def _maker(node: ast.AST) -> str:
    """`get_logger` or `getLogger`, if the node is a call of it."""
    name = _last_name(node.func) if isinstance(node, ast.Call) else ""
    return name if name in {"get_logger", "getLogger"} else ""


def _is_structlog_logger(node: ast.AST, loggers: dict[str, str]) -> bool:
    return _is_logger(node, loggers, "get_logger")


def _is_standard_logger(node: ast.AST, loggers: dict[str, str]) -> bool:
    return _is_logger(node, loggers, "getLogger")


def _is_logger(node: ast.AST, loggers: dict[str, str], maker: str) -> bool:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return loggers.get(node.id) == maker
    return _maker(node) == maker


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class _Use:
    """One place where a method of a logger is named: `log.info`."""

    def __init__(
        self, sources: Sources, path: Path, parents: dict[ast.AST, ast.AST], method: ast.Attribute
    ) -> None:
        self._sources, self._path, self._parents, self._method = sources, path, parents, method
        self._function = self._around(method)

    def events(self) -> Iterator[LogEvent]:
        """The events of each call of the method."""
        if self._method.attr not in {*LEVELS, "log"}:
            raise self._failure(self._method, f"no level: {self._method.attr}")
        for call, levels in self._calls():
            arguments = call.args
            if self._method.attr == "log":
                levels, arguments = self._numbered(call), call.args[1:]
            if not arguments:
                raise self._failure(call, "an event without a name")
            fields = tuple(sorted(self._fields(call.keywords, self._function, self._path)))
            for name in self._texts(arguments[0], self._function, self._path):
                yield LogEvent(name, levels, fields)

    def _calls(self) -> Iterator[tuple[ast.Call, tuple[str, ...]]]:
        """The calls of the method, directly or by a variable of the function, and their levels."""
        use = self._parents[self._method]
        if isinstance(use, ast.Call) and use.func is self._method:
            yield use, (self._method.attr,)
            return
        while isinstance(use, ast.IfExp):
            use = self._parents[use]
        is_variable = isinstance(use, ast.Assign) and isinstance(use.targets[0], ast.Name)
        if self._function is None or not is_variable or self._method.attr == "log":
            raise self._failure(self._method, "neither called nor put in a variable")
        assert isinstance(use, ast.Assign)
        levels = sorted(n.attr for n in ast.walk(use.value) if isinstance(n, ast.Attribute))
        name = _last_name(use.targets[0])
        for node in ast.walk(self._function):
            if isinstance(node, ast.Call) and _last_name(node.func) == name:
                yield node, tuple(level for level in levels if level in LEVELS)

    def _numbered(self, call: ast.Call) -> tuple[str, ...]:
        numbers = [n.value for n in ast.walk(call.args[0]) if isinstance(n, ast.Constant)]
        known = [number for number in numbers if isinstance(number, int) and number in NUMBERED]
        if not known:
            raise self._failure(call, "a level that is no number")
        return tuple(NUMBERED[number] for number in sorted(known))

    def _texts(self, node: ast.AST, function: Function | None, path: Path) -> set[str]:
        """The texts that an expression can be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {node.value}
        if isinstance(node, ast.JoinedStr):
            parts = [self._part(each, function, path) for each in node.values]
            return {"".join(words) for words in product(*parts)}
        if isinstance(node, ast.IfExp):
            branches = (node.body, node.orelse)
            return {text for each in branches for text in self._texts(each, function, path)}
        if isinstance(node, ast.Name) and function is not None:
            if assigned := _assigned(function, node.id):
                return {text for each in assigned for text in self._texts(each, function, path)}
            if node.id in (names := [argument.arg for argument in _positional(function)]):
                return self._texts_of_parameter(function, path, names.index(node.id))
        raise self._failure(node, f"the event's name is not literal: {ast.unparse(node)}")

    def _part(self, node: ast.expr, function: Function | None, path: Path) -> set[str]:
        """The texts that a part of an f-string can be; {} if the sources do not show them."""
        if isinstance(node, ast.Constant):
            return {str(node.value)}
        try:
            assert isinstance(node, ast.FormattedValue)
            return self._texts(node.value, function, path)
        except NotUnderstood:
            return {"{}"}

    def _texts_of_parameter(self, function: Function, path: Path, index: int) -> set[str]:
        name = _positional(function)[index].arg
        found: set[str] = set()
        for where, call in self._sources.calls_of(function.name, path):
            named = [keyword.value for keyword in call.keywords if keyword.arg == name]
            given = [*call.args[index : index + 1], *named]
            if not given:
                raise self._failure(call, f"{function.name} is called without {name}")
            found |= self._texts(given[0], None, where)
        if not found:
            raise self._failure(function, f"nothing calls {function.name}, which logs {name}")
        return found

    def _fields(
        self, keywords: list[ast.keyword], function: Function | None, path: Path
    ) -> set[str]:
        found = {keyword.arg for keyword in keywords if keyword.arg is not None}
        for keyword in keywords:
            if keyword.arg is None:
                found |= self._names_in(keyword.value, function, path)
        return found

    def _names_in(self, node: ast.AST, function: Function | None, path: Path) -> set[str]:
        """The names that a dict of further fields can have."""
        if isinstance(node, ast.Dict):
            keys = (each.value for each in node.keys if isinstance(each, ast.Constant))
            return {str(key) for key in keys}
        if isinstance(node, ast.IfExp):
            branches = (node.body, node.orelse)
            return {name for each in branches for name in self._names_in(each, function, path)}
        if isinstance(node, ast.Call):
            returned = self._returned(_last_name(node.func), path)
            return {name for each in returned for name in self._names_in(each, None, path)} or {
                UNKNOWN_FIELDS
            }
        if isinstance(node, ast.Name) and function is not None:
            kwarg = function.args.kwarg
            if kwarg is not None and kwarg.arg == node.id:
                return self._names_given(function, path)
            if assigned := _assigned(function, node.id):
                return {name for each in assigned for name in self._names_in(each, None, path)}
        return {UNKNOWN_FIELDS}

    def _returned(self, name: str, path: Path) -> list[ast.expr]:
        function = self._sources.function(name, path)
        nodes = ast.walk(function) if function is not None else ()
        return [node.value for node in nodes if isinstance(node, ast.Return) and node.value]

    def _names_given(self, function: Function, path: Path) -> set[str]:
        """The names of the further keywords with which a function is called."""
        arguments = [*function.args.args, *function.args.kwonlyargs]
        own = {argument.arg for argument in arguments}
        found: set[str] = set()
        for where, call in self._sources.calls_of(function.name, path):
            for keyword in call.keywords:
                if keyword.arg is None:
                    found |= self._names_in(keyword.value, self._calling(call, where), where)
                else:
                    found |= {keyword.arg} - own
        return found

    def _calling(self, call: ast.Call, path: Path) -> Function | None:
        for node in nodes_of(path):
            if isinstance(node, Function) and any(each is call for each in ast.walk(node)):
                return node
        return None

    def _around(self, node: ast.AST) -> Function | None:
        while node in self._parents:
            node = self._parents[node]
            if isinstance(node, Function):
                return node
        return None

    def _failure(self, node: ast.AST, reason: str) -> NotUnderstood:
        return NotUnderstood(f"{self._path}:{getattr(node, 'lineno', 0)}: {reason}")


def _positional(function: Function) -> list[ast.arg]:
    """The parameters that a caller gives by position."""
    arguments = function.args.args
    return arguments[1:] if arguments and arguments[0].arg in {"self", "cls"} else arguments


def _assigned(function: Function, name: str) -> list[ast.expr]:
    """The values that a function assigns to a variable."""
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == name
    ]
