"""What operators ask of the suspender: reapply, release, pause; and calls that are hung up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ringfence.observe.health import Progress
from ringfence.postgres.pool import open_pool
from ringfence_testing.clock import FixedClock
from ringfence_testing.records import NOON
from ringfence_testing.wait import until
from suspender.decider import DecideLoop
from suspender.drivers.driver import HungUp
from tests.support.narrow import expect
from tests.support.suspender import FakePbx, SuspenderHarness, order, products

SERVICE = {"account_id": "1001", "service_id": "svc-1001"}


@pytest.fixture
async def harness(database: str) -> AsyncIterator[SuspenderHarness]:
    async with await open_pool(database, service="suspender", size=8) as pool:
        yield SuspenderHarness(database, pool)


async def last_answer(harness: SuspenderHarness, name: str, **arguments: str) -> tuple[str, str]:
    """State and words of a command's answer."""
    await harness.command(name, arguments=arguments)
    return (await harness.answers())[-1]


# --- reapply ---


async def test_reapply_switches_the_server_although_nothing_changed(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    harness.fake_pbx.off_now.clear()
    state, words = await last_answer(harness, "service.reapply", **SERVICE)
    assert state == "done"
    assert "product svc-1001 of client 1001 is to be off: server pbx1 is read" in words
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}


async def test_reapply_ends_the_back_off_of_a_service_that_fails(harness: SuspenderHarness) -> None:
    harness.fake_pbx.refuses = "no right"
    await harness.profile()
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-1001", 3)
    harness.fake_pbx.refuses = ""
    await harness.sql("update suspender.service set next_attempt_at = now() + interval '1 hour'")
    await last_answer(harness, "service.reapply", **SERVICE)
    row = await harness.row()
    assert (row["attempts"], row["last_error"]) == (0, "")
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}


async def test_reapply_is_done_once_by_its_id(harness: SuspenderHarness) -> None:
    await harness.profile()
    request_id = await harness.command("service.reapply", arguments=SERVICE)
    await harness.command("service.reapply", request_id, arguments=SERVICE)
    assert (await harness.row())["wanted_seq"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"account_id": "1001"}, "service_id: got nothing"),
        ({"service_id": "svc-1001"}, "account_id: got nothing"),
        ({**SERVICE, "account_id": "9"}, "account_id: got 9, expected the id of a client"),
        ({**SERVICE, "service_id": "x"}, "service_id: got x, expected a product of client 1001:"),
    ],
)
async def test_an_unknown_service_is_refused_with_a_reason(
    harness: SuspenderHarness, arguments: dict[str, str], words: str
) -> None:
    await harness.profile()
    for name in ("service.reapply", "service.release"):
        state, answer = await last_answer(harness, name, **arguments)
        assert state == "refused"
        assert words in answer
    assert len(await harness.sql("select from suspender.account")) == 1


async def test_reapply_in_shadow_is_refused_with_what_to_do(harness: SuspenderHarness) -> None:
    await harness.profile(mode="shadow")
    state, words = await last_answer(harness, "service.reapply", **SERVICE)
    assert state == "refused"
    assert "ringfence mode live --clients 1001" in words
    assert await harness.settled()


# --- release ---


async def test_release_switches_on_what_left_the_product_though_the_hold_lasts(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(services=products("svc-1001", extensions=("101", "102")))
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, services=products("svc-1001", extensions=("101",)))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    state, words = await last_answer(harness, "service.release", version="2", **SERVICE)
    assert (state, words) == (
        "done",
        "product svc-1001 of client 1001: 1 elements are released: 102",
    )
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}
    await harness.profile(3, services=products("svc-1001", extensions=("103",)))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "103"}  # what leaves later stays with the hold


async def test_release_that_overtakes_its_profile_waits_for_it(harness: SuspenderHarness) -> None:
    """The command and the profile come by two topics."""
    await harness.profile(services=products("svc-1001", extensions=("101", "102")))
    await harness.zero()
    await harness.work_done()
    _, words = await last_answer(harness, "service.release", version="2", **SERVICE)
    assert "when that version has arrived (it is at 1 now)" in words
    await harness.work_done()
    assert harness.fake_pbx.off == {"101", "102"}
    await harness.profile(2, services=products("svc-1001", extensions=("101",)))
    await harness.work_done()
    assert harness.fake_pbx.off == {"101"}


async def test_release_of_a_product_that_is_gone_switches_all_of_it_on(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    await harness.profile(2, services=())
    await harness.work_done()
    assert harness.fake_pbx.off == {"svc-1001"}
    _, words = await last_answer(harness, "service.release", version="2", **SERVICE)
    assert "1 elements are released: svc-1001" in words
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert type((await harness.events())[-1]).__name__ == "ServiceRestored"


async def test_release_deletes_records_of_elements_that_no_longer_exist(
    harness: SuspenderHarness,
) -> None:
    """The gateway was deleted at the server: nothing else shows that it is gone for good."""
    gone = products("svc-1001", suspend_by="gateway", gateway_ids=("aa", "bb"))
    await harness.profile(services=gone)
    await harness.zero()
    await harness.work_done()
    harness.fake_pbx.missing = {"bb"}
    left = products("svc-1001", suspend_by="gateway", gateway_ids=("aa",))
    await harness.profile(2, services=left)
    await last_answer(harness, "service.release", version="2", **SERVICE)
    await harness.work_done()
    assert await harness.on_record() == {"aa": True}


@pytest.mark.parametrize("version", ["", "x", "0", "-1", "9999999999"])
async def test_an_invalid_version_is_refused(harness: SuspenderHarness, version: str) -> None:
    await harness.profile()
    state, words = await last_answer(harness, "service.release", version=version, **SERVICE)
    assert state == "refused"
    assert words.startswith("version: got ")


# --- pause ---


async def test_nothing_is_switched_on_a_paused_server_until_it_is_resumed(
    harness: SuspenderHarness,
) -> None:
    await harness.profile(1, "off")
    await harness.zero("off")
    await harness.work_done()
    harness.fake_pbx.calls.clear()
    state, words = await last_answer(harness, "server.pause", server_id="pbx1")
    assert (state, words) == (
        "done",
        "server pbx1 is paused until it is resumed: nothing is sent to it",
    )
    await harness.restored("off")
    await harness.profile(1, "other", services=products("svc-other", server_id="pbx2"))
    await harness.zero("other")
    other = FakePbx()
    async with harness.working({"pbx1": harness.fake_pbx, "pbx2": other}):
        await harness.until_confirmed("svc-other")
    assert harness.fake_pbx.calls == []
    assert (await last_answer(harness, "server.resume", server_id="pbx1"))[0] == "done"
    await harness.work_done()
    assert harness.fake_pbx.off == set()
    assert [item for item in await harness.alarms() if item[0] == "server-paused"] == [
        ("server-paused", "pbx1", "raised"),
        ("server-paused", "pbx1", "ended"),
    ]


async def test_a_pause_with_an_end_ends_by_itself(harness: SuspenderHarness) -> None:
    end = NOON + timedelta(hours=1)
    await last_answer(harness, "server.pause", server_id="pbx1", until=end.isoformat())
    (row,) = await harness.sql("select server_id, paused_until, paused_by from report.server_pause")
    assert tuple(row) == ("pbx1", end, "olga")
    await harness.decider.end_pauses()
    assert len(await harness.sql("select from report.server_pause")) == 1
    expect(FixedClock, harness.clock).set(end)
    stop = asyncio.Event()
    loop = asyncio.create_task(DecideLoop(harness.decider, Progress("by-time")).run(stop))

    async def resumed() -> bool:
        return not await harness.sql("select from report.server_pause")

    await until(resumed)
    stop.set()
    await loop
    assert [state for key, _, state in await harness.alarms()] == ["raised", "ended"]


@pytest.mark.parametrize("until_text", ["tomorrow", "2026-11-21T11:00:00Z", "2026-12-01T06:00:00"])
async def test_a_pause_that_cannot_end_is_refused(
    harness: SuspenderHarness, until_text: str
) -> None:
    state, words = await last_answer(harness, "server.pause", server_id="pbx1", until=until_text)
    assert state == "refused"
    assert words.startswith(f"until: got {until_text}, expected an instant")
    assert (await last_answer(harness, "server.resume", server_id="pbx1"))[0] == "refused"


# --- servers that nobody configures any more ---


async def test_a_server_that_left_the_servers_file_has_an_alarm_until_it_returns(
    harness: SuspenderHarness,
) -> None:
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    for _ in range(2):
        async with harness.working({}):
            await harness.until_alarm("server-abandoned")
    async with harness.working():

        async def ended() -> bool:
            return ("server-abandoned", "pbx1", "ended") in await harness.alarms()

        await until(ended)
    assert [item for item in await harness.alarms() if item[0] == "server-abandoned"] == [
        ("server-abandoned", "pbx1", "raised"),
        ("server-abandoned", "pbx1", "ended"),
    ]


# --- live calls ---


@pytest.mark.parametrize(
    ("reason", "setting", "ends"),
    [
        ("credit", "credit", True),
        ("outstanding", "credit", False),
        ("credit", "never", False),
    ],
)
async def test_live_calls_are_ended_only_where_the_credit_is_used_up(
    harness: SuspenderHarness, reason: str, setting: str, ends: bool
) -> None:
    harness.fake_pbx.live_calls = HungUp(("101 -> 14165550100",), ("101 -> 911",))
    await harness.profile(services=products("svc-1001", extensions=("101", "102"), hang_up=setting))
    await harness.zero(reason=reason)
    await harness.work_done()
    (event,) = await harness.suspensions()
    if ends:
        assert harness.fake_pbx.hung_up == [("svc-1001", ("101", "102"))]
        assert event.ended_calls == ("101 -> 14165550100",)
        assert "ended 1 live calls: 101 -> 14165550100" in event.evidence
        assert "spared emergency calls: 101 -> 911" in event.evidence
    else:
        assert harness.fake_pbx.hung_up == []
        assert event.ended_calls == ()


@pytest.mark.parametrize("hang_up", [True, False])
async def test_a_manual_order_ends_live_calls_only_if_it_says_so(
    harness: SuspenderHarness, hang_up: bool
) -> None:
    given = order("manual").model_copy(update={"hang_up": hang_up})
    other = order("whmcs", "svc-other").model_copy(update={"hang_up": True})
    lifted = order("exemption").model_copy(update={"hang_up": True})
    await harness.profile(orders=(given, other, lifted), service={"hang_up": "credit"})
    await harness.work_done()
    assert len(harness.fake_pbx.hung_up) == int(hang_up)


async def test_the_rest_of_the_tenant_loses_its_calls_too(harness: SuspenderHarness) -> None:
    harness.fake_pbx.extensions["north.example"] = {"101", "102", "201"}
    await harness.profile(1, "2002", services=products("svc-b", extensions=("201",)))
    gateway = {"suspend_by": "gateway", "gateway_ids": ("aa",)}
    rest = {"rest_of_tenant": True, "hang_up": "credit", "extensions": ("101",)}
    await harness.profile(services=products("svc-1001", **rest))
    await harness.profile(1, "3003", services=products("svc-c", **gateway, **rest))
    await harness.zero()
    await harness.work_done()
    assert harness.fake_pbx.hung_up == [("svc-1001", ("101", "102"))]


async def test_a_restore_ends_no_calls(harness: SuspenderHarness) -> None:
    await harness.profile(service={"hang_up": "credit"})
    await harness.zero()
    await harness.restored()
    await harness.work_done()
    assert harness.fake_pbx.hung_up == []


async def test_calls_that_cannot_be_ended_keep_the_service_from_being_confirmed(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.hang_up_fails = True
    await harness.profile(service={"hang_up": "credit"})
    await harness.zero()
    async with harness.working():
        await harness.until_attempted("svc-1001", 1)
        assert harness.fake_pbx.off == {"svc-1001"}
        assert await harness.on_record() == {"svc-1001": True}
        assert "live calls could not be ended" in (await harness.row())["last_error"]
        assert await harness.suspensions() == []
        harness.fake_pbx.hang_up_fails = False
        await harness.until_done()
    assert len(await harness.suspensions()) == 1


async def test_what_cannot_be_read_back_is_published_as_not_proven(
    harness: SuspenderHarness,
) -> None:
    harness.fake_pbx.proven = False
    await harness.profile()
    await harness.zero()
    await harness.work_done()
    await harness.restored()
    await harness.work_done()
    assert [event.proven for event in await harness.events()] == [False, False]
    (row,) = await harness.sql("select proven from report.service_state")
    assert row["proven"] is False
