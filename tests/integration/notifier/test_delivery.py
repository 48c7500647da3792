"""The queue in a real PostgreSQL and mails on a real SMTP server: each mail once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from notifier.sending.breaker import SmtpBreaker
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_ZERO,
    NOTICE_FAILED,
    NOTICE_SENT,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
)
from ringfence_local.embedded.ports import free_port as find_free_port
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until
from tests.support.notifier import (
    CAUSE,
    NOON,
    NotifierHarness,
    account,
    low,
    restored,
    suspended,
    zero,
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port)


class _Silent:
    """An SMTP handler that accepts a mail and holds its reply until it is released."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.may_answer = threading.Event()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(bytes(envelope.content or b""))
        await asyncio.get_running_loop().run_in_executor(None, self.may_answer.wait, 30)
        return "250 at last"


@pytest.fixture
def silent() -> Iterator[tuple[_Silent, int]]:
    handler, port = _Silent(), find_free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, port
    finally:
        handler.may_answer.set()
        controller.stop()


async def test_an_alert_that_comes_three_times_is_mailed_once(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        for _ in range(3):
            assert await harness.handle(BALANCE_LOW, low()) == []
        await harness.wait_for_states("sent")
        await harness.handle(BALANCE_LOW, low())
        await harness.handle(BALANCE_LOW, low(2), UUID(int=2))
        await harness.wait_for_states("sent", "sent")
    mails = inbox.messages()
    assert len(mails) == 2
    assert mails[0]["To"] == "ada@example.net"
    assert mails[0]["From"] == "Billing <billing@example.org>"
    body = mails[0].get_body(("plain",))
    assert body is not None
    assert "Credit: $8.00" in body.get_content()
    row = next(row for row in await harness.rows() if row["cause_id"] == CAUSE)
    assert mails[0]["Message-ID"] == f"<{row['message_id']}@example.org>"
    events = await harness.events()
    assert [event["topic"] for event in events] == [NOTICE_SENT.name] * 2
    assert {event["correlation_id"] for event in events} == {"thread-1"}
    assert {event["key"] for event in events} == {"1042"}


async def test_an_event_id_with_different_funds_is_rejected(
    harness: NotifierHarness,
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    (reason,) = await harness.handle(BALANCE_LOW, low(balance_micro=7_000_000))
    assert "came before" in reason
    assert (await harness.rows())[0]["balance_micro"] == 8_000_000


async def test_services_that_one_crossing_suspended_share_one_mail(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work(senders=3):
        for service_id in ("s-1", "s-2", "s-3"):
            await harness.handle(SERVICE_SUSPENDED, suspended(service_id), uuid4())
        await harness.handle(SERVICE_SUSPENDED, suspended("s-4", zero_mail=False), uuid4())
        await harness.wait_for_states("sent")
    assert [mail["Subject"] for mail in inbox.messages()] == [
        "VoIP Zero Balance: your telephone service is switched off"
    ]


async def test_a_mail_waits_for_its_account_and_older_versions_are_ignored(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(SERVICE_SUSPENDED, suspended())
    assert await harness.states() == ["waiting"]
    await harness.handle(ACCOUNT_CHANGED, account(3, client={"first_name": "Grace"}))
    await harness.handle(
        ACCOUNT_CHANGED, account(2, client={"first_name": "Old", "email": "o@x.y"})
    )
    await harness.handle(BALANCE_LOW, low(5))
    async with harness.at_work():
        await harness.wait_for_states("sent", "sent")
    assert {mail["To"] for mail in inbox.messages()} == {"ada@example.net"}
    assert all("Grace" in row["text_body"] for row in await harness.rows())


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"client": {"wants_mail": False}}, "dropped", "opted out"),
        ({"client": {"email": ""}}, "waiting", "no e-mail address"),
        (
            {"profile": {"low_balance_threshold": "", "threshold_micro": None}},
            "dropped",
            "no low balance",
        ),
    ],
)
async def test_a_client_who_must_not_be_mailed_is_recorded_and_not_mailed(
    harness: NotifierHarness, inbox: Inbox, changes: dict[str, Any], state: str, reason: str
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account(**changes))
    await harness.handle(BALANCE_LOW, low())
    (row,) = await harness.rows()
    assert (row["state"], reason in row["last_error"]) == (state, True)
    async with harness.at_work():
        await harness.alarm()
        await harness.wait_for_states("sent", state)
    assert [mail["To"] for mail in inbox.messages()] == ["ops@example.net"]


@pytest.mark.parametrize("zero_first", [False, True])
async def test_a_later_zero_balance_supersedes_an_unsent_alert_in_either_order(
    harness: NotifierHarness, inbox: Inbox, zero_first: bool
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    events = [(BALANCE_LOW, low(1), CAUSE), (BALANCE_ZERO, zero(2), UUID(int=2))]
    for topic, data, event_id in reversed(events) if zero_first else events:
        await harness.handle(topic, data, event_id)
    await harness.handle(BALANCE_LOW, low(4), UUID(int=4))
    async with harness.at_work():
        await harness.wait_for_states("sent", "dropped")
    assert len(inbox.messages()) == 1
    level = await harness.pool.fetchrow("select * from notifier.level")
    assert level is not None
    assert (level["level"], level["crossing"]) == ("low", 4)


async def test_a_mail_that_a_service_is_off_is_not_sent_once_it_is_on_again(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(SERVICE_SUSPENDED, suspended())
    await harness.handle(SERVICE_RESTORED, restored(confirmed_at=NOON + timedelta(minutes=1)))
    again = suspended(cause_id=UUID(int=3), confirmed_at=NOON + timedelta(minutes=2))
    await harness.handle(SERVICE_SUSPENDED, again)
    async with harness.at_work():
        await harness.wait_for_states("sent", "dropped")
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
async def test_a_refused_mail_fails_at_once_and_the_next_is_sent(
    harness: NotifierHarness, inbox: Inbox, stage: Any
) -> None:
    inbox.refuse(550, at=stage, times=1)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    async with harness.at_work():
        await harness.wait_for_states("failed")
        await harness.handle(BALANCE_LOW, low(2), UUID(int=2))
        await harness.wait_for_states("failed", "sent")
    refused = next(row for row in await harness.rows() if row["state"] == "failed")
    assert (refused["attempts"], refused["last_error"][:4]) == (1, "550 ")
    assert [event["topic"] for event in await harness.events()] == [
        NOTICE_FAILED.name,
        NOTICE_SENT.name,
    ]
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
async def test_a_deferred_mail_is_tried_again_later_and_sent_once(
    harness: NotifierHarness, inbox: Inbox, stage: Any
) -> None:
    inbox.refuse(451, at=stage, times=2)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())

    async with harness.at_work():
        for times, wait_s in ((1, 5), (2, 10)):
            await until(_tried(harness, times))
            (row,) = await harness.rows()
            assert row["next_attempt_at"] == harness.clock.now() + timedelta(seconds=wait_s)
            assert await harness.events() == []
            harness.clock.move(seconds=wait_s)
        await harness.wait_for_states("sent")
    assert len(inbox.messages()) == 1
    assert (await harness.rows())[0]["attempts"] == 3


def _tried(harness: NotifierHarness, times: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        (row,) = await harness.rows()
        return (row["attempts"], row["state"]) == (times, "waiting")

    return look


async def test_a_mail_that_is_deferred_for_a_day_has_failed(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.refuse(451)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    harness.clock.move(hours=24)
    async with harness.at_work():
        await harness.wait_for_states("failed")
    assert [event["topic"] for event in await harness.events()] == [NOTICE_FAILED.name]


async def test_mails_wait_unchanged_while_the_server_is_unreachable(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.stop()
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    async with harness.at_work(senders=2):
        for failures in (1, 2, 3):
            await until(partial(_failed, harness.breaker, failures))
            harness.clock.set(harness.breaker.next_probe_at)
        (row,) = await harness.rows()
        assert (row["state"], row["attempts"], row["last_error"]) == ("waiting", 0, "")
        inbox.start()
        await until(partial(_has_mail_later, harness, inbox))
        await harness.wait_for_states("sent")
    assert not harness.breaker.is_open


def _has_mail_later(harness: NotifierHarness, inbox: Inbox) -> bool:
    """Whether a mail has arrived; each call advances the clock by half a minute."""
    harness.clock.move(seconds=30)
    return bool(inbox.messages())


def _failed(breaker: SmtpBreaker, times: int) -> bool:
    return breaker.failures >= times


async def test_a_mail_fails_after_the_server_was_unreachable_for_a_day(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.stop()
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    harness.clock.move(hours=24, seconds=1)
    async with harness.at_work():
        await harness.wait_for_states("failed")
    (row,) = await harness.rows()
    assert "the SMTP server took no mail" in row["last_error"]


async def test_a_connection_is_reused_and_replaced_without_counting_an_attempt(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low())
        await harness.wait_for_states("sent")
        inbox.stop()
        inbox.start()
        await harness.handle(BALANCE_LOW, low(2), UUID(int=2))
        await harness.wait_for_states("sent", "sent")
    assert {row["attempts"] for row in await harness.rows()} == {1}


class _OneMailOnly:
    """An SMTP handler that closes a connection on which a second mail begins."""

    def __init__(self) -> None:
        self.hung_up = 0
        self.taken = 0

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if getattr(session, "had_a_mail", False):
            self.hung_up += 1
            server.transport.abort()
        session.had_a_mail = True
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken += 1
        return "250 OK"


async def test_a_connection_that_ends_at_the_next_mail_counts_no_attempt(pool: Pool) -> None:
    handler, port = _OneMailOnly(), find_free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    harness = NotifierHarness(pool, port)
    await harness.handle(ACCOUNT_CHANGED, account())
    try:
        async with harness.at_work():
            await harness.handle(BALANCE_LOW, low())
            await harness.wait_for_states("sent")
            await harness.handle(BALANCE_LOW, low(2), UUID(int=2))
            await harness.wait_for_states("sent", "sent")
    finally:
        controller.stop()
    assert (handler.hung_up, handler.taken) == (1, 2)
    assert {row["attempts"] for row in await harness.rows()} == {1}


async def test_a_server_that_requires_a_login_is_unusable(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """The operator must fix it; no mail is the cause, and none is given up."""
    inbox.refuse(530, at="MAIL")
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    async with harness.at_work():
        for failures in (1, 2, 3):
            await until(partial(_failed, harness.breaker, failures))
            harness.clock.set(harness.breaker.next_probe_at)
        (row,) = await harness.rows()
        assert (row["state"], row["attempts"]) == ("waiting", 0)
        inbox.accept()
        await until(partial(_has_mail_later, harness, inbox))
        await harness.wait_for_states("sent")


async def test_many_mails_by_several_senders_are_each_sent_once(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    for number in range(1, 41):
        client: dict[str, Any] = {"account_id": f"n-{number}"}
        await harness.handle(ACCOUNT_CHANGED, account().model_copy(update=client))
        await harness.handle(BALANCE_LOW, low(**client), UUID(int=number))
    async with harness.at_work(senders=4):
        await harness.wait_for_states(*["sent"] * 40)
    ids = [mail["Message-ID"] for mail in inbox.messages()]
    assert len(ids) == len(set(ids)) == 40


async def test_a_missing_reply_leaves_the_mail_in_doubt(
    pool: Pool, silent: tuple[_Silent, int]
) -> None:
    """The server has the mail and the connection breaks: nothing sends it again automatically."""
    handler, port = silent
    harness = NotifierHarness(pool, port)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    stop = asyncio.Event()
    task = asyncio.create_task(harness.sending(data_s=0.2).run(stop))
    await harness.wait_for_states("in-doubt")
    harness.clock.move(days=2)
    await harness.recovery().recover()
    stop.set()
    await task
    assert len(handler.taken) == 1
    (event,) = await harness.events()
    assert event["topic"] == NOTICE_FAILED.name
    assert b"in doubt" in event["value"]


async def test_a_running_senders_mail_is_not_recovered(
    pool: Pool, silent: tuple[_Silent, int]
) -> None:
    handler, port = silent
    harness = NotifierHarness(pool, port)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    async with harness.at_work():
        await until(lambda: handler.taken)
        await harness.recovery().recover()
        assert await harness.states() == ["sending"]
        handler.may_answer.set()
        await harness.wait_for_states("sent")


async def test_a_sender_that_lost_its_session_still_saves_the_servers_reply(
    pool: Pool, database: str, silent: tuple[_Silent, int]
) -> None:
    """Recovery marks its mail as in doubt; then the reply arrives, and its outcome is saved."""
    handler, port = silent
    harness = NotifierHarness(pool, port)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    async with harness.at_work():
        await until(lambda: handler.taken)
        await _end_sessions_with_locks(database)
        await harness.recovery().recover()
        assert await harness.states() == ["in-doubt"]
        handler.may_answer.set()
        await harness.wait_for_states("sent")
    assert [event["topic"] for event in await harness.events()] == [
        NOTICE_FAILED.name,
        NOTICE_SENT.name,
    ]
    assert len(handler.taken) == 1


@pytest.mark.parametrize(("resend", "state", "mails"), [(False, "in-doubt", 0), (True, "sent", 1)])
async def test_a_killed_senders_mail_is_held_or_resent_as_configured(
    pool: Pool, inbox: Inbox, resend: bool, state: str, mails: int
) -> None:
    """Only its state `sending` is known, not whether the text was sent."""
    harness = NotifierHarness(pool, inbox.port, resend_in_doubt=resend)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low())
    (row,) = await harness.rows()
    async with harness.store.lease() as lease:
        await harness.store.mark_sending(lease.connection, row["message_id"], lease.number, NOON)
        await harness.recovery().recover()
        assert await harness.states() == ["sending"]
    await harness.recovery().recover()
    harness.clock.move(seconds=5)
    async with harness.at_work():
        await harness.wait_for_states(state)
    assert len(inbox.messages()) == mails


async def _end_sessions_with_locks(database: str) -> None:
    """End the sender's database session, but not the sender, as a network failure would."""
    owner = await asyncpg.connect(database)
    try:
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        )
    finally:
        await owner.close()
