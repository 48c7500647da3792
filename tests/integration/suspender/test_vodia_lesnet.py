"""Services on Vodia and Les.net: decided, switched, read back as far as that goes, and restored."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.account import Service
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_pbx.servers import Servers
from suspender.drivers.wiring import open_drivers
from tests.support import lesnet as lesnet_harness
from tests.support import vodia as vodia_harness
from tests.support.suspender import SuspenderHarness
from tests.support.vodia import CFFM, service_of

STATE_PATH = "/rest/domain/{tenant}/user_settings/{extension}"


@pytest.fixture
async def harness(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=10) as pool:
        yield SuspenderHarness(database, pool)


@pytest.fixture
async def vodia(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr("suspender.drivers.vodia.calls._PAUSE_S", 0.0)
    async with vodia_harness.simulated(monkeypatch) as simulator:
        yield simulator


def product(**changed: Any) -> dict[str, Any]:
    """The product's fields, for the client's profile."""
    return service_of(**{"service_id": "svc-1001", **changed}).model_dump()


def at_vodia(vodia: Any, **settings: Any) -> Servers:
    return Servers(servers={"pbx-2": vodia_harness.server_of(vodia.url, **settings)})


def switched_off(vodia: Any) -> set[str]:
    return {e.number for e in vodia.pbx.extensions.values() if e.disabled and e.domain == CFFM}


async def test_elements_go_off_and_on_and_emergency_calls_go_on(
    harness: SuspenderHarness, vodia: Any
) -> None:
    vodia.pbx.extensions[CFFM, "2113"].disabled = True
    vodia.pbx.begin_call("2112", CFFM, "call", to="<sip:14165550100@x>")
    vodia.pbx.begin_call("2112", CFFM, "help", to="<sip:911@x>")
    await harness.profile(service=product(extensions=("2112", "2113"), hang_up="credit"))
    async with (
        open_drivers(at_vodia(vodia, extension_state_path=STATE_PATH)) as drivers,
        harness.working(drivers),
    ):
        await harness.zero()
        await harness.until_done("pbx-2")
        assert switched_off(vodia) == {"2112", "2113"}
        assert [call["callid"] for call in vodia.pbx.live[CFFM, "2112"]] == ["help"]
        assert await harness.on_record() == {"2112": True}
        await harness.restored()
        await harness.until_done("pbx-2")
    assert switched_off(vodia) == {"2113"}, "a person's is left as it was"
    suspended, restored = await harness.events()
    assert isinstance(suspended, ServiceSuspended)
    assert isinstance(restored, ServiceRestored)
    assert suspended.ended_calls == ("2112 -> 14165550100",)
    assert suspended.proven
    assert restored.proven
    assert "extension 2112 disabled, read back" in suspended.evidence


async def test_a_state_that_cannot_be_read_back_is_published_as_unproven(
    harness: SuspenderHarness, vodia: Any
) -> None:
    await harness.profile(service=product())
    async with (
        open_drivers(at_vodia(vodia, accept_unread=True)) as drivers,
        harness.working(drivers),
    ):
        await harness.zero()
        await harness.until_done("pbx-2")
        assert switched_off(vodia) == {"2112"}
        await harness.restored()
        await harness.until_done("pbx-2")
    assert switched_off(vodia) == set()
    events = await harness.events()
    assert [type(event) for event in events] == [ServiceSuspended, ServiceRestored]
    assert not any(event.proven for event in events)


async def test_without_accept_unread_the_service_is_switched_off_and_alarmed_once(
    harness: SuspenderHarness, vodia: Any
) -> None:
    await harness.profile(service=product())
    async with open_drivers(at_vodia(vodia)) as drivers, harness.working(drivers):
        await harness.zero()
        await harness.until_attempted("svc-1001", 3)
    assert switched_off(vodia) == {"2112"}
    [failed] = await harness.events()
    assert isinstance(failed, ServiceSuspensionFailed)
    assert "the order was accepted, but whether extension 2112" in failed.reason


async def test_a_shared_trunk_is_never_switched_and_an_own_one_is(
    harness: SuspenderHarness, vodia: Any
) -> None:
    await harness.profile(service=product(suspend_by="gateway", gateway_ids=("10", "12")))
    async with open_drivers(at_vodia(vodia)) as drivers, harness.working(drivers):
        await harness.zero()
        await harness.until_attempted("svc-1001", 2)
    assert vodia.pbx.trunks["10"].disabled == "true"
    assert vodia.pbx.trunks["12"].disabled == ""
    [failed] = await harness.events()
    assert isinstance(failed, ServiceSuspensionFailed)
    assert "trunk Everybody's (12) is global" in failed.reason


async def test_a_peer_is_switched_off_and_on(
    harness: SuspenderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lesnet_harness.simulated(monkeypatch) as les:
        servers = Servers(servers={"les": lesnet_harness.server_of(les, **lesnet_harness.ORDERS)})
        line = Service(
            service_id="svc-1001", name="Line", kind="lesnet", server_id="les",
            tenant=lesnet_harness.PEER, dids=(lesnet_harness.DID,),
        )  # fmt: skip
        await harness.profile(service=line.model_dump())
        async with open_drivers(servers) as drivers, harness.working(drivers):
            await harness.zero()
            await harness.until_done("les")
            assert not les.portal.peers[lesnet_harness.PEER].enabled
            await harness.restored()
            await harness.until_done("les")
        assert les.portal.peers[lesnet_harness.PEER].enabled
    events = await harness.events()
    assert [type(event) for event in events] == [ServiceSuspended, ServiceRestored]
