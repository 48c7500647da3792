"""Plans a batch of services on one server, and judges its results: pure.

The database gives who claims each element and what is on record (`ElementContext`), the server
gives the readings. From both follow what to record, what to switch and, after switching, which
services are confirmed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence_contracts.errors import shown
from ringfence_contracts.events.account import Service
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
)
from suspender.rules.elements import (
    Element,
    ElementClaim,
    OwnerState,
    ServiceKey,
    SwitchedOffRecord,
    is_to_be_off,
)
from suspender.wording import listed

EXTENSION_WAYS = ("extensions", "outbound")


@dataclass(frozen=True)
class Turn:
    """A service that is to be switched off or on.

    `named`: the elements that it names, with the rest of the tenant listed one by one. `elements`:
    these and those that are on record for it. `adopts`: what is off and not on record counts as
    switched off by an earlier system. `rest_failure`: why the rest could not be listed.
    """

    key: ServiceKey
    off: bool
    product: Service
    named: frozenset[Element] = frozenset()
    elements: frozenset[Element] = frozenset()
    departed: bool = False
    adopts: bool = False
    rest_failure: Failure | None = None


@dataclass
class ElementContext:
    """The records and claims of elements, and the states of the services that own the records."""

    records: dict[Element, SwitchedOffRecord] = field(default_factory=dict)
    claims: dict[Element, list[ElementClaim]] = field(default_factory=dict)
    owners: dict[ServiceKey, OwnerState] = field(default_factory=dict)

    def is_to_be_off(self, element: Element) -> bool:
        """Whether an element is to be off (`elements.is_to_be_off`)."""
        claims, record = self.claims.get(element, ()), self.records.get(element)
        return is_to_be_off(element, claims, record, self.owners)

    def owner_of(self, element: Element) -> ServiceKey | None:
        """The service to own the record of an element that is to be off.

        If services name the element, it is one of them.
        """
        record = self.records.get(element)
        claimants = sorted(claim.service for claim in self.claims.get(element, ()))
        if record and (not claimants or record.owner in claimants):
            return record.owner
        return claimants[0] if claimants else None


class RecordWrite(NamedTuple):
    """A row to be written before the first toggle. `is_new` false: an existing row changes."""

    element: Element
    owner: ServiceKey
    was_on: bool
    value: str
    adopted: bool
    is_new: bool


@dataclass
class SwitchPlan:
    """What to record and then to switch.

    `off`: for every element, whether it is to be off. `dropped`: records to delete, as the element
    was off before and is to be on. `missing`: elements that the server does not have. `problems`:
    elements that could not be read. `left_off`: elements that are off and stay so, as we did not
    switch them off.
    """

    off: dict[Element, bool] = field(default_factory=dict)
    recordings: list[RecordWrite] = field(default_factory=list)
    changes: list[ElementChange] = field(default_factory=list)
    dropped: set[Element] = field(default_factory=set)
    missing: set[Element] = field(default_factory=set)
    problems: dict[Element, Failure] = field(default_factory=dict)
    readings: dict[Element, ElementReading] = field(default_factory=dict)
    left_off: set[Element] = field(default_factory=set)


class Confirmed(NamedTuple):
    """A service whose desired state was read back from the server."""

    key: ServiceKey
    evidence: str
    proven: bool


class Failed(NamedTuple):
    """A service that could not be switched as a whole. `must_act`: a retry alone does not help."""

    key: ServiceKey
    reason: str
    must_act: bool


def targets_of(turns: Collection[Turn], loose: Mapping[Element, Service]) -> list[SwitchTarget]:
    """All elements once, each with a product that names it or named it."""
    found = dict(loose)
    for turn in turns:
        found |= dict.fromkeys(turn.elements, turn.product)
    return [SwitchTarget(element, found[element]) for element in sorted(found)]


def make_plan(
    targets: Sequence[SwitchTarget],
    turns: Collection[Turn],
    context: ElementContext,
    readings: Mapping[Element, ElementReading | Failure],
) -> SwitchPlan:
    """What to do with each element."""
    plan = SwitchPlan()
    adopted = {element for turn in turns if turn.adopts for element in turn.named}
    for target in targets:
        element = target.element
        plan.off[element] = context.is_to_be_off(element)
        reading = readings[element]
        if not isinstance(reading, ElementReading):
            plan.problems[element] = reading
        elif reading.state == "missing":
            plan.missing.add(element)
        else:
            plan.readings[element] = reading
            step = _plan_off if plan.off[element] else _plan_on
            step(plan, target, context, reading, element in adopted)
    return plan


def _plan_off(
    plan: SwitchPlan,
    target: SwitchTarget,
    context: ElementContext,
    reading: ElementReading,
    adopts: bool,
) -> None:
    """Record the element, unless it is on record, and switch it off.

    A record of an element that was off before changes when somebody else has switched it on since.
    """
    element = target.element
    record, owner = context.records.get(element), context.owner_of(element)
    assert owner is not None  # an element without claim and record is not to be off
    is_off = reading.state == "off"
    if record is None:
        adopted = adopts and reading.state != "on"
        row = RecordWrite(element, owner, adopted or not is_off, reading.value, adopted, True)
        plan.recordings.append(row)
    elif not record.was_on and reading.state == "on":
        plan.recordings.append(RecordWrite(element, owner, True, reading.value, False, False))
    elif owner != record.owner or record.released:
        row = RecordWrite(element, owner, record.was_on, record.value, False, False)
        plan.recordings.append(row)
    plan.changes.append(ElementChange(target, True, reading))


def _plan_on(
    plan: SwitchPlan,
    target: SwitchTarget,
    context: ElementContext,
    reading: ElementReading,
    adopts: bool,
) -> None:
    """Switch the element on if it is on record and was on before; else leave it as it is."""
    element = target.element
    record = context.records.get(element)
    if record is not None and record.was_on:
        plan.changes.append(ElementChange(target, False, reading, record.value))
        return
    owner = context.owner_of(element)
    if record is None and owner is not None and adopts and reading.state != "on":
        row = RecordWrite(element, owner, True, reading.value, True, True)
        plan.recordings.append(row)
        plan.changes.append(ElementChange(target, False, reading, reading.value))
        return
    if record is not None:
        plan.dropped.add(element)
    if reading.state == "off":
        plan.left_off.add(element)


def result_of(
    turn: Turn, plan: SwitchPlan, done: Mapping[Element, SwitchDone | Failure], server_id: str
) -> Confirmed | Failed:
    """The result for one service: confirmed only if each of its elements is as desired."""
    mine = sorted(element for element in turn.elements if plan.off[element] == turn.off)
    failures = [
        failure
        for element in mine
        if (failure := plan.problems.get(element) or _failure(done.get(element))) is not None
    ]
    if turn.rest_failure is not None:
        failures.append(turn.rest_failure)
    if missing := _missing_words(turn, plan, server_id):
        failures.append(OperatorMustAct(missing))
    if failures:
        reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        must_act = any(isinstance(failure, OperatorMustAct) for failure in failures)
        return Failed(turn.key, reasons, must_act)
    answers = [answer for element in mine if isinstance(answer := done.get(element), SwitchDone)]
    unknown = not answers and any(_state(plan, element) == "unknown" for element in mine)
    proven = all(answer.proven for answer in answers) and not unknown
    evidence = list(dict.fromkeys(answer.evidence for answer in answers))
    return Confirmed(turn.key, "; ".join([*evidence, *_remarks(turn, plan, evidence)]), proven)


def _failure(answer: SwitchDone | Failure | None) -> Failure | None:
    return None if answer is None or isinstance(answer, SwitchDone) else answer


def _state(plan: SwitchPlan, element: Element) -> str:
    reading = plan.readings.get(element)
    return reading.state if reading else "missing"


def _missing_words(turn: Turn, plan: SwitchPlan, server_id: str) -> str:
    """Why a person has to correct the product; empty if nothing essential is missing.

    One extension of those that are named is enough; every gateway, domain and peer has to exist.
    """
    missing = sorted(turn.named & plan.missing)
    if turn.departed:
        return ""
    if not turn.named:
        is_empty = turn.off and turn.rest_failure is None
        what = f"{turn.product.way} to switch" if is_empty else ""
    elif turn.named == set(missing) and missing[0].way in EXTENSION_WAYS:
        what = f"{turn.product.way} to switch"
    else:
        named = [element for element in missing if element.way not in EXTENSION_WAYS]
        what = f"{named[0].way} {listed(e.name for e in named)}" if named else ""
    if not what:
        return ""
    return (
        f"{server_id}: found no {what} of service {turn.product.service_id} in"
        f" {shown(turn.product.tenant)}: correct the product (suspend_by, extensions, gateway_ids),"
        " or the rights of the key's user"
    )


def _remarks(turn: Turn, plan: SwitchPlan, evidence: Collection[str]) -> list[str]:
    """Remarks for the operator: which elements were left as they are, and why."""
    others = {element for element in turn.elements if plan.off[element] != turn.off}
    remarks = [
        (turn.elements & plan.missing, "not on the server"),
        (others - plan.missing, "stays on for another service" if turn.off else ""),
        (others - plan.missing, "" if turn.off else "stays off for another service"),
        ((turn.elements & plan.left_off) - others, "was off before, left off"),
    ]
    words = [
        f"{listed(_name(plan, element) for element in sorted(found))} {text}"
        for found, text in remarks
        if found and text
    ]
    if evidence or words:
        return words
    if not turn.elements:
        return ["nothing of it was switched off"]
    names = listed(_name(plan, element) for element in sorted(turn.elements))
    return [f"{names} read: nothing of it was switched off"]


def _name(plan: SwitchPlan, element: Element) -> str:
    reading = plan.readings.get(element)
    return (reading.name if reading else "") or element.name


def released_by(
    plan: SwitchPlan, done: Mapping[Element, SwitchDone | Failure], confirmed: Collection[Turn]
) -> set[Element]:
    """The elements whose records are deleted: read back as on, never switched by us, or missing.

    A missing element counts only if its service was confirmed; otherwise the server probably shows
    us less than it has.
    """
    on_again = {
        element
        for element, answer in done.items()
        if isinstance(answer, SwitchDone) and not plan.off[element]
    }
    gone = {element for turn in confirmed if not turn.off for element in turn.elements}
    return on_again | plan.dropped | {e for e in gone & plan.missing if not plan.off[e]}


def switched_off_by(plan: SwitchPlan, done: Mapping[Element, SwitchDone | Failure]) -> set[Element]:
    """The elements that are to be off and were read back as off."""
    return {e for e, answer in done.items() if isinstance(answer, SwitchDone) and plan.off[e]}
