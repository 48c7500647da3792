"""Texts shared by the FusionPBX driver: evidence, and failures of one element."""

from collections.abc import Sequence
from typing import TypeVar

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from suspender.drivers.driver import OperatorMustAct, SwitchDone, SwitchTarget

T = TypeVar("T")


def state_of(off: bool) -> str:
    """The name of a flag's state."""
    return "disabled" if off else "enabled"


def done(clock: Clock, what: str, off: bool, proof: str) -> SwitchDone:
    """The result for an element that was read back, with the proof in the evidence."""
    return SwitchDone(f"{what} {state_of(off)}, {proof}, read back {clock.now():%H:%M:%SZ}")


def not_done(server: str, what: str, off: bool, why: str = "") -> Retry:
    """The flag does not have the requested state, although the PBX reported success."""
    because = f" ({why})" if why else ""
    return Retry(
        f"{server}: {what} not {state_of(off)} after the toggle{because}; if this stays so, the "
        "key's user may lack the right to switch it"
    )


def not_there(server: str, what: str, target: SwitchTarget) -> OperatorMustAct:
    """The PBX does not have the element, or hides it."""
    return OperatorMustAct(
        f"{server}: found no {what} of service {target.product.service_id} in "
        f"{shown(target.product.tenant)}: correct the product (suspend_by, extensions, "
        "gateway_ids), or the rights of the key's user"
    )


def unreadable(server: str, what: str) -> OperatorMustAct:
    """The page shows the row, but not whether it is enabled."""
    return OperatorMustAct(
        f"{server}: cannot read whether {what} is enabled: the key's user needs the right to "
        "switch it, and English as language"
    )


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in parts of at most `size`."""
    return [items[at : at + size] for at in range(0, len(items), size)]
