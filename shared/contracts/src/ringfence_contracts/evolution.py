"""How a change of a contract affects its readers: not at all, compatibly, or by breaking them.

Records are kept for a month, some for ever, and are replayed: a new model must read every old
record, with the same meaning. Older readers may refuse what a new model can write, so readers are
deployed before writers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ringfence_contracts.schemas import Schema

Compatibility = Literal["wording", "additive", "readers-first", "breaking"]

_WORDS = ("title", "description", "$schema")
_STRUCTURE = ("$defs", "$ref", "anyOf", "properties", "required", "items", "additionalProperties")
_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One difference: the field, the change, and how it affects readers."""

    field: str
    what: str
    kind: Compatibility

    def __str__(self) -> str:
        return f"{self.field or 'record'}: {self.what} ({self.kind})"


def differences(golden: Schema, current: Schema) -> list[Difference]:
    """The differences from the golden schema to the current one, field by field."""
    found = _compare(_Side(golden, golden), _Side(current, current), "")
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Side:
    """A schema and the document that resolves its references."""

    schema: Schema
    document: Schema

    def inner(self, schema: Any) -> "_Side":
        return _Side(schema if isinstance(schema, dict) else {}, self.document).resolved()

    def resolved(self) -> "_Side":
        reference = self.schema.get("$ref")
        if reference is None:
            return self
        return _Side(self.document["$defs"][reference.rsplit("/", 1)[-1]], self.document).resolved()

    def alternatives(self) -> "dict[str, _Side]":
        """The schema of each type that a value may have; mostly one type, or one and null."""
        inner = [self.inner(each) for each in self.schema.get("anyOf", [self.schema])]
        return {str(side.schema.get("type", "any")): side for side in inner}


def _compare(old: _Side, new: _Side, field: str) -> Iterator[Difference]:
    if ("anyOf" in old.schema) == ("anyOf" in new.schema):
        yield from _compare_words(old.schema, new.schema, field)
    if (before := old.schema.get("default", _ABSENT)) != (
        after := new.schema.get("default", _ABSENT)
    ):
        yield Difference(field, f"default {_shown(before)} -> {_shown(after)}", "breaking")
    was, now = old.alternatives(), new.alternatives()
    for kind in was.keys() - now.keys():
        yield Difference(field, f"may no longer be {kind}", "breaking")
    for kind in now.keys() - was.keys():
        yield Difference(field, f"may now be {kind} too", "readers-first")
    for kind in was.keys() & now.keys():
        yield from _compare_one(was[kind], now[kind], field)


def _compare_words(old: Schema, new: Schema, field: str) -> Iterator[Difference]:
    for word in _WORDS:
        if old.get(word) != new.get(word):
            yield Difference(field, f"{word} reworded", "wording")


def _compare_one(old: _Side, new: _Side, field: str) -> Iterator[Difference]:
    yield from _compare_words(old.schema, new.schema, field)
    yield from _compare_bounds(old.schema, new.schema, field)
    yield from _compare_enums(old.schema, new.schema, field)
    yield from _compare_others(old.schema, new.schema, field)
    yield from _compare_properties(old, new, field)
    for part in ("items", "additionalProperties"):
        if part in old.schema or part in new.schema:
            inner = old.inner(old.schema.get(part)), new.inner(new.schema.get(part))
            yield from _compare(*inner, f"{field}[]")


def _compare_bounds(old: Schema, new: Schema, field: str) -> Iterator[Difference]:
    for bound in (*_AT_LEAST, *_AT_MOST):
        before, after = old.get(bound), new.get(bound)
        if before == after:
            continue
        if before is None or after is None:
            narrower = before is None
        else:
            narrower = (after > before) == (bound in _AT_LEAST)
        what = f"{bound} {_shown(before)} -> {_shown(after)}"
        yield Difference(field, what, "breaking" if narrower else "readers-first")


def _compare_enums(old: Schema, new: Schema, field: str) -> Iterator[Difference]:
    before, after = _values(old), _values(new)
    if before == after:
        return
    if before is None or after is None:
        what = "any value -> listed values" if before is None else "listed values -> any value"
        yield Difference(field, what, "breaking" if before is None else "readers-first")
        return
    for value in sorted(before - after):
        yield Difference(field, f"value {value!r} removed", "breaking")
    for value in sorted(after - before):
        yield Difference(field, f"value {value!r} added", "readers-first")


def _values(schema: Schema) -> set[Any] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _compare_others(old: Schema, new: Schema, field: str) -> Iterator[Difference]:
    """Patterns, formats, the key and other keywords: any change may narrow, so it is breaking."""
    known = {*_WORDS, *_STRUCTURE, *_AT_LEAST, *_AT_MOST, "default", "enum", "const", "type"}
    for name in _in_order(old, new):
        if name not in known and old.get(name) != new.get(name):
            what = f"{name} {_shown(old.get(name))} -> {_shown(new.get(name))}"
            yield Difference(field, what, "breaking")


def _compare_properties(old: _Side, new: _Side, field: str) -> Iterator[Difference]:
    was, now = old.schema.get("properties", {}), new.schema.get("properties", {})
    needed_before = set(old.schema.get("required", ()))
    needed_now = set(new.schema.get("required", ()))
    for name in _in_order(was, now):
        inner = f"{field}.{name}" if field else name
        if name not in now:
            yield Difference(inner, "removed", "breaking")
        elif name not in was:
            kind: Compatibility = "breaking" if name in needed_now else "additive"
            yield Difference(inner, f"added, {_need(name in needed_now)}", kind)
        else:
            if (name in needed_before) != (name in needed_now):
                kind = "breaking" if name in needed_now else "readers-first"
                yield Difference(inner, f"now {_need(name in needed_now)}", kind)
            yield from _compare(old.inner(was[name]), new.inner(now[name]), inner)


def _need(required: bool) -> str:
    return "required" if required else "optional"


def _shown(value: object) -> str:
    return "none" if value is None or value is _ABSENT else repr(value)


def _in_order(*mappings: Iterable[str]) -> list[str]:
    """The names of all mappings, each once, as they first appear."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
