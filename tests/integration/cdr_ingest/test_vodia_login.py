"""Both logins of Vodia, and errors with advice and without secrets."""

import asyncio
import logging
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any, Literal

import httpx
import pytest
from aiohttp import web

from ringfence_contracts.errors import Retry
from ringfence_local.embedded.ports import free_port
from ringfence_pbx.errors import Refused
from ringfence_pbx.login_pause import REFUSAL_PAUSE_S
from ringfence_pbx.vodia.api import Throttled, VodiaApi
from ringfence_simulators.faults import Fault
from ringfence_simulators.vodia.app import VodiaSimulator
from tests.support.vodia import CFFM, PASSWORD, RUCKEN, server_of, simulated

Login = Literal["basic", "session"]
both = pytest.mark.parametrize("login", ["basic", "session"])


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VodiaSimulator]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


def api(pbx: VodiaSimulator, **settings: Any) -> VodiaApi:
    return VodiaApi("pbx-2", server_of(pbx.url, **settings))


async def cdrs(vodia: VodiaApi, tenant: str = CFFM) -> list[Any]:
    return await vodia.cdrs(tenant, page=1, size=10)


@both
async def test_both_kinds_of_login_work(monkeypatch: pytest.MonkeyPatch, login: Login) -> None:
    async with simulated(monkeypatch, login=login) as pbx, api(pbx, login=login) as vodia:
        for _ in range(5):
            assert await cdrs(vodia) == []
        assert pbx.logins.begun == (1 if login == "session" else 0)
        assert pbx.logins.refused == 0


async def test_a_lost_session_is_replaced_by_a_new_login(pbx: VodiaSimulator) -> None:
    async with api(pbx, login="session") as vodia:
        for _ in range(3):
            pbx.logins.sessions.clear()
            await cdrs(vodia)
        assert pbx.logins.begun == 3


async def test_a_session_that_ends_as_soon_as_it_began_is_refused(pbx: VodiaSimulator) -> None:
    pbx.faults.planned.append(Fault("forget", "/rest/domain", times=9))
    async with api(pbx, login="session") as vodia:
        with pytest.raises(Refused, match="ends our session as soon as it began"):
            await cdrs(vodia)


@both
async def test_the_error_for_a_wrong_password_has_advice(
    pbx: VodiaSimulator, monkeypatch: pytest.MonkeyPatch, login: Login
) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", "wrong")
    async with api(pbx, login=login) as vodia:
        with pytest.raises(Refused, match=r"pbx-2 accepts neither user nor password \(401\)"):
            await cdrs(vodia)


@both
async def test_the_error_for_the_wrong_kind_of_login_names_it(
    monkeypatch: pytest.MonkeyPatch, login: Login
) -> None:
    other = "session" if login == "basic" else "basic"
    async with simulated(monkeypatch, login=other) as pbx, api(pbx, login=login) as vodia:
        with pytest.raises(Refused, match='`login` is "basic", or "session"'):
            await cdrs(vodia)


@both
async def test_the_error_without_api_access_does_not_blame_the_password(
    pbx: VodiaSimulator, login: Login
) -> None:
    async with api(pbx, login=login, user="no-api") as vodia:
        with pytest.raises(Refused, match=r"\(403\): the password is right.*API access"):
            await cdrs(vodia)


async def test_a_tenants_account_reads_its_own_tenant_only(pbx: VodiaSimulator) -> None:
    async with api(pbx, user=f"admin@{CFFM}") as vodia:
        assert await cdrs(vodia) == []
        with pytest.raises(Refused, match="403"):
            await cdrs(vodia, RUCKEN)


async def test_an_unknown_tenant_is_named(pbx: VodiaSimulator) -> None:
    async with api(pbx) as vodia:
        with pytest.raises(Refused, match=r"nobody.example/cdrs \(404\): check the tenant's name"):
            await cdrs(vodia, "nobody.example")


@both
async def test_after_a_refused_login_the_next_attempt_waits(
    pbx: VodiaSimulator, monkeypatch: pytest.MonkeyPatch, login: Login
) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", "wrong")
    now = [0.0]
    server = server_of(pbx.url, login=login)
    async with VodiaApi("pbx-2", server, monotonic=lambda: now[0]) as vodia:
        for tenant in (CFFM, RUCKEN, CFFM):
            with pytest.raises(Refused, match="401"):
                await cdrs(vodia, tenant)
        assert pbx.logins.refused == 1
        now[0] += REFUSAL_PAUSE_S
        with pytest.raises(Refused, match="401"):
            await cdrs(vodia)
        assert pbx.logins.refused == 2


async def test_a_redirect_to_https_is_not_followed(pbx: VodiaSimulator) -> None:
    pbx.faults.planned.append(Fault("redirect", "/rest", "https://pbx.example/rest"))
    async with api(pbx) as vodia:
        with pytest.raises(Refused, match="redirects to https: begin `url` with https"):
            await cdrs(vodia)


async def test_a_refused_connection_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VODIA_PASSWORD", PASSWORD)
    async with VodiaApi("pbx-2", server_of(f"http://127.0.0.1:{free_port()}")) as vodia:
        with pytest.raises(Retry, match="pbx-2: ConnectError"):
            await cdrs(vodia)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999", 3600.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3600.0),
    ],
)
@pytest.mark.parametrize("status", ["429", "503"])
async def test_the_pause_that_the_server_asks_for_is_read(
    pbx: VodiaSimulator, status: str, after: str, seconds: float
) -> None:
    pbx.faults.planned.append(Fault("status", "/rest", f"{status} {after}"))
    async with api(pbx) as vodia:
        with pytest.raises(Throttled) as caught:
            await cdrs(vodia)
    assert caught.value.after_s == seconds


async def test_an_unreadable_pause_is_an_ordinary_failure(pbx: VodiaSimulator) -> None:
    pbx.faults.planned.append(Fault("status", "/rest", "429 soon"))
    async with api(pbx) as vodia:
        with pytest.raises(Retry) as caught:
            await cdrs(vodia)
    assert not isinstance(caught.value, Throttled)


async def test_concurrent_requests_are_limited(
    pbx: VodiaSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most = 0, 0
    real = pbx.faults._act

    async def counted(fault: Any, request: web.Request, handler: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(fault, request, handler)
        finally:
            under_way -= 1

    monkeypatch.setattr(pbx.faults, "_act", counted)
    pbx.faults.planned.append(Fault("slow", "/rest", "0.02", times=99))
    async with api(pbx, concurrency=3) as vodia:
        await asyncio.gather(*(cdrs(vodia) for _ in range(20)))
    assert most == 3


async def test_waiting_for_a_slot_does_not_count_towards_the_timeout(pbx: VodiaSimulator) -> None:
    pbx.faults.planned.append(Fault("slow", "/rest", "0.2", times=99))
    async with api(pbx, concurrency=1, timeout_s=0.5) as vodia:
        assert await asyncio.gather(*(cdrs(vodia) for _ in range(5))) == [[]] * 5


@both
async def test_no_secret_is_in_any_error_or_log_line(
    pbx: VodiaSimulator, caplog: pytest.LogCaptureFixture, login: Login
) -> None:
    """Also when the server echoes the request."""
    caplog.set_level(logging.INFO)
    digest = md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
    basic = b64encode(f"admin:{PASSWORD}".encode()).decode()
    faults = [
        Fault("html", "/rest", f"you sent {PASSWORD} {digest} {basic}"),
        Fault("redirect", "/rest", f"/login?password={PASSWORD}"),
        Fault("status", "/rest", "500"),
        Fault("status", "/rest", "401", times=2),
        Fault("status", "/rest", "403"),
        Fault("drop", "/rest"),
    ]
    for fault in faults:
        async with api(pbx, login=login, timeout_s=1) as vodia:
            pbx.faults.planned = [fault]
            with pytest.raises((Retry, Refused)) as caught:
                await cdrs(vodia)
            pbx.faults.planned.clear()
        text = "".join(traceback.format_exception(caught.value))
        chain: list[BaseException] = [caught.value]
        while seen := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(seen)
        text += " ".join(map(repr, chain)) + caplog.text
        for secret in (PASSWORD, digest, basic, httpx.QueryParams({"p": PASSWORD})):
            assert str(secret) not in text
