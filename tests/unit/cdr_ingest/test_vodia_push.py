"""Posts of a Vodia: the trunk's leg is the call, with the id of the listed record."""

import json
from typing import Any

import pytest

from cdr_ingest.sources.source import BadRow, BLeg, record_id
from cdr_ingest.vodia.push import CallKey, parse_vodia_json, parse_vodia_webcdr
from cdr_ingest.vodia.rows import read_record
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id
from ringfence_pbx.decimal_json import read_json
from ringfence_simulators.vodia.calls import SimulatedVodiaCall, make_call
from tests.support.narrow import expect

TENANT = "cffm.wat1.ictvoip.ca"
NOON = 1795256400.0


def call_of(**spec: float | str) -> SimulatedVodiaCall:
    return make_call({"domain": TENANT, **spec}, 1, NOON)


def posted(
    call: SimulatedVodiaCall, call_key: CallKey = "PrimaryCallID", **changed: float | str
) -> list[BLeg | BadRow | CallCompleted]:
    """The records of the call's posted legs."""
    legs = [json.dumps({**leg, **changed}).encode() for leg in call.legs("system")]
    return [parse_vodia_json("pbx-2", body, call_key=call_key) for body in legs]


def call_pushed(
    call: SimulatedVodiaCall, call_key: CallKey = "PrimaryCallID", **changed: float | str
) -> CallCompleted:
    """The call in the last leg."""
    return expect(CallCompleted, posted(call, call_key, **changed)[-1])


def listed(call: SimulatedVodiaCall, by: CallKey = "PrimaryCallID") -> CallCompleted:
    found = read_record("pbx-2", TENANT, read_json(json.dumps(call.listed(by)).encode()), 1)
    return expect(CallCompleted, found)


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
@pytest.mark.parametrize("talk_s", [0, 61.5])
@pytest.mark.parametrize("call_key", ["PrimaryCallID", "CallID"])
def test_a_posted_and_a_polled_record_of_a_call_are_equal(
    direction: str, talk_s: float, call_key: CallKey
) -> None:
    """All but `source`; and an inbound trunk's leg does not show which telephone took the call."""
    call = call_of(direction=direction, talk_s=talk_s)
    other_leg, _ = posted(call, call_key)
    pushed = call_pushed(call, call_key)
    pulled = listed(call, call_key)
    assert isinstance(other_leg, BLeg)
    assert pushed.call_id == pulled.call_id
    same = {"source": "", "status": "", "accountcode": ""}
    same |= {"extension": ""} if direction == "inbound" else {}
    assert pushed.model_copy(update=same) == pulled.model_copy(update=same)


def test_another_leg_never_has_the_id_of_the_call() -> None:
    """The telephone's leg has the listed call's id: saved under it, it would hide the call."""
    call = call_of()
    leg, _ = posted(call)
    pushed = call_pushed(call)
    assert record_id(leg) != pushed.call_id == call_id("pbx-2", call.primary_id)


def test_a_local_call_is_left_to_polling() -> None:
    (leg,) = posted(call_of(direction="local"))
    assert isinstance(leg, BLeg)


def test_a_leg_without_a_primary_call_id_uses_its_own_id() -> None:
    call = call_of()
    pushed = call_pushed(call, PrimaryCallID="")
    assert pushed.source_call_id == call.trunk_id


def test_a_number_presented_to_the_carrier_does_not_hide_the_extension() -> None:
    presented: dict[str, Any] = {"From": "<sip:+15484815577@x>", "LocalParty": "2112"}
    pushed = call_pushed(call_of(), "CallID", **presented)
    assert (pushed.direction, pushed.extension) == ("outbound", "2112")
    leg = expect(BLeg, posted(call_of(), **presented)[-1])
    assert expect(CallCompleted, leg.call).extension == "2112"


def test_of_a_call_with_two_trunks_the_part_that_left_is_a_leg_of_the_one_that_came_in() -> None:
    call = call_of(direction="inbound", talk_s=90, forward_to="16135550199", forward_s=61.5)
    _, came_in, left = posted(call)
    assert expect(CallCompleted, came_in).call_id == listed(call).call_id
    leg = expect(BLeg, left)
    assert leg.origin_id == listed(call).call_id
    out = expect(CallCompleted, leg.call)
    assert (out.direction, out.leg, out.billsec) == ("outbound", "b", 62)
    assert (out.destination_number, out.extension) == ("16135550199", "2112")
    assert record_id(leg) == out.call_id != listed(call).call_id


def test_a_way_out_that_was_not_answered_is_known_too() -> None:
    """So that the list's own record of it does not wait for talk that nobody is charged for."""
    call = call_of(direction="inbound", forward_to="16135550199", forward_s=0)
    assert expect(CallCompleted, expect(BLeg, posted(call)[-1]).call).billsec == 0


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ("1795256336.0", "2026-11-21T10:18:56+00:00"),
        (1795256336.5, "2026-11-21T10:18:56.500000+00:00"),
        ("20261121101856", "2026-11-21T10:18:56+00:00"),
        ("2026-11-21T10:18:56Z", "2026-11-21T10:18:56+00:00"),
        ("2026-11-21 10:18:56", "2026-11-21T10:18:56+00:00"),
        ("2026-11-21T12:18:56+02:00", "2026-11-21T10:18:56+00:00"),
    ],
)
def test_times_are_read_in_every_likely_format(written: float | str, start: str) -> None:
    pushed = call_pushed(call_of(), TimeStart=written)
    assert pushed.started_at.isoformat() == start


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"Direction": "X"}, "Direction: got 'X', expected I or O"),
        ({"TimeEnd": "yesterday"}, "end: got 'yesterday'"),
        ({"TimeEnd": "20269921101856"}, "TimeEnd: got '20269921101856'"),
        ({"TimeStart": ""}, "start: got ''"),
        ({"Domain": ""}, "Domain: got ''"),
        ({"action": "hello"}, "action: got 'hello', expected call-data-record"),
    ],
)
def test_an_unreadable_leg_is_a_bad_row(changed: dict[str, Any], message: str) -> None:
    row = posted(call_of(), **changed)[-1]
    assert isinstance(row, BadRow)
    assert row.reason.startswith(message)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b'{"a":NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_bad_row(body: bytes) -> None:
    for parse in (parse_vodia_json, parse_vodia_webcdr):
        row = parse("pbx-2", body)
        assert isinstance(row, BadRow)
        assert row.reason.startswith("body: ")
        assert row.raw == body


def test_a_webcdr_is_left_to_polling() -> None:
    """Neither its end nor its direction is documented; its id must not hide the listed call."""
    call = call_of()
    noted = parse_vodia_webcdr("pbx-2", json.dumps(call.webcdr("system")).encode())
    assert isinstance(noted, BLeg)
    assert record_id(noted) != listed(call).call_id
    assert isinstance(listed(call), CallCompleted)


def test_a_webcdr_without_a_call_id_is_a_bad_row() -> None:
    row = parse_vodia_webcdr("pbx-2", json.dumps({"domain": TENANT}).encode())
    assert isinstance(row, BadRow)
    assert row.reason == "callid: got None, expected the call's id"
