"""What the driver of every kind of PBX can do: read elements, switch them, say what it saw."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from ringfence_contracts.errors import Retry, RingfenceError
from ringfence_contracts.events.account import Service
from suspender.rules.elements import Element


class OperatorMustAct(RingfenceError):
    """A person has to do something first: a right, a key, a product. The message says what."""


Failure = OperatorMustAct | Retry
"""Why one element could not be switched: the server itself answered."""


class SwitchTarget(NamedTuple):
    """An element, and a product that names it (or did): for words, and for what its calls need."""

    element: Element
    product: Service


@dataclass(frozen=True)
class ElementReading:
    """What a server says of an element now.

    `missing`: the server has no such thing. `unknown`: it does not show the state; a driver that
    never can asks all the same, and answers `proven=False`. `value` is what is stored in place of a
    flag. `name` is how people know the element.
    """

    state: Literal["on", "off", "missing", "unknown"]
    value: str = ""
    name: str = ""


def read_as_on(readings: Mapping[Element, ElementReading | Failure]) -> frozenset[Element]:
    """Those of the elements that were read as on."""
    return frozenset(
        element
        for element, reading in readings.items()
        if isinstance(reading, ElementReading) and reading.state == "on"
    )


class ElementChange(NamedTuple):
    """An element that is to be off or on. `reading` is of this turn; `value` is to be restored.

    A change is asked for also where the reading shows that state already: what makes it take effect
    may have been left undone by a process that was killed half way.
    """

    target: SwitchTarget
    off: bool
    reading: ElementReading
    value: str = ""


class SwitchDone(NamedTuple):
    """The server, read back, shows the state; `evidence` is for people.

    `proven` is false where it took the order and cannot be read back.
    """

    evidence: str
    proven: bool = True


class HungUp(NamedTuple):
    """Live calls that were ended, each as `extension -> number`, and those that were spared."""

    ended: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerItem:
    """Something that a server has. `uuid` is its id there, `label` for people.

    `enabled` is the stored flag; None: not shown. `leads_to` is the extension that a DID rings, if
    that is known.
    """

    kind: Literal["tenant", "extension", "gateway", "did"]
    tenant: str
    name: str
    uuid: str = ""
    label: str = ""
    enabled: bool | None = None
    leads_to: str = ""


@dataclass(frozen=True)
class Inventory:
    """All that could be read of a server; `gaps` says in words what could not, and why.

    `tests_toll_allow`: whether all its outbound routes heed an extension's right to call out, so
    that products can be suspended by `outbound`; None: not known.
    """

    items: tuple[ServerItem, ...] = ()
    gaps: tuple[str, ...] = ()
    tests_toll_allow: bool | None = None


class PbxDriver(Protocol):
    """One server.

    `read` and `switch` take many elements at once and answer for each by itself: an element that
    cannot be switched is its own failure and delays no other. `switch` may be called in any state
    and any number of times, by several tasks at once, but never for the same element by two.

    Errors of every method, raised: Retry when the server does not answer or answers as if in
    trouble, OperatorMustAct when it refuses us altogether.
    """

    at_once: int
    """How many elements one call of `switch` should hold at most."""

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        """What the server has stored of each. Changes nothing."""
        ...

    async def switch(
        self, changes: Sequence[ElementChange]
    ) -> Mapping[Element, SwitchDone | Failure]:
        """Switch each element, make it take effect, and read it back."""
        ...

    async def extensions_of(self, tenant: str) -> frozenset[str]:
        """The numbers of all extensions of a tenant."""
        ...

    async def hang_up(self, product: Service, extensions: Collection[str]) -> HungUp:
        """End the live calls of these extensions, but none with an emergency number on a side."""
        ...

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """Those of the elements, all recorded as off, that are on all the same: for drift."""
        ...

    async def inventory(self) -> Inventory:
        """All that the server has. Changes nothing."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
