"""Clients in shadow mode get no mail but a record of it; a hold has one zero mail."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
)
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until
from tests.support.notifier import NOON, NotifierHarness, account, low, restored, suspended, zero

WOULD_BE = "shadow mode: would have been mailed"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def service(**changes: Any) -> dict[str, Any]:
    facts = {"service_id": "s-1", "name": "Line", "kind": "fusionpbx", "server_id": "pbx-1"}
    return facts | {"tenant": "acme.example.net"} | changes


def client(version: int, mode: str, minute: int = 0, **changes: Any) -> AccountChanged:
    """A client with a prepaid product, in `mode` since that minute."""
    facts = {"services": (service(),), "profile": {"has_voip_service": True}} | changes
    return account(version, mode=mode, changed_at=at(minute), **facts)


async def deferred(harness: NotifierHarness) -> bool:
    return [(r["state"], r["attempts"]) for r in await harness.rows()] == [("waiting", 1)]


async def reasons(harness: NotifierHarness) -> list[tuple[str, str, str]]:
    return [(r["template"], r["state"], r["last_error"]) for r in await harness.rows()]


async def test_a_client_in_shadow_gets_no_mail_and_the_would_be_mail_is_recorded(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    for _ in range(2):
        await harness.handle(BALANCE_LOW, low(1), UUID(int=1))
        await harness.handle(BALANCE_ZERO, zero(2, hold=1), UUID(int=2))
    async with harness.at_work():
        await harness.alarm()
        await harness.wait_for_states("dropped", "dropped", "sent")
    assert len(inbox.messages()) == 1
    would_be = [row for row in await harness.rows() if row["state"] == "dropped"]
    assert {row["template"] for row in would_be} == {"Low Balance Alert", "VoIP Zero Balance"}
    assert {row["last_error"] for row in would_be} == {WOULD_BE}
    assert {row["recipient"] for row in would_be} == {"ada@example.net"}
    assert all("Ada" in row["text_body"] for row in would_be)


@pytest.mark.parametrize(
    ("zero_changes", "client_changes"),
    [
        ({"mail_owed": False}, {}),
        ({}, {"services": (service(prepaid=False),)}),
        ({}, {"services": ()}),
        ({}, {"profile": {"has_voip_service": False}}),
    ],
)
async def test_no_would_be_zero_mail_is_recorded_if_a_live_client_would_get_none(
    harness: NotifierHarness, zero_changes: dict[str, Any], client_changes: dict[str, Any]
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow", **client_changes))
    await harness.handle(BALANCE_ZERO, zero(1, **zero_changes))
    assert await harness.rows() == []


async def test_a_live_clients_zero_mail_waits_until_the_service_is_off(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "live"))
    await harness.handle(BALANCE_ZERO, zero(1, hold=1))
    assert await reasons(harness) == [
        ("VoIP Zero Balance", "waiting", "waits until the service is off")
    ]
    async with harness.at_work():
        await harness.handle(SERVICE_SUSPENDED, suspended(hold=1))
        await harness.wait_for_states("sent")


async def test_unsent_mails_of_a_client_that_goes_to_shadow_are_dropped(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "live"))
    await harness.handle(BALANCE_LOW, low(1), uuid4())
    await harness.handle(SERVICE_SUSPENDED, suspended(hold=1))
    await harness.handle(BALANCE_LOW, low(1, account_id="other"), uuid4())
    await harness.handle(ACCOUNT_CHANGED, client(2, "shadow", 5))
    assert await harness.states() == ["dropped", "dropped", "waiting"]
    dropped = [row for row in await harness.rows() if row["state"] == "dropped"]
    assert {row["last_error"] for row in dropped} == {WOULD_BE, "the client is in shadow mode"}
    async with harness.at_work():
        await harness.alarm()
        await harness.wait_for_states("dropped", "dropped", "waiting", "sent")


async def test_after_going_live_only_later_events_are_mailed(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    shadow_low = (BALANCE_LOW, low(1, balance_micro=9_000_000), UUID(int=1))
    shadow_zero = (BALANCE_ZERO, zero(2, hold=1), UUID(int=2))
    await harness.handle(*shadow_low)
    await harness.handle(*shadow_zero)
    await harness.handle(ACCOUNT_CHANGED, client(2, "live", 10))
    await harness.handle(*shadow_low)
    await harness.handle(*shadow_zero)
    assert await harness.states() == ["dropped", "dropped"]
    async with harness.at_work():
        cut = suspended(hold=1, confirmed_at=at(11))
        await harness.handle(SERVICE_SUSPENDED, cut, UUID(int=3))
        await harness.wait_for_states("sent", "dropped", "dropped")
        await harness.handle(SERVICE_RESTORED, restored(confirmed_at=at(12)))
        await harness.handle(BALANCE_LOW, low(4, occurred_at=at(13)), UUID(int=4))
        await harness.wait_for_states("sent", "sent", "sent", "dropped", "dropped")
    assert [str(mail["Subject"]).partition(":")[0] for mail in inbox.messages()] == [
        "VoIP Zero Balance",
        "VoIP Restored",
        "Low Balance Alert",
    ]


@pytest.mark.parametrize("alert_first", [False, True])
async def test_the_alert_of_going_live_is_mailed_once_in_any_order(
    harness: NotifierHarness, inbox: Inbox, alert_first: bool
) -> None:
    """Alert and profile come from two topics; the alert has the time of going live."""
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    await harness.handle(BALANCE_LOW, low(1), UUID(int=1))
    events = [
        (ACCOUNT_CHANGED, client(2, "live", 10), UUID(int=2)),
        (BALANCE_LOW, low(2, occurred_at=at(10), balance_micro=7_000_000), UUID(int=3)),
    ]
    async with harness.at_work():
        for event in reversed(events) if alert_first else events:
            await harness.handle(*event)
        await harness.wait_for_states("dropped", "sent")
        for event in events:
            await harness.handle(*event)
        await harness.wait_for_states("dropped", "sent")
    (mail,) = inbox.messages()
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Credit: $7.00" in body.get_content()


async def test_a_late_alert_from_shadow_mode_is_replaced_by_the_one_of_going_live(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    await harness.handle(ACCOUNT_CHANGED, client(2, "live", 10))
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, occurred_at=at(9)), UUID(int=1))
        await harness.handle(BALANCE_LOW, low(2, occurred_at=at(10)), UUID(int=2))
        await harness.wait_for_states("dropped", "sent")
        harness.clock.move(minutes=2)
        await harness.wait_for_states("dropped", "sent")
    assert len(inbox.messages()) == 1


async def test_an_alert_about_a_call_that_ended_before_going_live_is_mailed_a_minute_later(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """No other event is published about it: the call was rated after the client went live."""
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    await harness.handle(ACCOUNT_CHANGED, client(2, "live", 10))
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, occurred_at=at(9)))
        (row,) = await harness.rows()
        assert row["next_attempt_at"] == at(1), "a minute after the clock's noon"
        harness.clock.move(minutes=1)
        await harness.wait_for_states("sent")


@pytest.mark.parametrize("cut_first", [False, True])
async def test_the_zero_mail_of_going_live_is_sent_in_any_order(
    harness: NotifierHarness, inbox: Inbox, cut_first: bool
) -> None:
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    live = (ACCOUNT_CHANGED, client(2, "live", 10), UUID(int=2))
    cut = (SERVICE_SUSPENDED, suspended(hold=1, confirmed_at=at(11)), UUID(int=3))
    async with harness.at_work():
        for event in (cut, live) if cut_first else (live, cut):
            await harness.handle(*event)
        await harness.wait_for_states("sent")
    assert len(inbox.messages()) == 1


async def test_a_zero_mail_dropped_in_shadow_mode_is_queued_at_the_next_suspension(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """Live, shadow and live within one hold: the mail was never sent, so it is sent once."""
    await harness.handle(ACCOUNT_CHANGED, client(1, "live"))
    first = (SERVICE_SUSPENDED, suspended(hold=1), UUID(int=1))
    await harness.handle(*first)
    await harness.handle(ACCOUNT_CHANGED, client(2, "shadow", 60))
    await harness.handle(ACCOUNT_CHANGED, client(3, "live", 120))
    await harness.handle(*first)
    assert await harness.states() == ["dropped"]
    harness.clock.move(days=2)
    cut = suspended(hold=1, confirmed_at=at(121), balance_micro=-5_000_000)
    inbox.refuse(451, times=1)
    async with harness.at_work():
        await harness.handle(SERVICE_SUSPENDED, cut, UUID(int=2))
        await until(partial(deferred, harness))
        harness.clock.move(seconds=5)
        await harness.wait_for_states("sent")
        await harness.handle(SERVICE_SUSPENDED, cut, UUID(int=2))
        await harness.handle(ACCOUNT_CHANGED, client(4, "shadow", 180))
        await harness.handle(ACCOUNT_CHANGED, client(5, "live", 240))
        again = suspended(hold=1, confirmed_at=at(241))
        await harness.handle(SERVICE_SUSPENDED, again, UUID(int=3))
        await harness.wait_for_states("sent")
    (mail,) = inbox.messages()
    body = mail.get_body(("plain",))
    assert body is not None
    assert "5.00" in body.get_content()


async def test_mails_queued_before_their_account_follow_its_mode(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    for account_id in ("shady", "lively"):
        await harness.handle(BALANCE_LOW, low(1, account_id=account_id), uuid4())
        await harness.handle(BALANCE_ZERO, zero(2, account_id=account_id), uuid4())
    assert await harness.states() == ["dropped", "dropped", "waiting", "waiting"]
    for account_id, mode in (("shady", "shadow"), ("lively", "live")):
        changed = client(1, mode).model_copy(update={"account_id": account_id})
        await harness.handle(ACCOUNT_CHANGED, changed)
    rows = {(r["account_id"], r["template"]): r for r in await harness.rows()}
    assert rows["shady", "VoIP Zero Balance"]["last_error"] == WOULD_BE
    live = rows["lively", "VoIP Zero Balance"]
    assert (live["state"], live["last_error"]) == (
        "dropped",
        "the client is live: this mail follows the switch",
    )


async def test_an_alert_that_waited_for_an_account_in_shadow_is_not_sent(
    harness: NotifierHarness,
) -> None:
    await harness.handle(BALANCE_LOW, low(1))
    await harness.handle(ACCOUNT_CHANGED, client(1, "shadow"))
    assert await reasons(harness) == [("Low Balance Alert", "dropped", WOULD_BE)]


async def test_a_hold_has_one_zero_mail_for_all_services_and_reasons(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """The reason of a service that stays off changes: suspended again, with another cause."""
    await harness.handle(ACCOUNT_CHANGED, client(1, "live"))
    async with harness.at_work(senders=2):
        for service_id in ("s-1", "s-2", "s-3"):
            for minute in (1, 2):
                event = suspended(service_id, hold=7, cause_id=uuid4(), confirmed_at=at(minute))
                await harness.handle(SERVICE_SUSPENDED, event, uuid4())
        await harness.wait_for_states("sent")
        await harness.handle(SERVICE_SUSPENDED, suspended(hold=8, cause_id=uuid4()), uuid4())
        await harness.wait_for_states("sent", "sent")
    assert len(inbox.messages()) == 2


async def test_a_zero_mail_dropped_by_a_restore_is_queued_again_within_the_hold(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """An exemption switches the service on before the mail is sent, and ends within the hold."""
    await harness.handle(ACCOUNT_CHANGED, client(1, "live"))
    await harness.handle(SERVICE_SUSPENDED, suspended(hold=1, confirmed_at=at(1)), uuid4())
    await harness.handle(SERVICE_RESTORED, restored(confirmed_at=at(2)), uuid4())
    late = suspended("s-2", hold=1, confirmed_at=at(1) + timedelta(seconds=30))
    await harness.handle(SERVICE_SUSPENDED, late, uuid4())
    assert await harness.states() == ["dropped"]
    await harness.handle(SERVICE_SUSPENDED, suspended(hold=1, confirmed_at=at(9)), uuid4())
    async with harness.at_work():
        await harness.wait_for_states("sent")
    assert len(inbox.messages()) == 1
