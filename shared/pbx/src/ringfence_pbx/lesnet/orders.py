"""The calls of Les.net's API by which a peer is switched: templates from configuration.

Only the API's envelope is public, not the call that disables a peer. So path and payload stand in
the servers file, with `{peer}` and `{did}` where those belong, and so does what the answer to the
read-back looks like.
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

_PLACE = re.compile(r"\{([^{}]*)\}")
_ENVELOPE = frozenset({"authentication", "sequence"})

Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.{}-]+(/[A-Za-z0-9_.{}-]+)*$", max_length=200)]
"""A path below the API's base URL, without slashes at its ends."""

Value = StrictBool | StrictInt | StrictStr
"""What the read-back may show; `true`, `1` and `"1"` are three different values."""


class NotThere(RingfenceError):
    """A JSON pointer leads nowhere in an answer."""


class OrderTemplate(BaseModel):
    """A call: `path` and `payload` may hold `{peer}` and `{did}`, the payload at any depth."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: Path
    payload: dict[str, Any] = {}

    @field_validator("path", "payload")
    @classmethod
    def _known_places(cls, template: Any) -> Any:
        unknown = sorted(_places(template) - {"peer", "did"})
        if unknown:
            raise ValueError(f"only {{peer}} and {{did}} can be filled in, not {unknown}")
        if isinstance(template, dict) and template.keys() & _ENVELOPE:
            raise ValueError("authentication and sequence are added to every call")
        return template

    @property
    def per_did(self) -> bool:
        """Whether the call concerns one DID, and so is made for each of them."""
        return "did" in _places(self.path) | _places(self.payload)

    def fill(self, *, peer: str, did: str) -> tuple[str, dict[str, Any]]:
        """Path and payload for one peer and DID."""
        given = {"peer": peer, "did": did}
        path = _fill(self.path, {name: quote(text, safe="") for name, text in given.items()})
        return path, _fill(self.payload, given)


class ReadBack(OrderTemplate):
    """The call whose answer shows the state: the value at `pointer` (RFC 6901) is one of those."""

    pointer: Annotated[str, Field(pattern=r"^(/[^/]*)+$", max_length=200)]
    suspended: Annotated[tuple[Value, ...], Field(min_length=1)]
    active: Annotated[tuple[Value, ...], Field(min_length=1)]

    @field_validator("active")
    @classmethod
    def _tells_apart(cls, active: tuple[Value, ...], info: Any) -> tuple[Value, ...]:
        if any(_among(value, info.data.get("suspended", ())) for value in active):
            raise ValueError("suspended and active must have no value in common")
        return active

    def state(self, answer: object) -> str | None:
        """`suspended`, `active`, or None for another value. Raises NotThere."""
        value = at_pointer(answer, self.pointer)
        if _among(value, self.suspended):
            return "suspended"
        return "active" if _among(value, self.active) else None


def at_pointer(answer: object, pointer: str) -> object:
    """The value at a JSON pointer (RFC 6901). Raises NotThere."""
    found: Any = answer
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise NotThere(pointer)
    return found


def _among(value: object, known: tuple[Value, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in known)


def _places(template: object) -> set[str]:
    if isinstance(template, str):
        return set(_PLACE.findall(template))
    if isinstance(template, dict):
        return {place for part in template.values() for place in _places(part)}
    if isinstance(template, list):
        return {place for part in template for place in _places(part)}
    return set()


def _fill(template: Any, given: dict[str, str]) -> Any:
    if isinstance(template, str):
        return _PLACE.sub(lambda found: given[found[1]], template)
    if isinstance(template, dict):
        return {name: _fill(part, given) for name, part in template.items()}
    if isinstance(template, list):
        return [_fill(part, given) for part in template]
    return template
