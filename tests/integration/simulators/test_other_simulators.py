"""The simulated Vodia and Les.net: live calls, the lies fault, the control hand, counts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ringfence_simulators.vodia.app import VodiaSimulator
from tests.support import lesnet as lesnet_harness
from tests.support import vodia as vodia_harness
from tests.support.lesnet import PEER
from tests.support.narrow import present
from tests.support.vodia import CFFM, PASSWORD

CALLS = f"/rest/user/2112@{CFFM}/calls"


@pytest.fixture
async def vodia(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VodiaSimulator]:
    async with vodia_harness.simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
async def http(vodia: VodiaSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=vodia.url, auth=("admin", PASSWORD)) as client:
        yield client


async def begin(http: httpx.AsyncClient, call_id: str, **said: Any) -> None:
    call = {"extension": "2112", "domain": CFFM, "call_id": call_id, **said}
    (await http.post("/_sim/live", json=call)).raise_for_status()


async def test_a_call_that_is_hung_up_is_recorded(
    vodia: VodiaSimulator, http: httpx.AsyncClient
) -> None:
    await begin(http, "a", to="<sip:14165550100@x>", seconds=90)
    await begin(http, "b", to="<sip:14165550101@x>")
    assert [call["callid"] for call in (await http.get(CALLS)).json()] == ["a", "b"]
    (await http.post(CALLS, json={"hangup": "a"})).raise_for_status()
    assert [call["callid"] for call in (await http.get(CALLS)).json()] == ["b"]
    [call] = vodia.pbx.calls
    assert (call.number, call.extension, call.end - present(call.connect)) == (
        "14165550100",
        "2112",
        90,
    )
    (await http.post("/_sim/habits", json={"calls_end_by_hang_up": False})).raise_for_status()
    (await http.post(CALLS, json={"hangup": "b"})).raise_for_status()
    state = (await http.get("/_sim/state")).json()
    assert [call["callid"] for call in state["live_calls"]] == ["b"]
    ended = await http.delete("/_sim/live", params={"extension": "2112", "domain": CFFM})
    assert len(ended.json()["ids"]) == 1
    assert vodia.pbx.live == {}


async def test_a_change_with_the_lies_fault_is_only_reported_as_done(
    vodia: VodiaSimulator, http: httpx.AsyncClient
) -> None:
    for value in ("2112", "10"):
        planned = {"kind": "toggle-lies", "value": value}
        (await http.post("/_sim/faults", json=planned)).raise_for_status()
    order = {"type": "accounts", "action": "disable_selected", "selected": "2112 2113"}
    for lies in (True, False):
        answer = await http.post(f"/rest/domain/{CFFM}/domain_action", json=order)
        assert answer.json() is True
        extensions = vodia.pbx.extensions
        assert extensions[CFFM, "2112"].disabled is not lies
        assert extensions[CFFM, "2113"].disabled
        answer = await http.post(
            f"/rest/domain/{CFFM}/domain_trunks?trunk=10", json={"dis": "true"}
        )
        assert answer.json() is True
        assert vodia.pbx.trunks["10"].disabled == ("" if lies else "true")


async def test_the_control_hand_changes_elements_and_requests_are_counted(
    vodia: VodiaSimulator, http: httpx.AsyncClient
) -> None:
    for hand in ({"trunk": "10"}, {"extension": "2112", "domain": CFFM}):
        answer = await http.post("/_sim/hand", json=hand | {"disabled": True})
        assert answer.status_code == 200
    assert vodia.pbx.trunks["10"].disabled == "true"
    assert vodia.pbx.extensions[CFFM, "2112"].disabled
    for wrong in ({"trunk": "99", "disabled": True}, {"trunk": "10", "disabled": "yes"}):
        assert (await http.post("/_sim/hand", json=wrong)).status_code == 400
    (await http.delete("/_sim/requests")).raise_for_status()
    (await http.post("/_sim/habits", json={"latency_s": 0.001})).raise_for_status()
    await http.get(CALLS)
    assert (await http.get("/_sim/state")).json()["requests"] == {f"GET {CALLS}": 1}


async def test_lesnet_has_the_lies_fault_and_the_control_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        lesnet_harness.simulated(monkeypatch) as les,
        httpx.AsyncClient(base_url=les.url) as http,
    ):
        keys = {"apikey": les.portal.api_key, "idkey": les.portal.id_key}
        order = {"authentication": keys, "sequence": 1, "peer": PEER}
        planned = {"kind": "toggle-lies", "value": PEER}
        (await http.post("/_sim/faults", json=planned)).raise_for_status()
        for enabled in (True, False):
            answer = await http.post("/v1/peer/disable/", json=order)
            assert answer.json()["status"] == "ok"
            assert les.portal.peers[PEER].enabled is enabled
        hand = {"peer": PEER, "enabled": True}
        (await http.post("/_sim/hand", json=hand)).raise_for_status()
        assert les.portal.peers[PEER].enabled
        (await http.put("/_sim/switch", json={"latency_s": 0.001})).raise_for_status()
        assert les.portal.latency_s == 0.001
        assert (await http.put("/_sim/switch", json={"latency_s": -1})).status_code == 400
        counted = (await http.get("/_sim/state")).json()["requests"]
        assert counted == {"POST /v1/peer/disable/": 2}
