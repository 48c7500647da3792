"""Any answer of a PBX, byte for byte, is handled: it becomes a Retry or a Refused."""

import asyncio
from asyncio.streams import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ringfence.clock import SystemClock
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.account import Service
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.http import PbxClient
from ringfence_pbx.lesnet.api import LesnetApi
from ringfence_pbx.servers import LesnetServer, VodiaServer
from ringfence_pbx.vodia.connection import VodiaConnection
from suspender.drivers.driver import ElementChange, ElementReading, OperatorMustAct, SwitchTarget
from suspender.drivers.fusionpbx.driver import FusionPbxDriver
from suspender.rules.elements import Element
from tests.support.fusionpbx import (
    MCON,
    NOON,
    SUPER_KEY,
    outcomes_of,
    server_of,
    session_at,
    simulator_process,
)

LIST = "/app/gateways/gateways.php"
COOKIE = "Set-Cookie: odd=caf\xe9; path=/"

ODD_HEADERS = [
    COOKIE,
    "Set-Cookie: \xe9\xff=1",
    "Set-Cookie: a=b; expires=Mon, 01-Jan-999999 00:00:00 GMT; max-age=99999999999999999999",
    "Set-Cookie: a=b; port=x; version=y; domain=.; path=\xff",
    'Set-Cookie2: a="b"; Version=zz',
    "Content-Type: text/html; charset=no-such-charset",
    "Content-Type: \xff\xfe",
    "X-Odd: \x80\x81\xfe\xff",
    "Retry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Link: <\xe9>; rel=\xff",
    "Date: \xff",
]


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    async with simulator_process(tmp_path) as url:
        yield url


async def plan(url: str, **fault: int | str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        (await http.post("/_sim/faults", json=fault)).raise_for_status()


@pytest.mark.parametrize("line", ODD_HEADERS)
async def test_an_odd_header_in_a_good_answer_has_no_effect(url: str, line: str) -> None:
    """On the login page, at the login and on a list; the next request would send the odd cookie."""
    async with session_at(url) as session:
        await plan(url, kind="header", value=line, times=9)
        for _ in range(2):
            assert len((await session.list_rows("gateways", all_tenants=True)).rows) == 2
        assert len(await session.live_gateways()) == 2


def head(status: str, *lines: str, body: str = "") -> str:
    added = ("Connection: close", f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, *added, "", body])


ODD_ANSWERS = {
    "gzip": head("200 OK", "Content-Encoding: gzip", body="\x1f\x8b nonsense"),
    "brotli": head("200 OK", "Content-Encoding: br", body="x"),
    "no address": head("302 Found", "Location: http://[::1"),
    "bad port": head("302 Found", "Location: http://pbx:99999999/"),
    "no host": head("302 Found", "Location: http://\xe9\xff..\xad/"),
    "odd cookie": head("302 Found", "Location: somewhere", COOKIE),
    "no status": "HTTP/1.1 abc\r\n\r\n",
    "status 99": head("099 Odd"),
    "status 799": head("799 Odd"),
    "switching": head("101 Switching Protocols"),
    "no http": "\x00\x01\x02\xff\xfe",
    "two lengths": head("200 OK", "Content-Length: 7", body="<html>"),
    "bad length": "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bytes": head("200 OK", body="".join(map(chr, range(256)))),
    "marked section": head("200 OK", body="<![x[ <![if !IE]> <!ELEMENT <?php <!"),
    "endless number": head("200 OK", body=f"<p>&#{'9' * 5000};</p>"),
    "far later": head("503 Busy", "Retry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999999999"),
    "long": head("200 OK", f"X-Long: {'x' * 200_000}"),
    "nothing": "",
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=list(ODD_ANSWERS))
async def test_an_odd_answer_is_an_error_and_the_next_request_succeeds(
    url: str, answer: str
) -> None:
    async with session_at(url, timeout_s=2) as session:
        await session.list_rows("gateways", all_tenants=True)
        await plan(url, kind="raw", path=LIST, value=answer)
        with pytest.raises((Retry, Refused), match="pbx-1 as mcon"):
            await session.list_rows("gateways", all_tenants=True)
        assert len((await session.list_rows("gateways", all_tenants=True)).rows) == 2


PATHS = [
    "/app/gateways/gateways.php",
    "/app/extensions/extensions.php",
    "/app/extensions/extension_edit.php",
    "/app/extensions/extension_download.php",
    "/core/domains/domains.php",
    "/app/sip_status/sip_status.php",
    "/app/sip_status/cmd.php",
    "/app/calls_active/calls_active_inc.php",
]


@pytest.mark.parametrize("path", PATHS)
async def test_an_odd_answer_of_any_page_fails_the_driver_and_the_next_attempt_succeeds(
    url: str, path: str
) -> None:
    """After a good login, at each page in turn; the next attempt is confirmed."""
    driver = FusionPbxDriver("pbx-1", server_of(url, timeout_s=2), clock=SystemClock())
    services = [product(), product(suspend_by="domain"), product(outbound_only=True)]
    async with httpx.AsyncClient(base_url=url) as http:
        state = (await http.get("/_sim/state")).json()
    ids = tuple(gateway["uuid"] for gateway in state["gateways"])
    services.append(product(suspend_by="gateway", gateway_ids=ids))
    for number, answer in enumerate(ODD_ANSWERS.values()):
        await plan(url, kind="raw", path=path, value=answer)
        for _ in range(4):
            with suppress(Retry, OperatorMustAct):
                values, off = {"2112": "local"}, number % 2 == 0
                outcomes = await outcomes_of(driver, *services, off=off, values=values)
                await driver.hang_up(services[0], {"2112"})
                if not any(isinstance(outcome, Exception) for outcome in outcomes.values()):
                    break
        else:
            raise AssertionError(f"never confirmed: {outcomes}")
    await driver.aclose()


async def test_the_error_for_a_compressed_answer_names_it(url: str) -> None:
    async with session_at(url) as session:
        await plan(url, kind="raw", path="/login.php", value=ODD_ANSWERS["gzip"])
        with pytest.raises(Retry, match=r"Content-Encoding 'gzip', though an uncompressed body"):
            await session.list_rows("gateways")


async def ask_everything(port: int) -> None:
    """Each kind of server's client, once, against the server at that address."""
    url = f"http://127.0.0.1:{port}"
    vodia = VodiaServer.model_validate(
        {"kind": "vodia", "url": url, "user": "admin", "password": {"env": "TEST_ODD_SECRET"},
         "timeout_s": 2}
    )  # fmt: skip
    lesnet = LesnetServer.model_validate(
        {"kind": "lesnet", "url": url, "api_key": {"env": "TEST_ODD_SECRET"},
         "id_key": {"env": "TEST_ODD_SECRET"}, "timeout_s": 2}
    )  # fmt: skip
    connection = VodiaConnection("vodia-1", vodia)
    api = LesnetApi("lesnet-1", lesnet, clock=SystemClock())
    async with session_at(url, timeout_s=2) as session:
        for ask in (
            lambda: session.list_rows("gateways"),
            lambda: exported(session),
            lambda: connection.get("/rest/system/domains"),
            lambda: api.balance(),
        ):
            for _ in range(2):
                with suppress(Retry, Refused):
                    await ask()
    await connection.aclose()
    await api.aclose()


GATEWAYS = [f"{number:08x}-0000-0000-0000-000000000000" for number in range(7)]


def product(**changed: Any) -> Service:
    return Service.model_validate(
        {"service_id": "svc-1", "name": "VoIP", "kind": "fusionpbx", "server_id": "pbx-1",
         "tenant": MCON, "extensions": ("2112",), **changed}
    )  # fmt: skip


async def switch_everything(port: int) -> None:
    """Each method of the driver, for each kind of element."""
    server = server_of(f"http://127.0.0.1:{port}", timeout_s=2, concurrency=2)
    driver = FusionPbxDriver("pbx-1", server, clock=SystemClock())
    elements = [
        *(Element("gateway", "", uuid) for uuid in GATEWAYS),
        *(Element(way, MCON, "2112") for way in ("extensions", "outbound")),
        Element("domain", MCON, MCON),
    ]
    targets = [SwitchTarget(element, product()) for element in elements]
    changes = [ElementChange(target, True, ElementReading("on")) for target in targets]
    for ask in (
        lambda: driver.read(targets),
        lambda: driver.read(targets[:1]),
        lambda: driver.switch(changes),
        lambda: driver.switch([change._replace(off=False) for change in changes]),
        lambda: driver.switch(changes[:1]),
        lambda: driver.extensions_of(MCON),
        lambda: driver.hang_up(product(), {"2112"}),
        lambda: driver.live(targets),
        lambda: driver.inventory(),
    ):
        with suppress(Retry, OperatorMustAct):
            await ask()
    await driver.aclose()


async def exported(session: FusionPbxSession) -> list[Any]:
    async with aclosing(session.export(int(NOON) - 9, int(NOON))) as lines:
        return [line async for line in lines]


async def answering(answer: bytes, ask: Callable[..., Any] = ask_everything) -> None:
    """Every connection gets these bytes and nothing else."""

    async def say(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        await ask(server.sockets[0].getsockname()[1])


WORDS = st.sampled_from(
    [b"<form id='form_list'>", b"<tr class='list-row'>", b"<![", b"<!", b"&#", b"9" * 5000, b"</",
     b"display_message('", b"\\", b"{\"balance\":", b"1e999999999999999999999", b"\xff", b"\r\n",
     b"\n", b"\"xml_cdr_uuid\"", b"<input type='password'>", b"<?", b"[" * 3000, b"\x00"]
)  # fmt: skip
BODIES = st.lists(WORDS | st.binary(max_size=20), max_size=12).map(b"".join)
LINES = st.lists(
    st.sampled_from([line.encode("latin-1") for line in ODD_HEADERS])
    | st.tuples(
        st.sampled_from([b"Set-Cookie", b"Location", b"Retry-After", b"Content-Type", b"X"]),
        st.binary(max_size=20).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"")),
    ).map(b": ".join),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    status=st.sampled_from([200, 301, 302, 304, 401, 403, 404, 429, 500, 503]),
    lines=LINES,
    body=BODIES,
)
@example(status=200, lines=[], body=b'{"balance": 1e999999999999999999999}')
@example(status=302, lines=[b"Location: /x", b"Set-Cookie: a=\xe9"], body=b"")
def test_any_bytes_from_any_kind_of_server_are_a_retry_or_a_refusal(
    status: int, lines: list[bytes], body: bytes
) -> None:
    first = f"HTTP/1.1 {status} Odd".encode()
    length = f"Content-Length: {len(body)}".encode()
    answer = b"\r\n".join([first, *lines, length, b"Connection: close", b"", body])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
        patch.setenv("TEST_ODD_SECRET", "s" * 40)
        asyncio.run(answering(answer))


PAGES = st.sampled_from(
    [b"<form id='form_list' method='post'>", b"<tr class='list-header'><th>Number</th>",
     b"<th>Destination</th></tr>", b"<tr class='list-row'>", b"<td>2112</td>", b"<td>external</td>",
     b"<td>Profile</td>", b"<td>RUNNING (0)</td>", b"</tr>", b"</form>", b"</html>",
     f"<input type='hidden' name='{'0a' * 32}' value='{'f9' * 32}'>".encode(),
     f"<input type='hidden' name='gateways[0][uuid]' value='{GATEWAYS[0]}'>".encode(),
     f"<input type='hidden' name='extensions[0][uuid]' value='{GATEWAYS[0]}'>".encode(),
     f"<a href='extension_edit.php?id={GATEWAYS[0]}'>2112</a>".encode(),
     f"<a href='domain_edit.php?id={GATEWAYS[0]}'>{MCON}</a>".encode(),
     f"<a href='cmd.php?profile=external&gateway={GATEWAYS[0]}&action=killgw'>x</a>".encode(),
     b"<input type='text' name='extension' value='2112'>", b"<input name='toll_allow' value='x'>",
     b"<input type='password' name='password' value='x'>", b"<button>True</button>",
     b"<input name='gateway' type='text' value='T'>", b"<select name='toll_allow'>",
     b"extension_uuid,extension,toll_allow,domain_uuid\n", b"x,2112,y,z\n",
     b"<script>display_message('+OK', 'alert', '1');</script>", b"&#999999999999999;",
     b"access denied"]
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    first=st.sampled_from([b"200 OK", b"302 Found\r\nLocation: x.php", b"404 Gone", b"500 Odd"]),
    body=st.lists(PAGES | WORDS, max_size=25).map(b"".join),
)
def test_any_page_of_a_fusionpbx_is_an_outcome_of_its_driver(first: bytes, body: bytes) -> None:
    length = f"Content-Length: {len(body)}".encode()
    answer = b"\r\n".join([b"HTTP/1.1 " + first, length, b"Connection: close", b"", body])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
        patch.setattr("suspender.drivers.fusionpbx.trunks.PAUSE_S", 0.0)
        patch.setattr("suspender.drivers.fusionpbx.calls.PAUSE_S", 0.0)
        asyncio.run(answering(answer, switch_everything))


async def test_any_error_within_httpx_becomes_an_http_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For an error in any part of an answer."""

    def stumble(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    transport = httpx.MockTransport(stumble)
    async with PbxClient(headers={}, timeout_s=1, transport=transport) as client:
        with pytest.raises(httpx.RemoteProtocolError, match=r"understood \(ZeroDivisionError\)"):
            await client.get(f"http://{MCON}/")
