"""Decodes records of one model several times faster than the model itself does.

The model remains the contract. The decoder accepts only plainly written records (no NUL, no number
as text, no instant as a number), and gives them the same fields that the model would. Every other
record is passed to the model, which accepts it or raises the error.
"""

from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, Union, cast, get_args, get_origin
from uuid import UUID

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, AwareDatetime
from pydantic.fields import FieldInfo

from ringfence_contracts.events.model import EARLIEST_YEAR, LATEST_YEAR, no_nul
from ringfence_contracts.records import D, Received, parse

_NUL = b"\\u0000"


class FastDecoder(Generic[D]):
    """Decodes records of `model`, whose fields are texts, integers, ids, instants and literals.

    The constructor raises TypeError for a model with any other field.
    """

    def __init__(self, model: type[D]) -> None:
        if model.__pydantic_decorators__.model_validators:
            raise TypeError(f"{model.__name__} has a validator of its own")
        self._model = model
        self._instants = tuple(
            name for name, field in model.model_fields.items() if _is_instant(field)
        )
        fields = [_field(name, field) for name, field in model.model_fields.items()]
        struct = msgspec.defstruct(f"Quick{model.__name__}", fields, kw_only=True, frozen=True)
        self._decode = msgspec.json.Decoder(struct).decode

    def parse(self, received: Received) -> D:
        """The record's payload. Raises Reject as `parse` does.

        The result has the fields of the model, but may be no instance of it and has no methods.
        Its instants are in UTC.
        """
        value = received.value
        if _NUL not in value:
            try:
                # Decoded to text first: msgspec does not check the UTF-8 of fields that it skips.
                decoded = self._decode(value.decode())
                if self._has_instants_in_range(decoded):
                    return cast(D, decoded)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                # msgspec raises RecursionError where the model refuses the nesting as invalid.
                return parse(self._model, received)
        return parse(self._model, received)

    def _has_instants_in_range(self, decoded: Any) -> bool:
        for name in self._instants:
            instant = getattr(decoded, name)
            if instant is not None and not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
                return False
        return True


def _field(name: str, field: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = _kind(field.annotation, field.metadata)
    return (name, kind) if field.is_required() else (name, kind, field.default)


def _is_instant(field: FieldInfo) -> bool:
    parts = get_args(field.annotation)
    is_instant = field.annotation is AwareDatetime or AwareDatetime in parts
    return is_instant or any(AwareDatetime in get_args(part) for part in parts)


def _kind(annotation: Any, metadata: list[Any]) -> Any:
    """The msgspec type that accepts what pydantic's accepts, and nothing else."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, [*metadata, *more])
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(_kind(one, metadata) for one in get_args(annotation))]  # noqa: UP007
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if annotation in (UUID, NoneType) or get_origin(annotation) is Literal:
        return annotation
    if annotation in (str, int):
        return Annotated[annotation, msgspec.Meta(**_bounds(metadata))]
    raise TypeError(f"{annotation} cannot be decoded fast")


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    """Pydantic's bounds as arguments of msgspec.Meta."""
    found: dict[str, Any] = {}
    for item in metadata:
        for bound in getattr(item, "metadata", [item]):  # a FieldInfo holds several
            found |= _bound(bound)
    return found


def _bound(bound: Any) -> dict[str, Any]:
    if isinstance(bound, MaxLen):
        return {"max_length": bound.max_length}
    if isinstance(bound, MinLen):
        return {"min_length": bound.min_length}
    if isinstance(bound, Ge):
        return {"ge": bound.ge}
    if isinstance(bound, Le):
        return {"le": bound.le}
    if pattern := getattr(bound, "pattern", None):
        return {
            "pattern": pattern.replace("$", r"\Z")
        }  # Python's `$` also matches before a final \n
    if isinstance(bound, AfterValidator) and bound.func is no_nul:
        return {}  # `parse` passes such a record to the model
    raise TypeError(f"{bound} cannot be decoded fast")
