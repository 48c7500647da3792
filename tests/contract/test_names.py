"""Names of the product: each public type name has one meaning, and replaced names do not return."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

from tests.support.sources import ROOT, SOURCES, module_of, nodes_of

pytestmark = pytest.mark.whole_tree

ONE_FOR_EACH_SERVICE = {"Settings"}
STILL_TWICE: set[str] = {
    "BalanceWatch",
    "Fields",
    "InventoryItem",
    "Kind",
    "Link",
    "Profile",
    "Row",
    "Server",
    "Servers",
    "SwitchStatus",
    "Version",
}
"""Type names that two modules still define. This list only gets shorter."""
REPLACED = {
    "announce": "publish, or events",
    "Books": "ReferenceData",
    "bury": "record_dead_call",
    "dead_call": "record_dead_call",
    "Deed": "AuditEntry",
    "Door": "ListenAddress",
    "Fate": "DeliveryOutcome",
    "forget": "delete_services",
    "Found": "PrefixMatch",
    "Gate": "BearerAuth",
    "keep": "save_…",
    "keep_for_long": "freeze_live_objects",
    "Lane": "Feed",
    "Lanes": "PartitionBatches",
    "learn": "apply_event",
    "leash": "parent_death_signal",
    "Line": "BatchPipeline",
    "meet": "upsert_service",
    "NoTerms": "Misconfigured",
    "Pace": "PollInterval",
    "Persistence": "RetryPolicy",
    "quick": "fast_decoder",
    "QuickReader": "FastDecoder",
    "Reach": "LookbackSettings",
    "Ready": "PricedCall",
    "relax_collector": "raise_thresholds",
    "Rooms": "Dependencies",
    "said": "message",
    "settle": "process_batch, or price_call",
    "Settling": "BatchTransaction",
    "Shell": "RecordProcessor",
    "spared": "excluded",
    "Standing": "AccountBalance",
    "Switch": "PbxDriver",
    "tell": "publish",
    "Terms": "PriceTerms",
    "told": "payload, or published",
    "UNWELL": "TRANSIENT_ERRORS",
    "verdict": "outcome",
    "Verdict": "RatingOutcome",
    "want": "set_desired_state",
    "WrittenLate": "LazyEvents",
}
"""Names of former versions, each with the name to use."""


def types_of(module: ast.Module) -> Iterator[str]:
    """The public classes and type aliases at the top of a module; no type variables."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def names_of(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and name of everything that these nodes define, without leading underscores."""
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        else:
            continue
        yield node.lineno, name.lstrip("_")


def test_a_public_type_name_has_one_meaning() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for name in types_of(module_of(path)):
            defined[name].append(str(path.relative_to(ROOT)))
    twice = {
        name: paths
        for name, paths in defined.items()
        if len(paths) > 1 and name not in ONE_FOR_EACH_SERVICE
    }
    assert {name: paths for name, paths in twice.items() if name not in STILL_TWICE} == {}
    assert STILL_TWICE - twice.keys() == set(), "delete these from STILL_TWICE"


def test_a_replaced_name_does_not_return() -> None:
    found = [
        f"{path}:{line}: {name}: use {REPLACED[name]}"
        for path in SOURCES
        for line, name in names_of(nodes_of(path))
        if name in REPLACED
    ]
    modules = [f"{path}: use {REPLACED[path.stem]}" for path in SOURCES if path.stem in REPLACED]
    assert found + modules == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class Shell: pass", ["Shell"]),
        ("def f(told): pass", ["f", "told"]),
        ("async def _tell(): pass", ["tell"]),
        ("for said in x: self.want = said", ["said", "want"]),
    ],
)
def test_every_kind_of_definition_is_read(text: str, names: list[str]) -> None:
    assert [name for _, name in names_of(ast.walk(ast.parse(text)))] == names


def test_a_type_variable_and_a_constant_are_no_types() -> None:
    text = 'T = TypeVar("T")\nLIMIT = 3\nKind = str | int\nclass Item: pass\n_X: TypeAlias = int'
    assert list(types_of(ast.parse(text))) == ["Kind", "Item"]
