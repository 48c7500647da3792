"""`ringfence doctor` for a Vodia, over sockets, without changing it."""

import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from ringfence.clock import SystemClock
from ringfence_doctor.servers import ExaminationContext, examine_server
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from tests.support import vodia as vodia_harness
from tests.support.doctor import Examined, Run, doctor_command, examined
from tests.support.vodia import CFFM, PASSWORD, RUCKEN, outbound

STATE_PATH = "/rest/domain/{tenant}/user_settings/{extension}"


@pytest.fixture
async def vodia(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VodiaSimulator]:
    async with vodia_harness.simulated(monkeypatch, clock=time.time) as simulator:
        yield simulator


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    return doctor_command(monkeypatch, tmp_path)


def entry(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "vodia",
        "url": url,
        "user": "admin",
        "password": {"env": "TEST_VODIA_PASSWORD"},
        "tenants": [CFFM],
        "timeout_s": 2,
        **changed,
    }


async def found_of(run: Run, simulator: VodiaSimulator, **changed: Any) -> Examined:
    return await examined(run, "v1", entry(simulator.url, **changed))


@pytest.mark.parametrize("login", ["basic", "session"])
async def test_all_checks_of_a_working_server_are_ok(
    vodia: VodiaSimulator, run: Run, login: Literal["basic", "session"]
) -> None:
    """With either login, and an extension's state to read: all checks are made and ok."""
    vodia.pbx.habits.login = login
    vodia.pbx.place(outbound(ends_at=time.time() - 300))
    found = await found_of(run, vodia, login=login, extension_state_path=STATE_PATH)
    said = {finding["check"]: (finding["state"], finding["said"]) for finding in found.findings}
    assert said["reachable"][1].startswith("answers with 200 in ")
    assert said["TLS"] == ("ok", "none, on this machine")
    assert said["clock"][1].endswith("ours")
    assert said["credentials"] == ("ok", f'accepted, by login = "{login}"')
    assert said["newest call"][1].endswith("6 min ago")
    shared = "1 shared with other tenants and so never switched"
    assert said["trunks"] == ("ok", f"2 listed, {shared}")
    assert said["live calls"] == ("ok", "those of 2112 are shown: 0 now")
    assert said["extensions"] == ("ok", "2112 reads enabled")
    assert {state for state, _ in said.values()} == {"ok"}


async def test_the_checks_change_nothing(
    vodia: VodiaSimulator, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    vodia.pbx.place(outbound())
    vodia.pbx.begin_call("2112", CFFM, "live-1", to="14165550100")
    before = await state_of(vodia)
    with caplog.at_level(logging.INFO, "httpx"):
        await found_of(run, vodia, extension_state_path=STATE_PATH)
    methods = {r.getMessage().split()[2] for r in caplog.records if r.name == "httpx"}
    assert methods == {"GET"}
    after = await state_of(vodia)
    assert after["orders"] == []
    assert after["live"] == 1
    assert after == before


async def state_of(simulator: VodiaSimulator) -> dict[str, Any]:
    """The state without the counts of requests."""
    async with httpx.AsyncClient() as client:
        state = (await client.get(f"{simulator.url}/_sim/state")).json()
    return {k: v for k, v in state.items() if k not in ("pages_sent", "requests", "busiest")}


@pytest.mark.parametrize("login", ["basic", "session"])
async def test_a_wrong_password_is_reported_once_and_not_shown(
    vodia: VodiaSimulator, run: Run, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", "wrong-word")
    found = await found_of(run, vodia, login=login)
    assert found.failed == {"credentials"}
    assert "accepts neither user nor password (401)" in found["credentials"]["said"]
    assert "newest call" not in found
    assert "wrong-word" not in found.output
    assert vodia.logins.refused == 1


async def test_an_account_without_api_access_lacks_the_right(
    vodia: VodiaSimulator, run: Run
) -> None:
    found = await found_of(run, vodia, user="no-api")
    assert found["credentials"]["state"] == "ok"
    assert found.failed == {"newest call"}
    assert "API access" in found["newest call"]["said"]
    assert found["trunks"]["state"] == "warn"
    assert PASSWORD not in found.output


async def test_each_tenant_is_reported_by_name(vodia: VodiaSimulator, run: Run) -> None:
    """The account of one tenant: its own calls are read, another's not, and one is unknown."""
    vodia.pbx.place(outbound())
    tenants = [CFFM, RUCKEN]
    found = await found_of(run, vodia, user=f"admin@{CFFM}", tenants=tenants)
    assert found[f"v1 {CFFM} newest call"]["state"] == "ok"
    assert "forbids" in found[f"v1 {RUCKEN} newest call"]["said"]
    found = await found_of(run, vodia, tenants=["nobody.example", CFFM])
    assert "check the tenant's name" in found["v1 nobody.example newest call"]["said"]
    assert found[f"v1 {CFFM} newest call"]["state"] == "ok"


async def test_a_server_without_tenants_fails(vodia: VodiaSimulator, run: Run) -> None:
    found = await found_of(run, vodia, tenants=[])
    assert found.failed == {"tenants"}


async def test_without_calls_the_action_is_a_test_call(vodia: VodiaSimulator, run: Run) -> None:
    found = await found_of(run, vodia)
    assert found["newest call"]["state"] == "warn"
    assert "none within the 7 d it keeps" in found["newest call"]["said"]
    assert "make a test call" in found["newest call"]["do"]
    assert "live calls" not in found


@pytest.mark.parametrize("order", ["newest-first", "oldest-first", "random"])
async def test_the_newest_call_is_found_however_old_and_however_listed(
    vodia: VodiaSimulator, run: Run, order: Literal["newest-first", "oldest-first", "random"]
) -> None:
    vodia.pbx.habits.order = order
    newest = time.time() - 5 * 86_400
    for n in range(60):
        vodia.pbx.place(outbound(ends_at=newest - 600 * n, ring_s=0, talk_s=0))
    found = await found_of(run, vodia, page_size=20)
    began = datetime.fromtimestamp(newest, UTC)
    assert found["newest call"]["said"] == f"began {began:%Y-%m-%d %H:%M:%S} UTC, 5 d ago"


async def test_a_call_ahead_of_our_clock_is_a_warning(vodia: VodiaSimulator, run: Run) -> None:
    vodia.pbx.place(outbound(ends_at=time.time() + 7200))
    found = await found_of(run, vodia)
    assert found["newest call"]["state"] == "warn"
    assert "ahead of now" in found["newest call"]["said"]


async def test_unreadable_records_are_counted_with_a_reason(
    vodia: VodiaSimulator, run: Run
) -> None:
    vodia.pbx.place(outbound())
    vodia.pbx.place(outbound(record={"start": "yesterday"}))
    found = await found_of(run, vodia)
    assert found["newest call"]["state"] == "ok"
    assert found["records"]["state"] == "warn"
    assert "1 listed cannot be read" in found["records"]["said"]
    assert "yesterday" in found["records"]["said"]


async def test_extensions_that_cannot_be_read_back_are_reported(
    vodia: VodiaSimulator, run: Run
) -> None:
    vodia.pbx.place(outbound())
    found = await found_of(run, vodia)
    assert found["extensions"]["state"] == "warn"
    assert "extension_state_path" in found["extensions"]["do"]
    found = await found_of(run, vodia, accept_unread=True)
    assert found["extensions"]["state"] == "ok"
    found = await found_of(run, vodia, extension_state_path="/rest/nowhere/{tenant}/{extension}")
    assert found["extensions"]["state"] == "warn"
    assert "shows no extension 2112" in found["extensions"]["said"]
    found = await found_of(run, vodia, extension_state_path=STATE_PATH, extension_state_field="off")
    assert "shows no readable 'off'" in found["extensions"]["said"]


async def test_a_list_of_accounts_with_states_allows_reading_back(
    vodia: VodiaSimulator, run: Run
) -> None:
    vodia.pbx.place(outbound())
    vodia.pbx.habits.lists_accounts = "users"
    found = await found_of(run, vodia)
    assert found["extensions"]["state"] == "ok"
    assert found["extensions"]["said"] == "2 listed with their state"
    vodia.pbx.habits.lists_accounts = "userlist"
    found = await found_of(run, vodia)
    assert found["extensions"]["state"] == "warn"
    assert "2 listed: whether one is disabled cannot be read back" in found["extensions"]["said"]


async def test_a_trunk_with_an_unreadable_flag_is_reported(vodia: VodiaSimulator, run: Run) -> None:
    vodia.pbx.trunks["10"].disabled = "perhaps"
    found = await found_of(run, vodia)
    assert found["trunks"]["state"] == "warn"
    assert "trunk 10" in found["trunks"]["said"]


async def test_an_extension_in_calls_that_the_pbx_does_not_know_is_reported(
    vodia: VodiaSimulator, run: Run
) -> None:
    vodia.pbx.place(outbound(extension="2199"))
    found = await found_of(run, vodia)
    assert found["live calls"]["state"] == "warn"
    assert "knows no extension 2199" in found["live calls"]["said"]


CDRS, TRUNKS = f"/rest/domain/{CFFM}/cdrs", f"/rest/domain/{CFFM}/domain_trunks"


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault("status", "/", "500"), "reachable", "answers with 500"),
        (Fault("status", "/", "429 77"), "reachable", "not before '77'"),
        (Fault("status", "/", "429"), "reachable", "answers with 429"),
        (Fault("status", "/", "404"), "reachable", "answers with 404"),
        (Fault("slow", "/", "30"), "reachable", "no answer within 0.5 s"),
        (Fault("drop", "/"), "reachable", "disconnected"),
        (Fault("cut", "/rest/system/session"), "reachable", "ProtocolError"),
        (Fault("redirect", "/", "https://x/"), "reachable", "redirects to https"),
        (Fault("html", "/", "<h1>Welcome</h1>"), "credentials", "<h1>Welcome</h1>"),
        (Fault("redirect", "/rest/domain", "/login"), "credentials", "redirects to '/login'"),
        (Fault("status", "/rest/domain", "503"), "credentials", "status 503"),
        (Fault("slow", "/rest/domain", "30"), "credentials", "no answer within 0.5 s"),
        (Fault("cut", "/rest/domain"), "credentials", "ProtocolError"),
        (Fault("status", TRUNKS, "500"), "trunks", "status 500"),
        (Fault("html", TRUNKS, "no"), "trunks", "no JSON"),
        (Fault("cut", TRUNKS), "trunks", "ProtocolError"),
        (Fault("slow", TRUNKS, "30"), "trunks", "no answer within"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_each_problem_is_reported_by_its_check(
    vodia: VodiaSimulator, run: Run, fault: Fault, check: str, said: str
) -> None:
    vodia.pbx.place(outbound())
    fault.times = 10**6
    vodia.faults.planned = [fault]
    found = await found_of(run, vodia, timeout_s=0.5)
    assert found.failed == {check}
    assert said in found[check]["said"]


async def test_a_server_with_a_rate_limit_is_reported(vodia: VodiaSimulator, run: Run) -> None:
    vodia.faults.planned = [Fault("status", "/", "429", times=10**6)]
    assert "too often" in (await found_of(run, vodia))["reachable"]["do"]


async def test_a_list_that_fails_later_is_reported(vodia: VodiaSimulator, run: Run) -> None:
    vodia.pbx.place(outbound())
    looks = []

    def fail_later(page: int) -> None:
        looks.append(page)
        if len(looks) == 2:
            vodia.faults.planned = [Fault("status", CDRS, "429 60", times=10**6)]

    vodia.site.before_page = fail_later
    found = await found_of(run, vodia)
    assert found.failed == {"newest call"}
    assert "status 429" in found["newest call"]["said"]


async def test_a_server_that_is_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", PASSWORD)
    port = free_port()
    found = await examined(run, "v1", entry(f"http://127.0.0.1:{port}"))
    assert found.failed == {"reachable"}
    assert f"http://127.0.0.1:{port} is let through" in found["reachable"]["do"]


async def test_an_invalid_url_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", PASSWORD)
    for url in ("http://no such host", "http://[x", f"http://{'a' * 70}.example"):
        found = await examined(run, "v1", entry(url))
        assert found.failed <= {"reachable", "settings"}
        assert found.failed


async def test_a_missing_password_is_named_by_its_path(run: Run) -> None:
    found = await examined(run, "v1", entry("http://127.0.0.1:1", password={"env": "TEST_NO_SUCH"}))
    assert found.failed == {"secret"}
    assert "TEST_NO_SUCH" in found["secret"]["said"]


async def test_an_endless_list_ends_with_the_results_so_far(vodia: VodiaSimulator) -> None:
    """One new call on every page without end: the examination ends all the same."""

    def place_two(_: int) -> None:
        for _ in range(2):
            vodia.pbx.place(outbound())

    vodia.site.before_page = place_two
    server = vodia_harness.server_of(vodia.url, tenants=(CFFM,), page_size=1)
    findings = await examine_server("v1", server, ExaminationContext(SystemClock()), 1.0)
    found = {finding.check: finding.state for finding in findings}
    assert found["credentials"] == "ok"
    assert found["patience"] == "fail"
