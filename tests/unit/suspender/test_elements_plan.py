"""What a batch does with each element: the plan against a reference of ten lines."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence_contracts.errors import Retry
from ringfence_testing.records import account
from suspender.drivers.driver import (
    ElementReading,
    Failure,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
)
from suspender.rules.elements import (
    Element,
    ElementClaim,
    ElementWay,
    OwnerState,
    SwitchedOffRecord,
    elements_of,
    is_to_be_off,
)
from suspender.rules.plan import (
    Confirmed,
    ElementContext,
    Failed,
    SwitchPlan,
    Turn,
    make_plan,
    released_by,
    result_of,
    switched_off_by,
    targets_of,
)

(PRODUCT,) = account().services
A, B, C = ("1001", "svc-a"), ("2002", "svc-b"), ("3003", "svc-c")
ELEMENTS = [Element("extensions", "north.example", str(number)) for number in range(101, 105)]
WAYS: frozenset[ElementWay] = frozenset({"extensions"})


def claims() -> st.SearchStrategy[list[ElementClaim]]:
    services = st.lists(st.sampled_from([A, B]), unique=True, max_size=2)
    return services.flatmap(
        lambda keys: st.tuples(
            *(st.builds(ElementClaim, st.just(key), st.booleans()) for key in keys)
        )
    ).map(list)


def records(element: Element) -> st.SearchStrategy[SwitchedOffRecord | None]:
    found = st.builds(
        SwitchedOffRecord,
        element=st.just(element),
        owner=st.sampled_from([A, B, C]),
        was_on=st.booleans(),
        value=st.sampled_from(["", "local"]),
        released=st.booleans(),
    )
    return st.none() | found


READINGS = st.builds(
    ElementReading,
    st.sampled_from(["on", "off", "missing", "unknown"]),
    st.sampled_from(["", "intl"]),
)
OWNER = st.builds(
    OwnerState, st.booleans(), st.booleans(), st.sampled_from([frozenset(), WAYS]), st.booleans()
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ElementContext, dict[Element, ElementReading]]:
    """Any state of a server and of what is known of its elements."""
    found = {element: draw(records(element)) for element in ELEMENTS}
    context = ElementContext(
        records={element: record for element, record in found.items() if record is not None},
        claims={element: draw(claims()) for element in ELEMENTS},
        owners={key: draw(OWNER) for key in (A, B, C)},
    )
    return context, {element: draw(READINGS) for element in ELEMENTS}


def plan_of(
    context: ElementContext, readings: dict[Element, ElementReading], *turns: Turn
) -> SwitchPlan:
    targets = targets_of(turns, dict.fromkeys(ELEMENTS, PRODUCT))
    return make_plan(targets, turns, context, readings)


def turn(*elements: Element, off: bool = True, **fields: Any) -> Turn:
    named = frozenset(elements)
    return Turn(
        **{"key": A, "off": off, "product": PRODUCT, "named": named, "elements": named, **fields}
    )


@given(worlds(), st.booleans())
def test_each_element_is_recorded_before_it_is_switched_by_the_rule(
    world: tuple[ElementContext, dict[Element, ElementReading]], adopts: bool
) -> None:
    context, readings = world
    plan = plan_of(context, readings, turn(*ELEMENTS, adopts=adopts))
    changes = {change.target.element: change for change in plan.changes}
    recorded = {row.element: row for row in plan.recordings}
    for element, reading in readings.items():
        record, off = context.records.get(element), context.is_to_be_off(element)
        is_adopted = adopts and reading.state != "on" and bool(context.claims[element])
        ours = record.was_on if record else is_adopted
        if reading.state == "missing" or (not off and not ours):
            assert element not in changes
        else:
            assert changes[element].off is off
        if element in changes and off:
            known = recorded.get(element) or record
            assert known is not None  # on record before its toggle
            was_on = ours or (reading.state != "off" if record is None else reading.state == "on")
            assert known.was_on is was_on
            assert record is None or not record.was_on or known.value == record.value
        if element in changes and not off:
            assert changes[element].value == (record.value if record else reading.value)
    assert set(recorded) <= set(changes)


@given(worlds(), st.data())
def test_a_service_is_confirmed_only_when_all_of_it_is_as_desired(
    world: tuple[ElementContext, dict[Element, ElementReading]], data: st.DataObject
) -> None:
    context, readings = world
    off = data.draw(st.booleans())
    mine = data.draw(st.sets(st.sampled_from(ELEMENTS), min_size=1))
    wish = turn(*mine, off=off)
    plan = plan_of(context, readings, wish)
    possible: list[SwitchDone | Failure] = [
        SwitchDone("done"),
        Retry("no"),
        OperatorMustAct("never"),
    ]
    answers = st.sampled_from(possible)
    done: dict[Element, SwitchDone | Failure] = {
        change.target.element: data.draw(answers) for change in plan.changes
    }
    result = result_of(wish, plan, done, "pbx1")
    concerned = {element for element in mine if context.is_to_be_off(element) is off}
    failed = [done[e] for e in concerned if e in done and not isinstance(done[e], SwitchDone)]
    all_missing = all(readings[element].state == "missing" for element in mine)
    if failed or all_missing:
        assert isinstance(result, Failed)
        must_act = any(isinstance(failure, OperatorMustAct) for failure in failed)
        assert result.must_act is (must_act or all_missing)
    else:
        assert isinstance(result, Confirmed)
    released = released_by(plan, done, [wish] if isinstance(result, Confirmed) else [])
    assert not released & switched_off_by(plan, done)
    for element in released & done.keys():
        assert isinstance(done[element], SwitchDone)


def test_a_missing_trunk_does_not_keep_others_from_being_switched() -> None:
    trunk, gone = Element("gateway", "", "aa"), Element("gateway", "", "bb")
    context = ElementContext(claims={element: [ElementClaim(A, True)] for element in (trunk, gone)})
    readings = {trunk: ElementReading("on"), gone: ElementReading("missing")}
    wish = turn(trunk, gone)
    plan = make_plan(targets_of([wish], {}), [wish], context, readings)
    assert [change.target.element for change in plan.changes] == [trunk]
    result = result_of(wish, plan, {trunk: SwitchDone("off")}, "pbx1")
    assert result == Failed(
        A,
        "pbx1: found no gateway bb of service svc-1001 in 'north.example': correct the product"
        " (suspend_by, extensions, gateway_ids), or the rights of the key's user",
        True,
    )


def test_a_failed_reading_fails_only_its_element() -> None:
    one, two = ELEMENTS[:2]
    context = ElementContext(claims={one: [ElementClaim(A, True)], two: [ElementClaim(B, True)]})
    wishes = [turn(one), turn(two, key=B)]
    readings: dict[Element, ElementReading | Failure] = {
        one: Retry("no page"),
        two: ElementReading("on"),
    }
    plan = make_plan(
        [SwitchTarget(one, PRODUCT), SwitchTarget(two, PRODUCT)], wishes, context, readings
    )
    done = {two: SwitchDone("two is off")}
    assert result_of(wishes[0], plan, done, "pbx1") == Failed(A, "no page", False)
    assert result_of(wishes[1], plan, done, "pbx1") == Confirmed(B, "two is off", True)


def test_a_state_that_is_not_shown_is_not_proven() -> None:
    (one, *_) = ELEMENTS
    context = ElementContext(claims={one: [ElementClaim(A, False)]})
    wish = turn(one, off=False)
    plan = make_plan(
        [SwitchTarget(one, PRODUCT)], [wish], context, {one: ElementReading("unknown")}
    )
    result = result_of(wish, plan, {}, "pbx1")
    assert isinstance(result, Confirmed)
    assert not result.proven


# --- the rule itself ---

(ONE, *_) = ELEMENTS
OFF_AND_DONE = OwnerState(True, True, WAYS)


@pytest.mark.parametrize(
    ("owner", "fields", "off"),
    [
        (OFF_AND_DONE, {}, True),
        (OwnerState(True, True, frozenset()), {}, True),  # its product is gone
        (OwnerState(False, True, WAYS), {}, False),
        (OFF_AND_DONE, {"released": True}, False),
        (OwnerState(True, False, frozenset({"gateway"})), {}, True),  # the new way first
        (OwnerState(True, True, frozenset({"gateway"})), {}, False),
        (OwnerState(True, False, frozenset(), is_elsewhere=True), {}, True),
        (OwnerState(True, True, frozenset(), is_elsewhere=True), {}, False),
    ],
)
def test_an_unnamed_element_stays_off_as_long_as_its_owner(
    owner: OwnerState, fields: dict[str, Any], off: bool
) -> None:
    record = SwitchedOffRecord(ONE, A, True, **fields)
    assert is_to_be_off(ONE, (), record, {A: owner}) is off
    assert not is_to_be_off(ONE, (), record, {})
    assert not is_to_be_off(ONE, (), None, {A: owner})


def test_one_claim_to_be_on_keeps_an_element_on_despite_its_record() -> None:
    record, owners = SwitchedOffRecord(ONE, A, True, released=True), {A: OFF_AND_DONE}
    assert is_to_be_off(ONE, [ElementClaim(A, True), ElementClaim(B, True)], record, owners)
    assert not is_to_be_off(ONE, [ElementClaim(A, True), ElementClaim(B, False)], record, owners)


def test_the_elements_of_a_product_follow_from_its_kind_and_way() -> None:
    def named(**fields: object) -> set[Element]:
        return set(elements_of(PRODUCT.model_copy(update=fields)))

    assert named(extensions=("1", "2"), tenant="North.Example") == {
        Element("extensions", "north.example", "1"),
        Element("extensions", "north.example", "2"),
    }
    assert named(extensions=("1",), outbound_only=True, rest_of_tenant=True) == {
        Element("outbound", "north.example", "1"),
        Element("outbound", "north.example", "*"),
    }
    assert named(suspend_by="domain", outbound_only=True) == {
        Element("domain", "north.example", "north.example")
    }
    by_gateway = {"suspend_by": "gateway", "gateway_ids": ("AA",)}
    assert named(**by_gateway) == {Element("gateway", "", "aa")}
    assert named(kind="vodia", **by_gateway) == {Element("gateway", "north.example", "aa")}
    assert named(kind="lesnet", tenant="d4e3") == {Element("peer", "", "D4E3")}
