"""The metrics that the sources define, read without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[4]
KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}
PREFIX = "ringfence_"


class Metric(NamedTuple):
    """A metric. `name` is that of its series (counters: with `_total`); `where` who exports it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    where: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names that a query may use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)

    @property
    def unit(self) -> str:
        """What its values are in, by its name."""
        name = self.name.removesuffix("_total")
        if name.endswith("_timestamp_seconds") or "epoch" in self.meaning:
            return "seconds since 1970"
        if name.endswith("_seconds"):
            return "seconds"
        return "micro-units of the currency" if name.endswith("_micro") else "number"


def metrics(root: Path = ROOT) -> list[Metric]:
    """All metrics of the services and of what they share, by exporter and name.

    Raises ValueError where a name, a meaning or a label is not a constant: it cannot be listed.
    """
    found = [
        metric
        for folder in ("services", "shared")
        for path in sorted((root / folder).glob("**/src/**/*.py"))
        for metric in _of_file(path, root)
    ]
    return sorted(found, key=lambda metric: (metric.where, metric.name))


def _of_file(path: Path, root: Path) -> Iterator[Metric]:
    parts = path.relative_to(root).parts
    where = parts[1] if parts[0] == "services" else "every service"
    text = path.read_text(encoding="utf-8")
    if "prometheus_client" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kind = KINDS.get(node.func.id)
            if kind and node.args and _is_ours(node.args[0]):
                yield _metric(node, kind, where, path)


def _is_ours(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).startswith(PREFIX)


def _metric(node: ast.Call, kind: str, where: str, path: Path) -> Metric:
    try:
        name, meaning, *rest = (ast.literal_eval(argument) for argument in node.args)
    except ValueError as error:
        raise ValueError(f"{path}:{node.lineno}: a metric is defined by constants") from error
    if kind == "counter" and not name.endswith("_total"):
        name += "_total"
    return Metric(name, kind, tuple(rest[0]) if rest else (), meaning, where)
