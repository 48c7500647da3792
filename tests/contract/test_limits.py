"""Contracts allow only what every consumer can hold: records at each limit of each contract.

Each field of each contract, also of the objects within it, is set to its smallest and largest
value in turn. Every consumer of the topic processes the record, or rejects it with its reason.
"""

import json
import types
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Le, MaxLen
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from ringfence_contracts.events.model import EARLIEST_YEAR, LATEST_YEAR
from ringfence_contracts.examples import examples_of
from ringfence_contracts.records import Received, Rejected
from ringfence_contracts.topics import Topic
from tests.contract.test_consumers import consumer, each_pair, what_must_stand, with_value

Path = tuple[str | int, ...]

ALLOWED_INSTANTS = (
    f"{EARLIEST_YEAR}-01-01T00:00:00+14:00",
    f"{LATEST_YEAR}-12-31T23:59:59.999999-12:00",
    "2026-11-21T12:00:00.123456+05:45",
)
REFUSED_INSTANTS = (
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
)


def limits_of(annotation: Any, metadata: list[Any]) -> list[Any]:
    """Values at the limits of a field's type, all of which its contract allows."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return limits_of(inner, [*metadata, *more])
    if get_origin(annotation) in (Union, types.UnionType):
        return [v for part in get_args(annotation) for v in limits_of(part, metadata)]
    flat = [bound for item in metadata for bound in getattr(item, "metadata", [item])]
    if annotation is int:
        return [b.ge if isinstance(b, Ge) else b.le for b in flat if isinstance(b, Ge | Le)]
    if annotation is str:
        most = next((b.max_length for b in flat if isinstance(b, MaxLen)), 0)
        has_pattern = any(getattr(b, "pattern", None) for b in flat)
        return (
            ["a" * most] if has_pattern and most else [] if has_pattern else ["", "\u20ac" * most]
        )
    if annotation is AwareDatetime or annotation is datetime:
        return list(ALLOWED_INSTANTS)
    if annotation is types.NoneType:
        return [None]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is bool:
        return [True, False]
    if annotation is UUID:
        return ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    return []


def fields_of(model: type[BaseModel], at: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Every field of a model and of the models within it, with its place in a document."""
    for name, field in model.model_fields.items():
        yield (*at, name), field
        for inner in models_in(field.annotation):
            in_list = get_origin(field.annotation) is tuple or "tuple" in str(field.annotation)
            yield from fields_of(inner, (*at, name, *([0] if in_list else [])))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models of a field's type, in unions and lists too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any] | None:
    """The document with another value at a place; None if it does not have the place."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    target: Any = copy
    for part in path[:-1]:
        has = part in target if isinstance(target, dict) else len(target) > int(part)
        if not has or target[part] is None:
            return None
        target = target[part]
    target[path[-1]] = value
    return copy


def records_at_limits(topic: Topic) -> list[tuple[str, Received]]:
    """A record for each limit of each field, made from the examples."""
    found = []
    for path, field in fields_of(topic.data):
        for value in limits_of(field.annotation, field.metadata):
            for example in examples_of(topic):
                document = changed(example.document, path, value)
                if document is not None:
                    what = f"{'.'.join(map(str, path))} = {str(value)[:40]!r}"
                    found.append((what, with_value(example, json.dumps(document).encode())))
                    break
    return found


@each_pair
async def test_a_record_at_each_limit_is_processed_or_rejected_with_its_reason(
    topic: Topic, reader: str, database: str
) -> None:
    await what_must_stand(database)
    at_limits = records_at_limits(topic)
    rejected: list[tuple[str, str]] = []
    async with consumer(reader, database) as handle:
        for offset, (what, received) in enumerate(at_limits):
            valid = topic.data.model_validate_json(received.value)
            assert valid is not None, what
            try:
                outcome = await handle([received._replace(offset=offset)])
            except Exception as error:
                raise AssertionError(f"{reader} cannot hold {topic.name}: {what}") from error
            rejected += [(what, dead.reason) for dead in outcome.reject]
    print(f"{reader} {topic.name}: {len(at_limits)} records, {len(rejected)} rejected: {rejected}")
    assert all(reason for _, reason in rejected)


@each_pair
async def test_an_instant_that_cannot_be_held_is_rejected(
    topic: Topic, reader: str, database: str
) -> None:
    await what_must_stand(database)
    example = examples_of(topic)[0]
    async with consumer(reader, database) as handle:
        for path, field in fields_of(topic.data):
            if "datetime" not in str(field.annotation).lower():
                continue
            for instant in REFUSED_INSTANTS:
                document = changed(example.document, path, instant)
                if document is None:
                    continue
                bad = with_value(example, json.dumps(document).encode())
                outcome = await handle([bad])
                assert [dead.received for dead in outcome.reject] == [bad], (path, instant)
                assert _names_the_field(outcome.reject[0], path)


def _names_the_field(dead: Rejected, path: Path) -> bool:
    return str(path[-1]) in dead.reason


def test_limits_are_found() -> None:
    """Otherwise the tests above would pass without testing anything."""
    from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_LOW

    found = [what for what, _ in records_at_limits(BALANCE_LOW)]
    assert f"crossing = {str(2**53 - 1)!r}" in found
    assert f"occurred_at = {ALLOWED_INSTANTS[0]!r}" in found
    assert any(what.startswith("services.0.package.free_minutes") for what, _ in
               records_at_limits(ACCOUNT_CHANGED))  # fmt: skip
