"""Switching a Les.net peer: by configured calls, believed only when read back; and the balance."""

import asyncio
import logging
import shutil
import ssl
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from lesnet_harness import DID, ORDERS, PEER, server_of, simulated

from cdr_ingest.lesnet_balance import BalanceWatch
from cdr_ingest.lesnet_metrics import BALANCE_LOW, BALANCE_MICRO
from ringfence.errors import BadInput, Retry
from ringfence.events.account import Service
from ringfence.observe.health import Progress
from ringfence.pbx.fusionpbx_connection import Refused
from ringfence.pbx.lesnet import LesnetApi
from ringfence.pbx.servers import Servers
from ringfence.testing.clock import FixedClock
from ringfence_local.ports import free_port
from ringfence_simulators.fusionpbx.faults import Fault
from suspender.drivers import OperatorMustAct, SwitchState, open_switches
from suspender.drivers.lesnet import LesnetSwitch

SERVICE = Service(
    service_id="svc-1", name="Line", kind="lesnet", server_id="les", tenant=PEER, dids=(DID,)
)


@pytest.fixture
async def les(monkeypatch):
    async with simulated(monkeypatch) as simulator:
        yield simulator


@pytest.fixture
async def switch_of(les):
    made = []

    def make(**settings):
        made.append(LesnetSwitch("les", server_of(les, **settings), clock=FixedClock()))
        return made[-1]

    yield make
    for switch in made:
        await switch.aclose()


def orders(**read_back):
    return ORDERS | {"read_back": ORDERS["read_back"] | read_back}


async def test_a_peer_is_suspended_and_restored_and_read_back(les, switch_of):
    switch, peer = switch_of(**ORDERS), les.portal.peers[PEER]
    assert await switch.read(SERVICE) is SwitchState.ACTIVE
    said = await switch.suspend(SERVICE)
    assert not peer.enabled
    assert said == (
        f"peer {PEER}: peer/disable sent, peer/show shows suspended, read back 12:00:00Z"
    )
    assert await switch.read(SERVICE) is SwitchState.SUSPENDED
    assert "peer/enable sent, peer/show shows active" in await switch.restore(SERVICE)
    assert peer.enabled


async def test_what_stands_right_already_is_read_and_not_ordered_again(les, switch_of):
    switch = switch_of(**ORDERS)
    assert "stood so already" in await switch.restore(SERVICE)
    assert [path for path, _ in les.site.asked] == ["peer/show"]


async def test_every_call_carries_the_envelope(les, switch_of):
    await switch_of(**ORDERS).suspend(SERVICE)
    for envelope in les.site.envelopes:
        assert envelope == {
            "authentication": {"apikey": "simulated-api-key", "idkey": "simulated-id-key"},
            "sequence": int(FixedClock().now().timestamp()),
            "peer": PEER,
        }


async def test_without_configured_calls_a_person_must_act_and_nothing_is_sent(les, switch_of):
    switch = switch_of()
    for verb in (switch.suspend, switch.restore, switch.read):
        with pytest.raises(OperatorMustAct, match=f"no call is configured to .* peer {PEER}"):
            await verb(SERVICE)
    assert les.site.asked == []


async def test_an_order_that_was_accepted_and_changed_nothing_is_no_success(les, switch_of):
    lame = ORDERS | {"suspend": {"path": "peer/show", "payload": {"peer": "{peer}"}}}
    with pytest.raises(Retry, match=f"peer {PEER} still reads active"):
        await switch_of(**lame).suspend(SERVICE)


@pytest.mark.parametrize(
    ("read_back", "said"),
    [
        ({"pointer": "/peer/status"}, "shows nothing at /peer/status"),
        ({"suspended": ("off",)}, "shows 'disabled' at /peer/state"),
    ],
)
async def test_a_read_back_that_says_something_else_is_for_a_person(
    les, switch_of, read_back, said
):
    with pytest.raises(OperatorMustAct, match=said):
        await switch_of(**orders(**read_back)).suspend(SERVICE)


async def test_calls_that_name_a_did_are_made_for_each_of_the_product(les, switch_of):
    path = {"path": "did/{did}/off"}
    switch = switch_of(**ORDERS | {"suspend": path})
    with pytest.raises(OperatorMustAct, match="there is no did/12046664021/off"):
        await switch.suspend(SERVICE)
    with pytest.raises(OperatorMustAct, match="has none"):
        await switch.suspend(SERVICE.model_copy(update={"dids": ()}))
    both = orders(payload={"peer": "{peer}", "did": "{did}"})
    twice = SERVICE.model_copy(update={"dids": (DID, "12046664022")})
    les.site.envelopes.clear()
    await switch_of(**both).suspend(twice)
    shown = [e["did"] for e in les.site.envelopes if "did" in e]
    assert shown == [DID, "12046664022"] * 2


async def test_a_product_whose_peer_is_none_is_for_a_person(les, switch_of):
    wrong = SERVICE.model_copy(update={"tenant": "../../balance"})
    with pytest.raises(OperatorMustAct, match="expected 13 hex digits"):
        await switch_of(**ORDERS).suspend(wrong)
    assert les.site.asked == []


async def test_an_error_of_the_api_is_told_in_its_words(les, switch_of):
    stranger = SERVICE.model_copy(update={"tenant": "AAAACD2BFC791"})
    with pytest.raises(OperatorMustAct, match="unknown peer: the account has no such peer"):
        await switch_of(**ORDERS).suspend(stranger)


async def test_wrong_keys_are_told_and_shown_nowhere(les, switch_of, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TEST_LESNET_API", "s3cret-api")
    monkeypatch.setenv("TEST_LESNET_ID", "s3cret-id")
    with pytest.raises(OperatorMustAct, match="authentication: apikey or idkey is wrong") as caught:
        await switch_of(**ORDERS).suspend(SERVICE)
    les.faults.planned.append(Fault("html", value="you sent s3cret-api and s3cret-id"))
    with pytest.raises(Retry, match=r"no JSON: 'you sent \*\*\* and \*\*\*'") as echoed:
        await switch_of(**ORDERS).suspend(SERVICE)
    assert "s3cret" not in f"{caught.value!r}{echoed.value!r}{caplog.text}"


UNWELL = [
    (Fault("status", value="500"), Retry, "status 500"),
    (Fault("slow", value="30"), Retry, "no answer within"),
    (Fault("drop"), Retry, "les: "),
    (Fault("cut"), Retry, "les: "),
    (Fault("cut-quiet"), Retry, "no JSON"),
    (Fault("html", value="<html>"), Retry, "no JSON"),
    (Fault("status", value="401"), OperatorMustAct, "check api_key"),
    (Fault("redirect", value="http://evil.example/"), OperatorMustAct, "status 302"),
]


@pytest.mark.parametrize(("fault", "verdict", "said"), UNWELL, ids=lambda f: getattr(f, "kind", ""))
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_an_unwell_api_never_looks_like_success(les, switch_of, fault, verdict, said, after):
    """Failing at the first look, at the order, and at the read-back."""
    spared = [Fault("slow", value="0", times=after)] if after else []
    les.faults.planned = [*spared, Fault(fault.kind, value=fault.value)]
    switch = switch_of(**ORDERS, timeout_s=0.5)
    with pytest.raises(verdict, match=said):
        await switch.suspend(SERVICE)
    assert "shows suspended" in await switch.suspend(SERVICE)


async def test_nobody_listening_is_worth_a_retry(les, switch_of):
    switch = switch_of(**ORDERS, url=f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(Retry, match="ConnectError"):
        await switch.suspend(SERVICE)


@asynccontextmanager
async def self_signed(folder):
    """A server with a certificate that it signed itself."""
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


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(les, switch_of, tmp_path):
    async with self_signed(tmp_path) as url:
        with pytest.raises(Retry, match="CERTIFICATE_VERIFY_FAILED"):
            await switch_of(**ORDERS, url=f"{url}/v1").suspend(SERVICE)


async def test_a_missing_key_stops_the_start(les, switch_of, monkeypatch):
    monkeypatch.delenv("TEST_LESNET_ID")
    with pytest.raises(BadInput, match="TEST_LESNET_ID"):
        switch_of(**ORDERS)
    assert switch_of(), "where nothing is to be sent, no key is needed"


async def test_the_suspender_knows_the_switch(les):
    servers = Servers(servers={"les": server_of(les, **ORDERS)})
    async with open_switches(servers) as switches:
        assert "shows suspended" in await switches["les"].suspend(SERVICE)


class TestBalance:
    def watch(self, les, limit="50"):
        api = LesnetApi("les-b", server_of(les), clock=FixedClock())
        progress = Progress("balance")
        return api, BalanceWatch(api, limit=Decimal(limit), every_s=900, progress=progress)

    async def test_a_balance_below_the_limit_is_shown_and_told(self, les):
        api, watch = self.watch(les)
        for balance, low in (("50.00", False), ("49.995", True), ("-3", True), ("1000", False)):
            les.portal.balance = Decimal(balance)
            assert await watch.look() is low
            assert BALANCE_LOW.labels("les-b")._value.get() == low
            assert BALANCE_MICRO.labels("les-b")._value.get() == Decimal(balance) * 1_000_000
        await api.aclose()

    async def test_a_balance_that_can_not_be_told_is_not_taken_for_a_good_one(self, les):
        api, watch = self.watch(les)
        les.portal.balance = Decimal("5")
        assert await watch.look() is True
        les.faults.planned = [Fault("status", value="500"), Fault("html", value='{"balance":"x"}')]
        assert await watch.look() is None
        assert await watch.look() is None
        assert BALANCE_LOW.labels("les-b")._value.get() == 1
        les.portal.api_key = "changed"
        assert await watch.look() is None
        with pytest.raises(Refused, match="apikey or idkey is wrong"):
            await api.balance()
        await api.aclose()
