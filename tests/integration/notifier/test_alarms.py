"""Alarm mails with a real PostgreSQL and SMTP server: each alarm once, a burst in few mails."""

from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage

import asyncpg
import pytest

from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.ids import derive
from ringfence_contracts.topics import NOTICE_SENT, RATING_ALARM, SUSPENDER_ALARM
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until
from tests.support.notifier import NOON, NotifierHarness, alarm


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port)


def subjects(inbox: Inbox) -> list[str]:
    return [str(mail["Subject"]) for mail in inbox.messages()]


def text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def by_state(harness: NotifierHarness) -> dict[str, list[asyncpg.Record]]:
    found: dict[str, list[asyncpg.Record]] = {}
    for row in await harness.rows():
        found.setdefault(row["state"], []).append(row)
    return found


async def test_an_alarm_is_mailed_to_the_operator_once_and_so_is_its_end(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    async with harness.at_work():
        for _ in range(3):
            await harness.alarm()
        await harness.wait_for_states("sent")
        await harness.alarm()
        for _ in range(3):
            await harness.alarm(state="ended")
        await harness.wait_for_states("sent", "sent")
        await harness.alarm()
        await harness.alarm(state="ended")
    assert subjects(inbox) == [
        "Alarm: suspension-failed 1042/s-1",
        "Ended: suspension-failed 1042/s-1",
    ]
    first, second = inbox.messages()
    assert {first["To"], second["To"]} == {"ops@example.net"}
    assert "could not be switched off: timed <out>" in text(first)
    assert "What to do: See why the PBX refuses" in text(first)
    assert "Since: 2026-01-15 12:00:00 UTC" in text(first)
    assert "Client: 1042" in text(first)
    assert "Ended: 2026-01-15 12:05:00 UTC" in text(second)


async def test_the_mail_s_id_follows_from_the_alarm_and_its_state(harness: NotifierHarness) -> None:
    await harness.alarm()
    (row,) = await harness.rows()
    assert row["message_id"] == derive("mail", "alarm", alarm().alarm_id, "raised")
    assert (row["cause_id"], row["account_id"]) == (alarm().alarm_id, "1042")


async def test_rating_alarms_are_mailed_and_one_without_a_client_publishes_no_notice(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    unclaimed = alarm("1042/p-1", service="rating", key="payment-unclaimed")
    brake = alarm("brake", key="brake", account_id=None)
    async with harness.at_work():
        assert await harness.handle(RATING_ALARM, unclaimed) == []
        assert await harness.handle(SUSPENDER_ALARM, brake) == []
        await harness.wait_for_states("sent", "sent")
    assert sorted(subjects(inbox)) == ["Alarm: brake", "Alarm: payment-unclaimed 1042/p-1"]
    (event,) = await harness.events()
    assert (event["topic"], event["key"]) == (NOTICE_SENT.name, "1042")


async def test_the_same_kind_and_subject_raised_again_is_another_alarm(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    async with harness.at_work():
        await harness.alarm()
        await harness.wait_for_states("sent")
        await harness.alarm(state="ended")
        await harness.wait_for_states("sent", "sent")
        harness.clock.move(hours=1)
        await harness.alarm(raised_at=NOON + timedelta(hours=1))
        await harness.wait_for_states("sent", "sent", "sent")
    assert len(inbox.messages()) == 3


async def test_without_an_operator_s_address_an_alarm_is_recorded_and_nothing_is_mailed(
    pool: Pool, inbox: Inbox
) -> None:
    nobody = NotifierHarness(pool, inbox.port, operator_email="")
    await nobody.alarm()
    await nobody.alarm("1042/s-2")
    await nobody.alarm(state="ended")
    rows = await nobody.rows()
    assert {(row["state"], row["last_error"]) for row in rows} == {
        ("dropped", "no operator address is set")
    }
    assert len(rows) == 3


async def test_the_end_of_an_alarm_is_not_mailed_if_its_beginning_was_not(
    pool: Pool, harness: NotifierHarness
) -> None:
    await NotifierHarness(pool, harness.port, operator_email="").alarm()
    await harness.alarm(state="ended")
    assert await harness.states() == ["dropped", "dropped"]
    assert "the beginning of this alarm was not mailed" in {
        row["last_error"] for row in await harness.rows()
    }


async def test_an_alarm_that_ends_before_its_mail_is_sent_is_not_mailed(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.stop()
    await harness.alarm()
    for _ in range(2):
        await harness.alarm(state="ended")
    inbox.start()
    await harness.alarm("1042/s-2")
    async with harness.at_work():
        await harness.wait_for_states("dropped", "sent")
    assert subjects(inbox) == ["Alarm: suspension-failed 1042/s-2"]
    (pointless,) = (await by_state(harness))["dropped"]
    assert pointless["last_error"] == "the alarm ended before this was sent"


async def test_an_ended_alarm_is_removed_from_an_unsent_shared_mail(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    for subject in ("a/s", "b/s", "c/s"):
        await harness.alarm(subject)
    await harness.alarm("a/s", "ended")
    async with harness.at_work():
        await harness.wait_for_states("sent")
    (mail,) = inbox.messages()
    assert mail["Subject"] == "Alarm: suspension-failed (2 alarms)"
    assert "a/s" not in text(mail)


async def test_the_end_of_an_alarm_that_was_never_consumed_is_not_mailed(
    harness: NotifierHarness,
) -> None:
    await harness.alarm(state="ended")
    await harness.alarm()
    assert await harness.rows() == []


async def test_five_hundred_alarms_within_a_minute_become_two_mails(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """The first alarm at once, all others within 60 s in one mail; the same for their ends."""
    async with harness.at_work():
        await harness.alarm("c0/s")
        await harness.wait_for_states("sent")
        for number in range(1, 500):
            await harness.alarm(f"c{number}/s")
        assert await harness.states() == ["sent", "waiting"]
        harness.clock.move(seconds=59)
        await harness.alarm("c7/s")
        assert await harness.states() == ["sent", "waiting"]
        harness.clock.move(seconds=1)
        await harness.wait_for_states("sent", "sent")
        for number in range(500):
            await harness.alarm(f"c{number}/s", "ended")
        harness.clock.move(seconds=60)
        await until(lambda: sum(_ended(subject) for subject in subjects(inbox)) == 500)
    raised = [subject for subject in subjects(inbox) if subject.startswith("Alarm")]
    assert raised == [
        "Alarm: suspension-failed c0/s",
        "Alarm: suspension-failed (499 alarms)",
    ]
    assert text(inbox.messages()[1]).count("\n- c") == 50
    assert "- and 449 more" in text(inbox.messages()[1])
    assert len(subjects(inbox)) <= 4


def _ended(subject: str) -> int:
    """The number of alarms that a mail reports as ended."""
    if not subject.startswith("Ended"):
        return 0
    return int(subject.partition("(")[2].split()[0]) if "(" in subject else 1


async def test_a_redelivered_end_of_an_alarm_stays_in_its_mail(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    async with harness.at_work():
        await harness.alarm("a/s")
        await harness.wait_for_states("sent")
        await harness.alarm("b/s")
        harness.clock.move(minutes=1)
        await harness.wait_for_states("sent", "sent")
        await harness.alarm("a/s", "ended")
        await harness.wait_for_states("sent", "sent", "sent")
        await harness.alarm("b/s", "ended")
        await harness.alarm("a/s", "ended")
        harness.clock.move(minutes=1)
        await harness.wait_for_states(*["sent"] * 4)
    assert subjects(inbox)[2:] == [
        "Ended: suspension-failed a/s",
        "Ended: suspension-failed b/s",
    ]


async def test_only_alarms_of_one_kind_share_a_mail(harness: NotifierHarness) -> None:
    await harness.alarm("a/s")
    await harness.alarm("b/s")
    await harness.alarm("brake", key="brake", account_id=None)
    await harness.alarm("a/p", key="payment-unclaimed", service="rating")
    assert sorted(row["subject"] for row in await harness.rows()) == [
        "Alarm: brake",
        "Alarm: payment-unclaimed a/p",
        "Alarm: suspension-failed (2 alarms)",
    ]
    assert {row["account_id"] for row in await harness.rows()} == {None, "a"}


async def test_a_late_alarm_does_not_join_a_mail_that_waits_for_an_hour(
    harness: NotifierHarness,
) -> None:
    """That mail is given up a day after its first alarm; the late alarm gets its own whole day."""
    await harness.alarm("a/s")
    now = harness.clock.move(hours=1, seconds=1)
    deferred_until = now + timedelta(minutes=15)
    await harness.pool.execute("update notifier.message set next_attempt_at = $1", deferred_until)
    await harness.alarm("b/s")
    due = [row["next_attempt_at"] for row in await harness.rows()]
    assert due == [deferred_until, now + timedelta(seconds=60)]


async def test_an_alarm_id_that_comes_with_another_subject_is_rejected(
    harness: NotifierHarness,
) -> None:
    await harness.alarm("a/s")
    other = alarm("b/s", alarm_id=alarm("a/s").alarm_id)
    (reason,) = await harness.handle(SUSPENDER_ALARM, other)
    assert "is known as suspender/suspension-failed 'a/s'" in reason
    assert len(await harness.rows()) == 1
