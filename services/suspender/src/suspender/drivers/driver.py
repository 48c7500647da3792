"""The operations of every PBX driver: read elements, switch them and read them back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from ringfence_contracts.errors import Retry, RingfenceError
from ringfence_contracts.events.account import Service
from suspender.rules.elements import Element


class OperatorMustAct(RingfenceError):
    """A person has to act first (a right, a key, a product); the message says how."""


Failure = OperatorMustAct | Retry
"""Why one element could not be switched: the server itself answered."""


class SwitchTarget(NamedTuple):
    """An element, and a product that names or named it, for messages and request parameters."""

    element: Element
    product: Service


@dataclass(frozen=True)
class ElementReading:
    """The state of an element on the server.

    `missing`: the server does not have it. `unknown`: the server does not show the state; a driver
    that can never read it sends its request anyway, and answers `proven=False`. `value` is what is
    stored, where there is no flag. `name` is the element's name for people.
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
    """An element to switch off or on, with its present reading and the `value` to restore.

    A change is requested even if the reading shows that state already: a process that was killed
    may have stored the flag without making it take effect.
    """

    target: SwitchTarget
    off: bool
    reading: ElementReading
    value: str = ""


class SwitchDone(NamedTuple):
    """The server was read back and shows the state; `evidence` says so in words.

    `proven` is false where the server accepted the request and cannot be read back.
    """

    evidence: str
    proven: bool = True


class HungUp(NamedTuple):
    """Live calls that were ended, as `extension -> number`, and emergency calls that were not."""

    ended: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerItem:
    """Something that a server has. `uuid` is its id there, `label` a description for people.

    `enabled` is the stored flag (None: not shown). `leads_to` is the extension that a DID rings, if
    it is known.
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
    """All that could be read of a server; `gaps` says what could not be read, and why.

    `tests_toll_allow`: whether all outbound routes check an extension's right to call out, so that
    products can be suspended by `outbound` (None: not known).
    """

    items: tuple[ServerItem, ...] = ()
    gaps: tuple[str, ...] = ()
    tests_toll_allow: bool | None = None


class PbxDriver(Protocol):
    """One server.

    `read` and `switch` take many elements and answer for each: an element that cannot be switched
    is its own failure and delays no other. `switch` is idempotent. Several tasks may call it at the
    same time, but no two for the same element.

    Every method raises Retry when the server does not answer or is in trouble, OperatorMustAct when
    it refuses us altogether.
    """

    at_once: int
    """The most elements that one call of `switch` should contain."""

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> Mapping[Element, ElementReading | Failure]:
        """The stored state of each element. Changes nothing."""
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
        """End the live calls of these extensions, except those to or from emergency numbers."""
        ...

    async def live(self, targets: Collection[SwitchTarget]) -> frozenset[Element]:
        """Those of the elements, all recorded as off, that are on. For drift."""
        ...

    async def inventory(self) -> Inventory:
        """All that the server has. Changes nothing."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
