"""A Les.net peer is switched by configured calls, and confirmed only by reading it back."""

import asyncio
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence_contracts.errors import BadInput, Retry
from ringfence_contracts.events.account import Service
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.faults import Fault
from ringfence_simulators.lesnet.app import LesnetSimulator
from ringfence_testing.clock import FixedClock
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    HungUp,
    OperatorMustAct,
    SwitchDone,
)
from suspender.drivers.lesnet.driver import LesnetDriver
from tests.support.lesnet import DID, ORDERS, PEER, server_of, simulated, targets_of
from tests.support.narrow import expect

SERVICE = Service(
    service_id="svc-1", name="Line", kind="lesnet", server_id="les", tenant=PEER, dids=(DID,)
)
STRANGER = SERVICE.model_copy(update={"service_id": "svc-2", "tenant": "AAAACD2BFC791"})

MakeDriver = Callable[..., LesnetDriver]


@pytest.fixture
async def les(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LesnetSimulator]:
    async with simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
async def driver_of(les: LesnetSimulator) -> AsyncIterator[MakeDriver]:
    made = []

    def make(**settings: Any) -> LesnetDriver:
        made.append(LesnetDriver("les", server_of(les, **settings), clock=FixedClock()))
        return made[-1]

    yield make
    for driver in made:
        await driver.aclose()


def orders(**read_back: Any) -> dict[str, Any]:
    return ORDERS | {"read_back": ORDERS["read_back"] | read_back}


async def state(driver: LesnetDriver, service: Service = SERVICE) -> ElementReading | Failure:
    """The reading of the product's peer."""
    [reading] = (await driver.read(targets_of(service))).values()
    return reading


async def switched(
    driver: LesnetDriver, service: Service = SERVICE, *, off: bool = True
) -> SwitchDone | Failure:
    """The answer to switching the product's peer, with an unknown reading."""
    [target] = targets_of(service)
    [answer] = (
        await driver.switch([ElementChange(target, off, ElementReading("unknown"))])
    ).values()
    return answer


async def refused(driver: LesnetDriver, service: Service = SERVICE, *, off: bool = True) -> str:
    """The message that asks a person to act."""
    answer = await switched(driver, service, off=off)
    assert isinstance(answer, OperatorMustAct), answer
    return str(answer)


async def test_a_peer_is_suspended_and_restored_and_read_back(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    driver, peer = driver_of(**ORDERS), les.portal.peers[PEER]
    assert await state(driver) == ElementReading("on", name=PEER)
    assert await switched(driver) == SwitchDone(
        f"peer {PEER}: peer/disable sent, peer/show shows suspended, read back 12:00:00Z"
    )
    assert not peer.enabled
    assert await state(driver) == ElementReading("off", name=PEER)
    done = expect(SwitchDone, await switched(driver, off=False))
    assert "peer/enable sent, peer/show shows active" in done.evidence
    assert peer.enabled


async def test_a_peer_in_the_desired_state_is_read_and_not_switched_again(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    done = expect(SwitchDone, await switched(driver_of(**ORDERS), off=False))
    assert "active already" in done.evidence
    assert [path for path, _ in les.site.asked] == ["peer/show"]


async def test_every_call_carries_the_envelope(les: LesnetSimulator, driver_of: MakeDriver) -> None:
    await switched(driver_of(**ORDERS))
    for envelope in les.site.envelopes:
        assert envelope == {
            "authentication": {"apikey": "simulated-api-key", "idkey": "simulated-id-key"},
            "sequence": int(FixedClock().now().timestamp()),
            "peer": PEER,
        }


async def test_without_configured_calls_a_person_must_act_and_nothing_is_sent(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    driver = driver_of()
    for off in (True, False):
        assert f"no call is configured to switch peer '{PEER}'" in await refused(driver, off=off)
    assert "do it in Les.net's portal" in str(await state(driver))
    assert await driver.live(targets_of(SERVICE)) == frozenset()
    assert les.site.asked == []


async def test_an_accepted_request_without_effect_is_a_failure(
    driver_of: MakeDriver,
) -> None:
    lame = ORDERS | {"suspend": {"path": "peer/show", "payload": {"peer": "{peer}"}}}
    answer = await switched(driver_of(**lame))
    assert isinstance(answer, Retry)
    assert f"peer {PEER} still reads active" in str(answer)


@pytest.mark.parametrize(
    ("read_back", "said"),
    [
        ({"pointer": "/peer/status"}, "shows nothing at /peer/status"),
        ({"suspended": ("off",)}, "shows 'disabled' at /peer/state"),
        ({"path": "peer/none"}, "there is no peer/none"),
    ],
)
async def test_an_unknown_read_back_needs_a_person_and_does_not_prevent_the_request(
    les: LesnetSimulator, driver_of: MakeDriver, read_back: dict[str, Any], said: str
) -> None:
    driver = driver_of(**orders(**read_back))
    assert said in await refused(driver)
    assert not les.portal.peers[PEER].enabled, "it is off all the same"
    assert await state(driver) == ElementReading("unknown", name=PEER)
    assert await driver.live(targets_of(SERVICE)) == frozenset()


async def test_calls_that_name_a_did_are_made_for_each_of_the_product(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    path = {"path": "did/{did}/off"}
    driver = driver_of(**ORDERS | {"suspend": path})
    assert "there is no did/12046664021/off" in await refused(driver)
    assert "has none" in await refused(driver, SERVICE.model_copy(update={"dids": ()}))
    both = orders(payload={"peer": "{peer}", "did": "{did}"})
    twice = SERVICE.model_copy(update={"dids": (DID, "12046664022")})
    les.site.envelopes.clear()
    await switched(driver_of(**both), twice)
    shown = [e["did"] for e in les.site.envelopes if "did" in e]
    assert shown == [DID, "12046664022"] * 2


async def test_a_product_with_an_invalid_peer_needs_a_person(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    wrong = SERVICE.model_copy(update={"tenant": "../../balance"})
    assert "expected 13 hex digits" in await refused(driver_of(**ORDERS), wrong)
    assert les.site.asked == []


async def test_an_error_of_the_api_is_quoted(driver_of: MakeDriver) -> None:
    driver = driver_of(**ORDERS)
    assert "unknown peer: the account has no such peer" in await refused(driver, STRANGER)


async def test_one_peer_that_fails_delays_and_fails_no_other(
    les: LesnetSimulator, driver_of: MakeDriver
) -> None:
    driver = driver_of(**ORDERS)
    both = targets_of(STRANGER, SERVICE)
    readings = await driver.read(both)
    assert [expect(ElementReading, readings[t.element]).state for t in both] == ["unknown", "on"]
    answers = await driver.switch(
        [ElementChange(t, True, expect(ElementReading, readings[t.element])) for t in both]
    )
    assert [type(answers[t.element]) for t in both] == [OperatorMustAct, SwitchDone]
    les.portal.peers[PEER].enabled = True
    assert await driver.live(both) == {both[1].element}


async def test_operations_that_les_net_lacks_are_reported(driver_of: MakeDriver) -> None:
    driver = driver_of(**ORDERS)
    assert await driver.hang_up(SERVICE, ["101"]) == HungUp()
    found = await driver.inventory()
    assert found.items == ()
    assert "no call of Les.net's API is known to list them" in found.gaps[0]
    with pytest.raises(OperatorMustAct, match="is switched whole"):
        await driver.extensions_of(PEER)


async def test_wrong_keys_are_reported_without_showing_them(
    les: LesnetSimulator,
    driver_of: MakeDriver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TEST_LESNET_API", "s3cret-api")
    monkeypatch.setenv("TEST_LESNET_ID", "s3cret-id")
    said = await refused(driver_of(**ORDERS))
    assert "authentication: apikey or idkey is wrong" in said
    les.faults.planned.append(Fault("html", value="you sent s3cret-api and s3cret-id"))
    with pytest.raises(Retry, match=r"no JSON: 'you sent \*\*\* and \*\*\*'") as echoed:
        await switched(driver_of(**ORDERS))
    assert "s3cret" not in f"{said}{echoed.value!r}{caplog.text}"


IN_TROUBLE = [
    (Fault("status", value="500"), "status 500"),
    (Fault("slow", value="30"), "no answer within"),
    (Fault("drop"), "les: "),
    (Fault("cut"), "les: "),
    (Fault("cut-quiet"), "no JSON"),
    (Fault("html", value="<html>"), "no JSON"),
]


@pytest.mark.parametrize(("fault", "said"), IN_TROUBLE, ids=lambda f: getattr(f, "kind", ""))
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_failing_api_is_never_taken_for_success(
    les: LesnetSimulator, driver_of: MakeDriver, fault: Fault, said: str, after: int
) -> None:
    """The first reading, the request, and the read-back fail."""
    excluded = [Fault("slow", value="0", times=after)] if after else []
    les.faults.planned = [*excluded, Fault(fault.kind, value=fault.value)]
    driver = driver_of(**ORDERS, timeout_s=0.5)
    with pytest.raises(Retry, match=said):
        await switched(driver)
    assert "shows suspended" in (expect(SwitchDone, await switched(driver))).evidence


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", value="401"), "check api_key"),
        (Fault("redirect", value="http://evil.example/"), "status 302"),
    ],
)
@pytest.mark.parametrize("after", [1, 2])
async def test_a_refused_request_or_read_back_needs_a_person(
    les: LesnetSimulator, driver_of: MakeDriver, fault: Fault, said: str, after: int
) -> None:
    les.faults.planned = [
        Fault("slow", value="0", times=after),
        Fault(fault.kind, value=fault.value),
    ]
    assert said in await refused(driver_of(**ORDERS))


async def test_a_refused_connection_raises_retry(driver_of: MakeDriver) -> None:
    driver = driver_of(**ORDERS, url=f"http://127.0.0.1:{free_port()}/v1")
    for ask in (switched(driver), state(driver), driver.live(targets_of(SERVICE))):
        with pytest.raises(Retry, match="ConnectError"):
            await ask


@asynccontextmanager
async def self_signed(folder: Path) -> AsyncIterator[Any]:
    """A server with a self-signed certificate."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl to make a certificate with")
    made = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        cwd=folder,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_self_signed_certificate_is_not_accepted(
    les: LesnetSimulator, driver_of: MakeDriver, tmp_path: Path
) -> None:
    async with self_signed(tmp_path) as url:
        with pytest.raises(Retry, match="CERTIFICATE_VERIFY_FAILED"):
            await switched(driver_of(**ORDERS, url=f"{url}/v1"))


async def test_a_missing_key_stops_the_start(
    les: LesnetSimulator, driver_of: MakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_LESNET_ID")
    with pytest.raises(BadInput, match="TEST_LESNET_ID"):
        driver_of(**ORDERS)
    assert driver_of(), "where nothing is to be sent, no key is needed"
