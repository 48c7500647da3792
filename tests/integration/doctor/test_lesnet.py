"""`ringfence doctor` for an account at Les.net, over sockets, without changing it."""

import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from ringfence_local.embedded.ports import free_port
from ringfence_pbx.http import tls
from ringfence_simulators.faults import Fault
from ringfence_simulators.lesnet.app import LesnetSimulator
from tests.support import lesnet as lesnet_harness
from tests.support.doctor import Examined, Run, doctor_command, examined
from tests.support.lesnet import DID, ORDERS, PATH, PEER

HEADER = "Date,Source,Destination,Duration\n"


@pytest.fixture
async def lesnet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LesnetSimulator]:
    async with lesnet_harness.simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return doctor_command(monkeypatch, tmp_path)


def entry(
    api_url: str,
    file_url: str,
    *,
    link: dict[str, Any] | None = None,
    orders: bool = True,
    **changed: Any,
) -> dict[str, Any]:
    return {
        "kind": "lesnet",
        "url": api_url,
        "links": [{"url": f"{file_url}{PATH}", "peer": PEER, "dids": [DID], **(link or {})}],
        "api_key": {"env": "TEST_LESNET_API"},
        "id_key": {"env": "TEST_LESNET_ID"},
        "timeout_s": 2,
        **(ORDERS if orders else {}),
        **changed,
    }


async def found_of(run: Run, simulator: LesnetSimulator, **changed: Any) -> Examined:
    return await examined(run, "l1", entry(simulator.api_url, simulator.url, **changed))


def write(simulator: LesnetSimulator, *hours_ago: float) -> None:
    """A file with one call for each of these ages in hours."""
    now = int(time.time())
    calls = [
        {"start": now - 3600 * hours, "caller": DID, "callee": "14165550100", "seconds": 61}
        for hours in hours_ago
    ]
    simulator.portal.call(PATH, calls)
    simulator.portal.write_files()


def about(found: Examined, check: str) -> dict[str, Any]:
    """A check of the file; the API can have one of the same name."""
    return found[f"l1 127.0.0.1{PATH} {check}"]


async def test_all_checks_of_a_working_account_are_ok(lesnet: LesnetSimulator, run: Run) -> None:
    write(lesnet, 30, 5)
    found = await found_of(run, lesnet, balance_below=50)
    assert {finding["state"] for finding in found.findings} == {"ok"}
    for subject in (f"l1 127.0.0.1{PATH}", "l1 API"):
        assert found[f"{subject} reachable"]["said"].startswith("answers ")
        assert found[f"{subject} TLS"]["said"] == "none, on this machine"
        assert found[f"{subject} clock"]["said"].endswith("ours")
    assert found["file"]["said"] == f"{len(lesnet.portal.files[PATH].body)} bytes"
    assert found["rows"]["said"] == "2 read, all fit"
    assert found["newest call"]["said"].endswith("5 h ago")
    assert found["credentials"]["said"] == "the keys are accepted"
    assert found["balance"]["said"] == "100.0 is left"
    assert found["rights"]["said"] == f"peer {PEER} can be read: active"


async def test_the_checks_change_nothing(lesnet: LesnetSimulator, run: Run) -> None:
    write(lesnet, 5)
    before = await state_of(lesnet)
    await found_of(run, lesnet)
    after = await state_of(lesnet)
    assert {name for name, _ in after.pop("asked")} == {PATH, "account/balance", "peer/show"}
    before.pop("asked")
    assert after == before


async def state_of(simulator: LesnetSimulator) -> dict[str, Any]:
    """The state without the counts of requests."""
    async with httpx.AsyncClient() as client:
        state = (await client.get(f"{simulator.url}/_sim/state")).json()
    return {k: v for k, v in state.items() if k not in ("requests", "busiest")}


async def test_a_wrong_key_is_reported_and_no_key_is_shown(
    lesnet: LesnetSimulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lesnet, 5)
    monkeypatch.setenv("TEST_LESNET_API", "wrong-key-word")
    found = await found_of(run, lesnet)
    assert found.failed == {"credentials"}
    assert "apikey or idkey is wrong" in found["credentials"]["said"]
    assert "rights" not in found
    assert "wrong-key-word" not in found.output
    assert lesnet.portal.id_key not in found.output


async def test_missing_keys_are_a_warning(lesnet: LesnetSimulator, run: Run) -> None:
    write(lesnet, 5)
    whole = entry(lesnet.api_url, lesnet.url, orders=False)
    del whole["api_key"], whole["id_key"]
    found = await examined(run, "l1", whole)
    assert found["credentials"]["state"] == "warn"
    assert found["newest call"]["state"] == "ok"


async def test_without_api_calls_peers_are_switched_by_hand(
    lesnet: LesnetSimulator, run: Run
) -> None:
    write(lesnet, 5)
    found = await found_of(run, lesnet, orders=False)
    assert found["rights"]["state"] == "warn"
    assert "by hand" in found["rights"]["said"]


@pytest.mark.parametrize(
    ("balance", "state", "said"),
    [("49.99", "warn", "49.99, below 50"), ("0", "fail", "nothing is left"), ("50", "ok", "left")],
)
async def test_the_balance_is_reported_with_its_state(
    lesnet: LesnetSimulator, run: Run, balance: str, state: str, said: str
) -> None:
    write(lesnet, 5)
    lesnet.portal.balance = Decimal(balance)
    found = await found_of(run, lesnet, balance_below=50)
    assert found["balance"]["state"] == state
    assert said in found["balance"]["said"]


async def test_a_balance_without_a_limit_is_reported(lesnet: LesnetSimulator, run: Run) -> None:
    write(lesnet, 5)
    assert "no `balance_below`" in (await found_of(run, lesnet))["balance"]["said"]


async def test_a_suspended_peer_reads_so_and_an_unknown_one_fails(
    lesnet: LesnetSimulator, run: Run
) -> None:
    write(lesnet, 5)
    lesnet.portal.peers[PEER].enabled = False
    assert (await found_of(run, lesnet))["rights"]["said"] == f"peer {PEER} can be read: suspended"
    found = await found_of(run, lesnet, link={"peer": "A" * 13})
    assert found.failed == {"rights"}
    assert "no such peer" in found["rights"]["said"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pointer": "/peer/missing"}, "'nothing' at /peer/missing"),
        ({"active": ["on"]}, "'enabled' at /peer/state"),
    ],
)
async def test_a_wrong_read_back_is_reported(
    lesnet: LesnetSimulator, run: Run, changed: dict[str, Any], said: str
) -> None:
    write(lesnet, 5)
    found = await found_of(run, lesnet, read_back={**ORDERS["read_back"], **changed})
    assert found.failed == {"rights"}
    assert said in found["rights"]["said"]


async def test_a_read_back_with_a_did_gets_the_links_did(lesnet: LesnetSimulator, run: Run) -> None:
    write(lesnet, 5)
    read_back = {**ORDERS["read_back"], "payload": {"peer": "{peer}", "did": "{did}"}}
    found = await found_of(run, lesnet, read_back=read_back)
    assert found["rights"]["state"] == "ok"
    assert lesnet.site.envelopes[-1]["did"] == DID


async def test_rows_that_do_not_match_the_profile_are_counted(
    lesnet: LesnetSimulator, run: Run
) -> None:
    good = "2026-11-20 10:00:00,12046664021,14165550100,61\n"
    lesnet.portal.put(PATH, (HEADER + good * 40 + "nonsense\n").encode())
    found = await found_of(run, lesnet)
    assert found["rows"]["state"] == "warn"
    assert "40 read, 1 do not fit; the first, line 42" in found["rows"]["said"]
    lesnet.portal.put(PATH, (HEADER + good * 2 + "nonsense\n").encode())
    found = await found_of(run, lesnet)
    assert found.failed == {"rows"}
    assert "refused whole" in found["rows"]["said"]


@pytest.mark.parametrize(
    ("hours", "state", "said"), [(27, "warn", "27 h ago"), (-6, "warn", "ahead of now")]
)
async def test_a_newest_row_of_another_day_or_in_the_future_is_a_warning(
    lesnet: LesnetSimulator, run: Run, hours: int, state: str, said: str
) -> None:
    write(lesnet, hours)
    found = await found_of(run, lesnet)
    assert found["newest call"]["state"] == state
    assert said in found["newest call"]["said"]


@pytest.mark.parametrize("body", [b"", HEADER.encode()])
async def test_a_file_without_rows_is_a_warning(
    lesnet: LesnetSimulator, run: Run, body: bytes
) -> None:
    lesnet.portal.put(PATH, body)
    found = await found_of(run, lesnet)
    assert found.failed == set()
    assert found["rows"]["state"] == found["newest call"]["state"] == "warn"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!doctype html><p>Log in", "a web page came"),
        (HEADER.encode() + b"2026-11-20 10:00:00,1204666", "cut off"),
        (b"When,Who\n1,2\n", "header"),
    ],
)
async def test_an_incomplete_cdr_file_fails(
    lesnet: LesnetSimulator, run: Run, body: bytes, said: str
) -> None:
    lesnet.portal.put(PATH, body)
    found = await found_of(run, lesnet)
    assert found.failed == {"file"}
    assert said in found["file"]["said"]
    assert found["balance"]["state"] == "ok"


async def test_a_protected_file(
    lesnet: LesnetSimulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lesnet, 5)
    lesnet.portal.files[PATH].login = "reader:hush-hush"
    found = await found_of(run, lesnet)
    assert "status 401: the file is protected" in found["file"]["said"]
    monkeypatch.setenv("TEST_LINK", "hush-hush")
    protected = {"user": "reader", "password": {"env": "TEST_LINK"}}
    found = await found_of(run, lesnet, link=protected)
    assert found.failed == set()
    assert about(found, "reachable")["said"].startswith("answers with 200")
    assert "hush-hush" not in found.output


async def test_a_links_query_can_be_a_secret_and_is_not_shown(
    lesnet: LesnetSimulator, run: Run
) -> None:
    link = {"url": f"http://127.0.0.1:{free_port()}{PATH}?token=hush-hush"}
    found = await found_of(run, lesnet, link=link)
    assert found.failed == {"reachable"}
    assert "hush-hush" not in found.output


API = "/v1/account/balance/"


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault("status", "/cdr", "500"), "reachable", "answers with 500"),
        (Fault("status", "/cdr", "429 77"), "reachable", "not before '77'"),
        (Fault("slow", "/cdr", "30"), "reachable", "no answer within 0.5 s"),
        (Fault("drop", "/cdr"), "reachable", "disconnected"),
        (Fault("status", "/cdr", "404"), "file", "status 404: correct the link's url"),
        (Fault("status", "/cdr", "403"), "file", "status 403: the file is protected"),
        (Fault("html", "/cdr", "<p>Log in"), "file", "sends a web page"),
        (Fault("cut", "/cdr"), "file", "ProtocolError"),
        (
            Fault("redirect", "/cdr", "http://other.example/"),
            "file",
            "redirects to 'other.example'",
        ),
        (Fault("status", API, "500"), "credentials", "status 500"),
        (Fault("status", API, "401"), "credentials", "check api_key and id_key"),
        (Fault("status", API, "429 7"), "credentials", "status 429"),
        (Fault("html", API, "<p>Welcome"), "credentials", "<p>Welcome"),
        (Fault("slow", API, "30"), "credentials", "no answer within"),
        (Fault("cut", API), "credentials", "ProtocolError"),
        (Fault("redirect", API, "/login"), "credentials", "check url and the path"),
        (Fault("drop", "/v1/peer"), "rights", "disconnected"),
        (Fault("status", "/v1/peer", "403"), "rights", "status 403"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_each_problem_is_reported_by_its_check(
    lesnet: LesnetSimulator, run: Run, fault: Fault, check: str, said: str
) -> None:
    write(lesnet, 5)
    fault.times = 10**6
    lesnet.faults.planned = [fault]
    found = await found_of(run, lesnet, timeout_s=0.5)
    assert found.failed == {check}
    (failed,) = [f for f in found.findings if f["state"] == "fail"]
    assert said in failed["said"]


async def test_files_are_checked_while_the_api_is_unreachable(
    lesnet: LesnetSimulator, run: Run
) -> None:
    write(lesnet, 5)
    found = await found_of(run, lesnet, url=f"http://127.0.0.1:{free_port()}/v1")
    assert found["l1 API reachable"]["state"] == "fail"
    assert found["newest call"]["state"] == "ok"


async def test_an_unreadable_profile_is_reported(
    lesnet: LesnetSimulator, run: Run, tmp_path: Path
) -> None:
    found = await found_of(run, lesnet, profile=str(tmp_path / "none.toml"))
    assert found.failed == {"settings"}
    assert found["balance"]["state"] == "ok"


async def test_an_account_without_links_fails(lesnet: LesnetSimulator, run: Run) -> None:
    found = await found_of(run, lesnet, links=[])
    assert found.failed == {"files"}
    assert found["rights"]["state"] == "warn"


async def test_missing_keys_are_named_by_their_paths(
    lesnet: LesnetSimulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_LESNET_ID")
    found = await found_of(run, lesnet)
    assert found.failed == {"secret"}
    assert "TEST_LESNET_ID" in found["secret"]["said"]


async def test_a_certificate_is_verified_and_its_days_are_counted(
    lesnet: LesnetSimulator, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten days left are a warning; an unknown authority is a failure."""
    certificate = self_signed(tmp_path, days=11)
    async with sealed(certificate, tmp_path) as url:
        found = await found_of(run, lesnet, link={"url": f"{url}{PATH}"})
        assert about(found, "TLS")["state"] == "fail"
        assert "SSL_CERT_FILE" in about(found, "TLS")["do"]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        tls.cache_clear()
        try:
            found = await found_of(run, lesnet, link={"url": f"{url}{PATH}"})
        finally:
            tls.cache_clear()
        assert about(found, "TLS")["state"] == "warn"
        assert about(found, "TLS")["said"] == "the certificate is valid for 10 days more"
        assert found["rows"]["said"] == "1 read, all fit"


def self_signed(folder: Path, *, days: int) -> Path:
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl")
    path = folder / "certificate.pem"
    order = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days)]
    order += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*order, "-keyout", folder / "key.pem", "-out", path], check=True, capture_output=True
    )
    return path


@asynccontextmanager
async def sealed(certificate: Path, folder: Path) -> AsyncIterator[str]:
    """A web server with this certificate and a file of one call."""

    async def file(_: web.Request) -> web.Response:
        return web.Response(text=HEADER + "2026-11-20 10:00:00,12046664021,14165550100,61\n")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, folder / "key.pem")
    app = web.Application()
    app.add_routes([web.get(PATH, file)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
