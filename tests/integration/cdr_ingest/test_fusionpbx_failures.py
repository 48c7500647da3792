"""Failures between ringfence and a FusionPBX, and the class of error of each."""

import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from ringfence_contracts.errors import BadInput, Retry
from ringfence_local.embedded.ports import free_port
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.login_pause import REFUSAL_PAUSE_S
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from tests.support.fusionpbx import (
    ADMIN_KEY,
    MCON,
    NOON,
    RUCKEN,
    SUPER_KEY,
    outbound,
    server_of,
    service_of,
    session_at,
    simulated,
    suspend,
)
from tests.support.narrow import present

EXPORT = "/app/xml_cdr"
LOGIN_PAGE = "<form><input name='username'><input type='password' name='password'></form>"


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param) as simulator:
        simulator.pbx.place(outbound())
        yield simulator


async def export(session: FusionPbxSession, *, all_tenants: bool = True) -> list[bytes]:
    lines = session.export(int(NOON) - 86_400, int(NOON), all_tenants=all_tenants)
    async with aclosing(lines) as found:
        return [line async for line in found]


FAILING = [
    (Fault("status", EXPORT, "500"), "status 500"),
    (Fault("status", EXPORT, "503"), "status 503"),
    (Fault("status", EXPORT, "429"), "status 429"),
    (Fault("slow", EXPORT, "30"), "no answer within 0.5 s"),
    (Fault("drop", EXPORT), "disconnected"),
    (Fault("cut", EXPORT), "peer closed connection|incomplete"),
    (Fault("cut-quiet", EXPORT), "broke off"),
    (Fault("html", EXPORT, "<h1>Down for maintenance</h1>"), "with 200 and .*maintenance"),
    (Fault("redirect", EXPORT, "/somewhere/else"), "with 302 and '/somewhere/else'"),
]


@pytest.mark.parametrize(("fault", "message"), FAILING, ids=lambda f: getattr(f, "kind", ""))
async def test_a_failing_server_is_retried(
    pbx: FusionPbxSimulator, fault: Fault, message: str
) -> None:
    async with session_at(pbx.url, timeout_s=0.5) as session:
        assert len(await export(session)) == 2
        pbx.faults.planned.append(Fault(fault.kind, fault.path, fault.value))
        with pytest.raises(Retry, match=message) as caught:
            await export(session)
        assert str(caught.value).startswith("pbx-1 as mcon")
        assert len(await export(session)) == 2, "the next export succeeds"
    assert pbx.logins.succeeded == 1


@pytest.mark.parametrize("path", ["/login.php", EXPORT])
async def test_a_server_that_fails_at_login_is_retried(pbx: FusionPbxSimulator, path: str) -> None:
    pbx.faults.planned.append(Fault("status", path, "502"))
    async with session_at(pbx.url) as session:
        with pytest.raises(Retry, match="status 502"):
            await export(session)
        assert len(await export(session)) == 2


async def test_a_refused_connection_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with session_at(f"http://127.0.0.1:{free_port()}") as session:
        with pytest.raises(Retry, match="ConnectError"):
            await export(session)


@pytest.mark.parametrize("level", ["gateway", "extensions", "domain"])
async def test_a_suspension_that_fails_at_any_request_succeeds_later(
    pbx: FusionPbxSimulator, level: str
) -> None:
    """Each request of a suspension fails in turn: always a Retry, and never a wrong flag."""
    switch = FusionPbxDriver("pbx-1", server_of(pbx.url), clock=FixedClock())
    service, failed_at = service_of(pbx, level), 0
    while True:
        pbx.faults.planned = [
            *([Fault("slow", value="0", times=failed_at)] if failed_at else []),
            Fault("status", value="500"),
        ]
        try:
            await suspend(switch, service)
            break
        except Retry:
            failed_at += 1
    pbx.faults.planned.clear()
    assert failed_at > 3
    assert not pbx.pbx.can_call(present(pbx.pbx.find_extension("2112", MCON)))[0]
    await switch.aclose()


async def refused(session: FusionPbxSession, message: str, **how: Any) -> None:
    with pytest.raises(Refused, match=message) as caught:
        await export(session, **how)
    assert "pbx-1" in str(caught.value)


async def test_a_wrong_key_is_refused(
    pbx: FusionPbxSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_WRONG", "wrong" * 10)
    async with session_at(pbx.url, env="TEST_FUSIONPBX_WRONG") as session:
        await refused(session, "refuses the api key: check the key")


async def test_a_valid_key_under_another_tenants_host_name_is_refused(
    pbx: FusionPbxSimulator,
) -> None:
    async with session_at(pbx.url, host=RUCKEN) as session:
        await refused(session, f"pbx-1 as {RUCKEN} refuses the api key")


async def test_a_login_page_instead_of_an_export_is_refused_and_not_an_empty_export(
    pbx: FusionPbxSimulator,
) -> None:
    async with session_at(pbx.url) as session:
        await export(session)
        pbx.faults.planned.append(Fault("html", EXPORT, LOGIN_PAGE, times=9))
        await refused(session, "refuses the api key")


async def test_no_right_to_export_is_refused(pbx: FusionPbxSimulator) -> None:
    async with session_at(pbx.url) as session:
        await export(session)
        pbx.faults.planned.append(Fault("html", EXPORT, "access denied"))
        await refused(session, "no right to export")


async def test_a_url_without_a_fusionpbx_is_refused(pbx: FusionPbxSimulator) -> None:
    async with session_at(f"{pbx.url}/wrong") as session:
        await refused(session, "answers /app/xml_cdr.* with 404: is `url` its base URL")


async def test_a_server_that_redirects_to_https_does_not_get_the_key_by_http(
    pbx: FusionPbxSimulator,
) -> None:
    pbx.faults.planned.append(Fault("redirect", "/login.php", "https://pbx.example.com/login.php"))
    async with session_at(pbx.url) as session:
        await refused(session, "redirects to https")
    assert (pbx.logins.succeeded, pbx.logins.failed) == (0, 0)


async def test_after_a_refused_login_the_next_attempt_waits(
    pbx: FusionPbxSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FusionPBX counts failed logins, and its firewall bans an address for them."""
    monkeypatch.setenv("TEST_FUSIONPBX_WRONG", "wrong" * 10)
    now = [0.0]
    server = server_of(pbx.url, env="TEST_FUSIONPBX_WRONG")
    async with FusionPbxSession("pbx-1", server, host=MCON, monotonic=lambda: now[0]) as session:
        for _ in range(5):
            await refused(session, "refuses the api key")
        assert pbx.logins.failed == 1
        now[0] += REFUSAL_PAUSE_S
        await refused(session, "refuses the api key")
        assert pbx.logins.failed == 2


async def test_a_key_that_fusionpbx_takes_for_a_user_name_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SHORT", "k" * 30)
    with pytest.raises(BadInput, match=r"api_key: got .\(hidden\)., expected at least 31"):
        session_at("http://127.0.0.1:1", env="TEST_FUSIONPBX_SHORT")


async def test_the_key_is_in_no_error_and_no_log_line(
    pbx: FusionPbxSimulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any failure and log level: not in messages, tracebacks, causes or their requests."""
    caplog.set_level(logging.DEBUG)
    faults = [*(fault for fault, _ in FAILING), Fault("html", "/", f"your key is {SUPER_KEY}")]
    for fault in faults:
        for at_login in (True, False):
            async with session_at(pbx.url, timeout_s=0.3) as session:
                if not at_login:
                    await export(session)
                pbx.faults.planned = [Fault(fault.kind, EXPORT, fault.value)]
                try:
                    await export(session)
                except (Retry, Refused) as error:
                    assert_secret_kept(error)
                pbx.faults.planned.clear()
    monkeypatch.setenv("TEST_FUSIONPBX_OTHER", ADMIN_KEY)
    async with session_at(pbx.url, host=RUCKEN, env="TEST_FUSIONPBX_OTHER") as session:
        with pytest.raises(Refused) as caught:
            await export(session)
        assert_secret_kept(caught.value)
    assert any(record.name == "httpx" for record in caplog.records), "httpx logs at this level"
    assert_no_key(caplog.text)
    for record in caplog.records:
        assert_no_key(record.getMessage())


def assert_secret_kept(error: BaseException) -> None:
    assert_no_key("".join(traceback.format_exception(error)))
    seen: BaseException | None = error
    while seen is not None:
        assert_no_key(repr(seen))
        if isinstance(seen, httpx.RequestError):
            assert_no_key(str(seen.request.url))
        seen = seen.__cause__ or seen.__context__


def assert_no_key(text: str) -> None:
    for key in (SUPER_KEY, ADMIN_KEY):
        for written in (key, httpx.QueryParams({"k": key}).__str__()[2:], key.replace("/", "%2F")):
            assert written not in text
