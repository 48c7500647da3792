"""The simulated FusionPBX: the behaviour that other tests rely on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.wait import until
from tests.support.fusionpbx import (
    ADMIN_KEY,
    MCON,
    NOON,
    RUCKEN,
    SUPER_KEY,
    can_call,
    outbound,
    service_of,
    simulated,
    simulator_process,
)
from tests.support.narrow import present

EXPORT = "/app/xml_cdr/xml_cdr_export.php?export_format=csv"
WINDOW = f"&start_epoch={int(NOON) - 86_400}&stop_epoch={int(NOON)}"


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


def client(url: str, host: str = MCON, **settings: Any) -> AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Host": host}, **settings)


async def test_the_key_alone_logs_in_on_5_5_and_not_on_5_6(monkeypatch: pytest.MonkeyPatch) -> None:
    expected: list[tuple[ReleaseLine, int, str | None]] = [
        ("5.5", 200, None),
        ("5.6", 302, "/login.php"),
    ]
    for line, status, location in expected:
        async with simulated(monkeypatch, line=line) as pbx, client(pbx.url) as http:
            answer = await http.get(EXPORT, params={"export_format": "csv", "key": SUPER_KEY})
            assert (answer.status_code, answer.headers.get("location")) == (status, location)


async def test_a_wrong_key_or_host_is_redirected_and_no_key_gets_the_login_page(
    pbx: FusionPbxSimulator,
) -> None:
    async with client(pbx.url) as http:
        answer = await http.get(EXPORT, params={"export_format": "csv", "key": "x" * 40})
        assert (answer.status_code, answer.headers["location"]) == (
            302,
            "/?path=%2Fapp%2Fxml_cdr%2Fxml_cdr_export.php",
        )
        http.cookies.clear()
        answer = await http.get(EXPORT, auth=("super", SUPER_KEY))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
    async with client(pbx.url, host=RUCKEN) as http:
        assert (
            await http.get(EXPORT, params={"export_format": "csv", "key": SUPER_KEY})
        ).status_code == 302
        answer = await http.get(EXPORT, params={"key": SUPER_KEY, "domain_name": MCON})
        assert answer.headers["content-type"] == "application/octet-binary"


async def test_every_key_call_without_its_cookie_is_a_login(pbx: FusionPbxSimulator) -> None:
    async with client(pbx.url) as http:
        for _ in range(3):
            http.cookies.clear()
            await http.get(EXPORT, params={"export_format": "csv", "key": SUPER_KEY})
        assert pbx.logins.succeeded == 3
        await http.get(EXPORT)
        assert pbx.logins.succeeded == 3


async def test_a_session_belongs_to_its_user_agent(pbx: FusionPbxSimulator) -> None:
    async with client(pbx.url) as http:
        await http.get(EXPORT, params={"export_format": "csv", "key": SUPER_KEY})
        answer = await http.get(EXPORT, headers={"User-Agent": "another"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/logout.php")


async def test_show_all_is_for_superadmins_and_ignored_otherwise(pbx: FusionPbxSimulator) -> None:
    pbx.pbx.place(outbound())
    pbx.pbx.place(outbound(domain_name=RUCKEN))
    for key, lines, has_domain in ((SUPER_KEY, 3, True), (ADMIN_KEY, 2, False)):
        async with client(pbx.url) as http:
            answer = await http.get(f"{EXPORT}{WINDOW}&show=all&{httpx.QueryParams(key=key)}")
            assert len(answer.text.splitlines()) == lines
            assert ("domain_name" in answer.text.splitlines()[0]) is has_domain


async def test_a_window_needs_both_epochs_and_0_is_none(pbx: FusionPbxSimulator) -> None:
    pbx.pbx.place(outbound())
    key = str(httpx.QueryParams(key=SUPER_KEY))
    async with client(pbx.url) as http:
        for window in ("", "&start_epoch=5", "&stop_epoch=5", "&start_epoch=0&stop_epoch=0"):
            answer = await http.get(f"{EXPORT}&{key}{window}")
            assert len(answer.text.splitlines()) == 2, "everything"
        answer = await http.get(f"{EXPORT}&start_epoch=1&stop_epoch=1")
        assert answer.text == "\n\n"


async def test_random_calls_stop_during_a_suspension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with simulated(monkeypatch) as pbx, client(pbx.url) as http:
        wanted = {"extensions": [{"number": "2112", "domain": MCON}], "calls_per_second": 200}
        (await http.post("/_sim/traffic", json=wanted)).raise_for_status()
        await until(lambda: pbx.traffic.placed > 5)
        uuid = present(pbx.pbx.find_extension("2112", MCON)).uuid
        toggle = {"kind": "extensions", "uuid": uuid}
        (await http.post("/_sim/toggle", json=toggle)).raise_for_status()
        placed, refused = pbx.traffic.placed, pbx.pbx.refused_calls
        await until(lambda: pbx.pbx.refused_calls > refused + 5)
        assert pbx.traffic.placed == placed
        (await http.post("/_sim/toggle", json=toggle)).raise_for_status()
        await until(lambda: pbx.traffic.placed > placed + 5)
        state = (await http.get("/_sim/state")).json()
        assert state["traffic"]["running"]
        assert state["extensions"][0]["can_call"]
        (await http.delete("/_sim/traffic")).raise_for_status()
        stopped = pbx.traffic.placed
        await asyncio.sleep(0)
        assert pbx.traffic.placed == stopped


async def test_the_state_page_does_not_fill_the_directory_cache(pbx: FusionPbxSimulator) -> None:
    """A call does fill it."""
    pbx.pbx.toggle("domains", pbx.pbx.domains[MCON].uuid)
    pbx.pbx.toggle("domains", pbx.pbx.domains[MCON].uuid)
    async with client(pbx.url) as http:
        await http.get("/_sim/state")
    pbx.pbx.toggle("domains", pbx.pbx.domains[MCON].uuid)
    assert not can_call(pbx)


async def test_a_rescan_starts_enabled_gateways_and_stops_none(
    pbx: FusionPbxSimulator,
) -> None:
    uuid = service_of(pbx, "gateway").gateway_ids[0]
    gateway = pbx.pbx.gateways[uuid]
    pbx.pbx.toggle("gateways", uuid)
    assert (gateway.enabled, gateway.live) == (False, True)
    pbx.pbx.kill_gateway("external", uuid)
    pbx.pbx.rescan("external")
    assert (gateway.enabled, gateway.live) == (False, False)
    pbx.pbx.toggle("gateways", uuid)
    assert (gateway.enabled, gateway.live) == (True, True)


async def test_mistakes_at_the_control_interface_are_explained(pbx: FusionPbxSimulator) -> None:
    async with client(pbx.url) as http:
        for path, body in (
            ("/_sim/calls", {}),
            ("/_sim/toggle", {"kind": "gateways", "uuid": "x"}),
            ("/_sim/traffic", {"calls_per_second": 1e9}),
            (
                "/_sim/traffic",
                {"calls_per_second": 1, "extensions": [{"number": "1", "domain": "x"}]},
            ),
            ("/_sim/faults", {"kindd": "x"}),
        ):
            answer = await http.post(path, json=body)
            assert answer.status_code == 400
            assert answer.json()["error"]


async def test_a_fault_lasts_until_it_is_cleared(pbx: FusionPbxSimulator) -> None:
    async with client(pbx.url) as http:
        planned = {"kind": "status", "path": "/login", "value": "503", "times": 5}
        assert (await http.post("/_sim/faults", json=planned)).status_code == 200
        assert (await http.get("/login.php")).status_code == 503
        assert (await http.delete("/_sim/faults")).status_code == 200
        assert (await http.get("/login.php")).status_code == 200


async def test_a_restart_keeps_calls_and_changes(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state.jsonl")]
    async with simulator_process(tmp_path, *state) as url, client(url) as http:
        placed = (await http.post("/_sim/calls", json=[outbound(), outbound()])).json()
        before = (await http.get("/_sim/state")).json()
        await http.post(
            "/_sim/toggle", json={"kind": "gateways", "uuid": before["gateways"][0]["uuid"]}
        )
        hand = {"kind": "extensions", "uuid": before["extensions"][0]["uuid"]}
        (await http.post("/_sim/hand", json=hand | {"toll_allow": "domestic"})).raise_for_status()
        added = {"extensions": [{"number": "3000", "domain": RUCKEN}]}
        await http.post("/_sim/seed", json=added)
        before = (await http.get("/_sim/state")).json()
    async with simulator_process(tmp_path, *state) as url, client(url) as http:
        after = (await http.get("/_sim/state")).json()
        answer = await http.get(EXPORT, params={"export_format": "csv", "key": SUPER_KEY})
    for kept in ("domains", "gateways", "extensions", "calls"):
        assert after[kept] == before[kept]
    assert after["gateways"][0]["enabled"] is False
    assert after["extensions"][0]["toll_allow"] == "domestic"
    assert all(uuid in answer.text for uuid in placed["xml_cdr_uuids"])
