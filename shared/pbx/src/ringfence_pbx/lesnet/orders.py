"""Templates of the calls to Les.net's API that suspend and resume a peer.

Only the API's envelope is public, not the call that disables a peer. So the servers file contains
path and payload, with the placeholders `{peer}` and `{did}`, and how to read the state back.
"""

import re
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
)

from ringfence_contracts.errors import RingfenceError

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ENVELOPE = frozenset({"authentication", "sequence"})

Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.{}-]+(/[A-Za-z0-9_.{}-]+)*$", max_length=200)]
"""A path below the API's base URL, without slashes at its ends."""

Value = StrictBool | StrictInt | StrictStr
"""A value of the state; `true`, `1` and `"1"` are three different values."""


class PointerNotFound(RingfenceError):
    """An answer has no value at a JSON pointer."""


class OrderTemplate(BaseModel):
    """A call. `path` and `payload` may contain `{peer}` and `{did}`, the payload at any depth."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: Path
    payload: dict[str, Any] = {}

    @field_validator("path", "payload")
    @classmethod
    def _known_placeholders(cls, template: Any) -> Any:
        unknown = sorted(_placeholders(template) - {"peer", "did"})
        if unknown:
            raise ValueError(f"only {{peer}} and {{did}} can be filled in, not {unknown}")
        if isinstance(template, dict) and template.keys() & _ENVELOPE:
            raise ValueError("authentication and sequence are added to every call")
        return template

    @property
    def per_did(self) -> bool:
        """Whether the call is for one DID, so that it is made once for each DID."""
        return "did" in _placeholders(self.path) | _placeholders(self.payload)

    def fill(self, *, peer: str, did: str) -> tuple[str, dict[str, Any]]:
        """Path and payload for one peer and DID."""
        given = {"peer": peer, "did": did}
        path = _fill(self.path, {name: quote(text, safe="") for name, text in given.items()})
        return path, _fill(self.payload, given)


class ReadBack(OrderTemplate):
    """The call that reads the state: the value at `pointer` (RFC 6901) of its answer."""

    pointer: Annotated[str, Field(pattern=r"^(/[^/]*)+$", max_length=200)]
    suspended: Annotated[tuple[Value, ...], Field(min_length=1)]
    active: Annotated[tuple[Value, ...], Field(min_length=1)]

    @field_validator("active")
    @classmethod
    def _has_no_common_value(cls, active: tuple[Value, ...], info: Any) -> tuple[Value, ...]:
        if any(_among(value, info.data.get("suspended", ())) for value in active):
            raise ValueError("suspended and active must have no value in common")
        return active

    def state(self, answer: object) -> str | None:
        """`suspended`, `active`, or None for another value. Raises PointerNotFound."""
        value = at_pointer(answer, self.pointer)
        if _among(value, self.suspended):
            return "suspended"
        return "active" if _among(value, self.active) else None


def at_pointer(answer: object, pointer: str) -> object:
    """The value at a JSON pointer (RFC 6901). Raises PointerNotFound."""
    found: Any = answer
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise PointerNotFound(pointer)
    return found


def _among(value: object, known: tuple[Value, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in known)


def _placeholders(template: object) -> set[str]:
    if isinstance(template, str):
        return set(_PLACEHOLDER.findall(template))
    if isinstance(template, dict):
        return {name for part in template.values() for name in _placeholders(part)}
    if isinstance(template, list):
        return {name for part in template for name in _placeholders(part)}
    return set()


def _fill(template: Any, given: dict[str, str]) -> Any:
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: given[found[1]], template)
    if isinstance(template, dict):
        return {name: _fill(part, given) for name, part in template.items()}
    if isinstance(template, list):
        return [_fill(part, given) for part in template]
    return template
