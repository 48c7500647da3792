"""The queue: one mail for each stay and hold, while it is true, to the current address."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.owed.decision import DecisionRules
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    OPERATOR_REQUESTED,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
)
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until
from tests.support.notifier import (
    NOON,
    NotifierHarness,
    account,
    low,
    restored,
    risen,
    suspended,
    zero,
)

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
HOURLY = DecisionRules(low_interval_s=3600)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port)


@pytest.fixture
async def others(database: str) -> AsyncIterator[Owner]:
    """A connection with the owner's rights, to write to the tables of other services."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def prepaid(version: int = 1, **changes: Any) -> AccountChanged:
    service = {
        "service_id": "s-1", "name": "Line", "kind": "fusionpbx", "server_id": "pbx-1",
        "tenant": "acme.example.net",
    }  # fmt: skip
    profile = {
        "has_voip_service": True, "low_balance_threshold": "15", "threshold_micro": 15_000_000,
    }  # fmt: skip
    return account(version, services=(service,), **{"profile": profile} | changes)


async def mail_of(harness: NotifierHarness) -> Any:
    (row,) = await harness.rows()
    return row


async def reason(harness: NotifierHarness) -> tuple[str, str]:
    row = await mail_of(harness)
    return row["state"], row["last_error"]


async def cut(others: Owner, **changes: Any) -> None:
    """The suspender's row of s-1: desired state, holds, and the state confirmed by the PBX."""
    facts = {
        "confirmed": "active", "wanted_seq": 2, "confirmed_seq": 1, "attempts": 0,
        "holds": ["funds"], "live": True,
    } | changes  # fmt: skip
    await others.execute("delete from suspender.service")
    await others.execute(
        "insert into suspender.service (account_id, service_id, server_id, kind, wanted, mode,"
        " confirmed, wanted_seq, confirmed_seq, attempts, holds, live) values ('1042', 's-1',"
        " 'pbx-1', 'fusionpbx', 'suspended', 'auto', $1, $2, $3, $4, $5, $6)",
        *facts.values(),
    )


async def watched(others: Owner, level: str, balance_micro: int, **changes: int) -> None:
    """Balance-watch's row of the client."""
    facts = {"version": 9, "holds": 1, "stays": 1} | changes
    await others.execute(
        "insert into balance_watch.account (account_id, currency, outstanding_micro,"
        " profile_version, balance_micro, balance_version, level, held, holds, stays)"
        " values ('1042', 'CAD', 0, 1, $2, $3, $1, $1 = 'exhausted', $4, $5)"
        " on conflict (account_id) do update set level = $1, balance_micro = $2,"
        " balance_version = $3, held = $1 = 'exhausted', holds = $4, stays = $5",
        level,
        balance_micro,
        *facts.values(),
    )


@pytest.mark.parametrize(
    "changes", [{"wants_mail": False}, {"email": ""}, {"email": "a..b@example.net"}]
)
async def test_sw25_an_alert_waits_while_it_is_true_and_is_sent_after_the_correction(
    harness: NotifierHarness, inbox: Inbox, changes: dict[str, Any]
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account(client=changes))
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    async with harness.at_work():
        await harness.alarm()
        await until(lambda: len(inbox.messages()) == 1)
        await harness.handle(ACCOUNT_CHANGED, account(2))
        await harness.wait_for_states("sent", "sent")
    assert {str(mail["To"]) for mail in inbox.messages()} == {"ada@example.net", "ops@example.net"}


@pytest.mark.parametrize("changes", [{"wants_mail": False}, {"email": ""}])
async def test_sw25_an_alert_that_ended_before_the_correction_is_not_sent(
    harness: NotifierHarness, inbox: Inbox, changes: dict[str, Any]
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account(client=changes))
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    await harness.handle(BALANCE_RESTORED, risen(2))
    await harness.handle(ACCOUNT_CHANGED, account(2))
    async with harness.at_work():
        await harness.alarm()
        await harness.wait_for_states("dropped", "sent")
    assert [str(mail["To"]) for mail in inbox.messages()] == ["ops@example.net"]


@pytest.mark.parametrize("rise_first", [False, True])
async def test_sw27_an_alert_is_dropped_once_the_balance_rose(
    harness: NotifierHarness, rise_first: bool
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    events = [(BALANCE_LOW, low(1, stay=1), UUID(int=1)), (BALANCE_RESTORED, risen(2), uuid4())]
    for event in reversed(events) if rise_first else events:
        await harness.handle(*event)
    assert await reason(harness) == (
        "dropped",
        "the balance rose above the threshold before this was sent",
    )


async def test_sw27_the_current_balance_is_mailed_unless_above_the_threshold(
    harness: NotifierHarness, inbox: Inbox, others: Owner
) -> None:
    """Balance-watch's table is read when a mail is sent: its event may not be consumed yet."""
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    await watched(others, "low", 6_500_000)
    async with harness.at_work():
        await harness.wait_for_states("sent")
        await watched(others, "ok", 114_000_000)
        await harness.handle(BALANCE_LOW, low(3, stay=2), UUID(int=3))
        await harness.wait_for_states("sent", "dropped")
    (mail,) = inbox.messages()
    body = mail.get_body(("plain",))
    assert body is not None
    assert "6.50" in body.get_content()


async def test_sw27_a_queued_mail_uses_the_current_address_and_language(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.refuse(451, times=1)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    async with harness.at_work():
        await until(lambda: _attempted(harness))
        client = {"email": "new@example.net", "first_name": "Grace"}
        await harness.handle(ACCOUNT_CHANGED, account(2, client=client))
        harness.clock.move(seconds=5)
        await harness.wait_for_states("sent")
    (mail,) = inbox.messages()
    assert mail["To"] == "new@example.net"
    row = await mail_of(harness)
    assert row["recipient"] == "new@example.net"
    assert "Grace" in row["text_body"], "the words are kept as they were sent"


async def _attempted(harness: NotifierHarness) -> bool:
    return bool((await mail_of(harness))["attempts"])


async def test_sw27_a_queued_mail_of_a_client_who_opted_out_is_dropped(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.refuse(451, times=1)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    async with harness.at_work():
        await until(lambda: _attempted(harness))
        await harness.handle(ACCOUNT_CHANGED, account(2, client={"wants_mail": False}))
        harness.clock.move(seconds=5)
        await harness.wait_for_states("dropped")
    assert inbox.messages() == []
    assert await reason(harness) == ("dropped", "the client opted out of mail")


async def test_sw27_a_balance_oscillating_around_the_threshold_is_mailed_once_an_hour(
    pool: Pool, inbox: Inbox
) -> None:
    harness = NotifierHarness(pool, inbox.port, rules=HOURLY)
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        for stay in range(1, 51):
            await harness.handle(BALANCE_LOW, low(2 * stay - 1, stay=stay), uuid4())
            if stay == 1:
                await harness.wait_for_states("sent")
            if stay < 50:
                await harness.handle(BALANCE_RESTORED, risen(2 * stay), uuid4())
        await harness.wait_for_states("sent", *["dropped"] * 48, "waiting")
        assert len(inbox.messages()) == 1
        waiting = next(row for row in await harness.rows() if row["state"] == "waiting")
        assert waiting["last_error"] == "waits for the least interval between two alerts"
        assert waiting["next_attempt_at"] == at(60)
        harness.clock.move(hours=1)
        await harness.wait_for_states("sent", *["dropped"] * 48, "sent")
    assert len(inbox.messages()) == 2


async def test_an_alert_within_the_interval_is_dropped_if_it_is_no_longer_true_at_its_end(
    pool: Pool, inbox: Inbox
) -> None:
    harness = NotifierHarness(pool, inbox.port, rules=HOURLY)
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, stay=1), uuid4())
        await harness.wait_for_states("sent")
        await harness.handle(BALANCE_LOW, low(3, stay=2), uuid4())
        await harness.handle(BALANCE_RESTORED, risen(4), uuid4())
        harness.clock.move(hours=1)
        await harness.wait_for_states("sent", "dropped")


async def test_a_stay_has_one_alert_for_all_its_events(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        for _ in range(3):
            await harness.handle(BALANCE_LOW, low(1, stay=1), uuid4())
        await harness.wait_for_states("sent")
    assert len(inbox.messages()) == 1


async def test_an_alert_that_an_earlier_version_mailed_is_not_mailed_again(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """Its id is derived from the event, which is consumed again after the upgrade with its stay."""
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1), UUID(int=7))
        await harness.wait_for_states("sent")
        await harness.handle(BALANCE_LOW, low(1, stay=1), UUID(int=7))
        await harness.wait_for_states("sent")
    assert len(inbox.messages()) == 1


async def test_a_threshold_that_is_taken_away_ends_what_waits(harness: NotifierHarness) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    none = {"low_balance_threshold": "", "threshold_micro": None}
    await harness.handle(ACCOUNT_CHANGED, account(2, profile=none))
    assert await reason(harness) == ("dropped", "the client has no low balance threshold")


async def test_a_client_is_reminded_daily_for_as_long_as_the_stay_lasts(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    async with harness.at_work():
        await harness.wait_for_states("sent")
        harness.clock.move(hours=23)
        assert await harness.reminders().add_due() == 0
        harness.clock.move(hours=1)
        assert await harness.reminders().add_due() == 1
        assert await harness.reminders().add_due() == 0
        await harness.wait_for_states("sent", "sent")
        harness.clock.move(hours=49)
        assert await harness.reminders().add_due() == 1
        await harness.wait_for_states("sent", "sent", "sent")
        await harness.handle(BALANCE_RESTORED, risen(2))
        harness.clock.move(hours=48)
        assert await harness.reminders().add_due() == 0
    assert sorted(row["day"] for row in await harness.rows()) == [0, 1, 3]


async def test_sw29_the_zero_mail_is_owed_when_funds_become_the_reason(
    harness: NotifierHarness, inbox: Inbox, others: Owner
) -> None:
    """The money ends while a person holds the client off; the person's hold is lifted later."""
    await harness.handle(ACCOUNT_CHANGED, prepaid())
    held = suspended(zero_mail=False, mode="manual", holds=("manual",), hold=0)
    await harness.handle(SERVICE_SUSPENDED, held, uuid4())
    await harness.handle(BALANCE_ZERO, zero(1, hold=1), uuid4())
    await cut(others, holds=["manual", "funds"], confirmed="suspended", confirmed_seq=2)
    async with harness.at_work():
        await harness.alarm()
        harness.clock.move(minutes=10)
        await harness.wait_for_states("sent", "waiting")
        await cut(others, confirmed="suspended", confirmed_seq=2)
        lifted = suspended(holds=("funds",), hold=1, cause_id=uuid4())
        await harness.handle(SERVICE_SUSPENDED, lifted, uuid4())
        await harness.wait_for_states("sent", "sent")
    assert "VoIP Zero Balance" in str(inbox.messages()[-1]["Subject"])


async def test_a_zero_mail_waits_for_a_pbx_that_does_not_obey_and_does_not_say_off(
    harness: NotifierHarness, inbox: Inbox, others: Owner
) -> None:
    await harness.handle(ACCOUNT_CHANGED, prepaid())
    await harness.handle(BALANCE_ZERO, zero(1, hold=1), uuid4())
    await cut(others, attempts=3)
    async with harness.at_work():
        await harness.alarm()
        harness.clock.move(seconds=119)
        await harness.wait_for_states("sent", "waiting")
        assert len(inbox.messages()) == 1
        harness.clock.move(seconds=1)
        await harness.wait_for_states("sent", "sent")
        # It obeys later: the mail of the hold was sent.
        await harness.handle(SERVICE_SUSPENDED, suspended(hold=1), uuid4())
        await harness.wait_for_states("sent", "sent")
    body = inbox.messages()[-1].get_body(("plain",))
    assert body is not None
    assert "switched off" not in body.get_content().lower().replace("will be switched off", "")


@pytest.mark.parametrize("attempts", [0, 3])
async def test_a_zero_mail_is_not_sent_where_the_brake_or_another_hold_keeps_it(
    harness: NotifierHarness, inbox: Inbox, others: Owner, attempts: int
) -> None:
    await harness.handle(ACCOUNT_CHANGED, prepaid())
    await harness.handle(BALANCE_ZERO, zero(1, hold=1), uuid4())
    await cut(others, attempts=attempts, holds=["manual", "funds"] if attempts else ["funds"])
    async with harness.at_work():
        harness.clock.move(minutes=10)
        await until(lambda: _looks_again(harness, at(11)))
        assert inbox.messages() == []
        await harness.handle(BALANCE_RESTORED, risen(2, level_before="exhausted", hold=1), uuid4())
        await until(lambda: _dropped(harness, "the funds hold ended before this was sent"))
    assert not [mail for mail in inbox.messages() if "Zero" in str(mail["Subject"])]


async def _looks_again(harness: NotifierHarness, when: datetime) -> bool:
    row = await mail_of(harness)
    return (row["state"], row["next_attempt_at"]) == ("waiting", when)


async def _dropped(harness: NotifierHarness, reason: str) -> bool:
    row = next(row for row in await harness.rows() if row["kind"] == "zero")
    harness.clock.move(minutes=1)
    return (row["state"], row["last_error"]) == ("dropped", reason)


async def test_restored_is_mailed_only_to_whom_the_zero_mail_of_the_hold_was_sent(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, prepaid())
    async with harness.at_work():
        await harness.handle(SERVICE_SUSPENDED, suspended(hold=1, confirmed_at=at(1)), uuid4())
        await harness.wait_for_states("sent")
        await harness.handle(BALANCE_RESTORED, risen(2, level_before="exhausted", hold=1), uuid4())
        for _ in range(2):
            await harness.handle(SERVICE_RESTORED, restored(confirmed_at=at(2)), uuid4())
        await harness.wait_for_states("sent", "sent")
        # A person's hold ends: nobody was written to.
        await harness.handle(SERVICE_RESTORED, restored(confirmed_at=at(9)), uuid4())
        await harness.wait_for_states("sent", "sent")
    assert [str(mail["Subject"]).partition(":")[0] for mail in inbox.messages()] == [
        "VoIP Zero Balance",
        "VoIP Restored",
    ]


async def test_restored_is_not_mailed_if_the_zero_mail_was_not_sent(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    inbox.refuse(550)
    await harness.handle(ACCOUNT_CHANGED, prepaid())
    async with harness.at_work():
        await harness.handle(SERVICE_SUSPENDED, suspended(hold=1, confirmed_at=at(1)), uuid4())
        await harness.wait_for_states("failed")
        inbox.accept()
        await harness.handle(SERVICE_RESTORED, restored(confirmed_at=at(2)), uuid4())
        await harness.wait_for_states("failed")
    assert inbox.messages() == []


async def test_zero_mails_are_sent_before_alerts(harness: NotifierHarness, inbox: Inbox) -> None:
    for number in range(6):
        client = {"account_id": f"n-{number}"}
        await harness.handle(ACCOUNT_CHANGED, prepaid().model_copy(update=client))
        if number < 3:
            await harness.handle(BALANCE_LOW, low(1, stay=1, **client), uuid4())
        else:
            event = suspended(hold=1, **client)
            await harness.handle(SERVICE_SUSPENDED, event, uuid4())
    async with harness.at_work():
        await harness.wait_for_states(*["sent"] * 6)
    subjects = [str(mail["Subject"]).partition(":")[0] for mail in inbox.messages()]
    assert subjects == ["VoIP Zero Balance"] * 3 + ["Low Balance Alert"] * 3


def request(notice_id: object, **changes: Any) -> OperatorRequested:
    facts = {
        "request_id": uuid4(),
        "service": "notifier",
        "command": "mail.resend",
        "arguments": {"notice_id": str(notice_id)},
        "requested_by": "olga",
        "requested_at": NOON,
    }
    return OperatorRequested.model_validate(facts | changes)


async def answers(harness: NotifierHarness) -> list[tuple[str, str]]:
    rows = await harness.pool.fetch(
        "select state, answer from report.command where service = 'notifier' order by answered_at"
    )
    return [(row["state"], row["answer"]) for row in rows]


async def in_doubt(harness: NotifierHarness) -> UUID:
    """A mail whose sender was killed while it sent the text."""
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    notice_id: UUID = (await mail_of(harness))["message_id"]
    async with harness.store.lease() as lease:
        await harness.store.mark_sending(lease.connection, notice_id, lease.number, NOON)
    await harness.recovery().recover()
    assert await harness.states() == ["in-doubt"]
    return notice_id


async def test_a_mail_in_doubt_is_sent_again_once_for_each_request(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    asked = request(await in_doubt(harness))
    async with harness.at_work():
        for _ in range(3):
            await harness.handle(OPERATOR_REQUESTED, asked, uuid4())
        await harness.wait_for_states("sent")
        await harness.handle(OPERATOR_REQUESTED, asked, uuid4())
    assert len(inbox.messages()) == 1
    assert await answers(harness) == [("done", "it is sent again, next")]


async def test_a_mail_that_is_no_longer_true_is_not_sent_again(harness: NotifierHarness) -> None:
    notice_id = await in_doubt(harness)
    await harness.handle(BALANCE_RESTORED, risen(2))
    await harness.handle(OPERATOR_REQUESTED, request(notice_id), uuid4())
    ((state, words),) = await answers(harness)
    assert state == "refused"
    assert "rose above the threshold" in words
    assert await harness.states() == ["in-doubt"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arguments": {"notice_id": "nonsense"}}, "notice_id: got 'nonsense'"),
        ({"arguments": {}}, "notice_id: got None"),
        ({"arguments": {"notice_id": str(UUID(int=5))}}, "there is no mail"),
        ({"command": "mail.burn"}, "command: got 'mail.burn', expected mail.resend or mail.test"),
    ],
)
async def test_a_request_that_cannot_be_executed_is_refused_with_a_reason(
    harness: NotifierHarness, changes: dict[str, Any], words: str
) -> None:
    assert await harness.handle(OPERATOR_REQUESTED, request("", **changes), uuid4()) == []
    ((state, answer),) = await answers(harness)
    assert state == "refused"
    assert words in answer


async def test_only_in_doubt_or_failed_mails_are_resent_and_only_for_our_requests(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, stay=1))
        await harness.wait_for_states("sent")
        row = await mail_of(harness)
        await harness.handle(OPERATOR_REQUESTED, request(row["message_id"]), uuid4())
        other = request(row["message_id"], service="suspender")
        await harness.handle(OPERATOR_REQUESTED, other, uuid4())
    assert await answers(harness) == [
        ("refused", "the mail is sent: only one in doubt or failed is sent again")
    ]
    assert len(inbox.messages()) == 1


EVENTS = st.lists(
    st.sampled_from(["low", "rise", "zero", "off", "on", "opt-out", "opt-in", "no address"]),
    max_size=12,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_each_queued_mail_is_in_one_state_and_is_sent_at_most_once(
    data: st.DataObject, database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """I5, for any sequence of events about the client, each twice, while mails are sent."""
    kinds = data.draw(EVENTS)
    inbox = Inbox(tmp_path_factory.mktemp("inbox"))
    inbox.start()
    try:
        asyncio.run(_play(database, inbox, kinds))
    finally:
        inbox.stop()


async def _play(database: str, inbox: Inbox, kinds: list[str]) -> None:
    pool = await open_pool(database, service="notifier", size=6)
    try:
        await pool.execute("delete from notifier.message")
        await pool.execute("delete from notifier.level")
        await pool.execute("delete from notifier.account")
        harness = NotifierHarness(pool, inbox.port)
        await harness.handle(ACCOUNT_CHANGED, prepaid())
        async with harness.at_work(senders=2):
            for number, kind in enumerate(kinds, start=2):
                topic, event = _event(kind, number)
                for _ in range(2):
                    assert await harness.handle(topic, event, UUID(int=number)) == []
            await until(lambda: _nothing_due(harness))
        owed = await pool.fetch(
            "select kind, number, day, count(*) as rows from notifier.message group by 1, 2, 3"
        )
        assert all(row["rows"] == 1 for row in owed)
        sent = [row["message_id"] for row in await harness.rows() if row["state"] == "sent"]
        ids = [str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in inbox.messages()]
        assert sorted(ids) == sorted(map(str, sent))
        assert not [
            r for r in await harness.rows() if r["state"] == "dropped" and not r["last_error"]
        ]
    finally:
        await pool.close()


def _event(kind: str, number: int) -> tuple[Any, Any]:
    if kind == "low":
        return BALANCE_LOW, low(number, stay=number)
    if kind == "rise":
        return BALANCE_RESTORED, risen(number, level_before="exhausted", hold=number - 1)
    if kind == "zero":
        return BALANCE_ZERO, zero(number, hold=number)
    if kind == "off":
        return SERVICE_SUSPENDED, suspended(hold=number, confirmed_at=at(number))
    if kind == "on":
        return SERVICE_RESTORED, restored(confirmed_at=at(number))
    client = {"opt-out": {"wants_mail": False}, "opt-in": {}, "no address": {"email": ""}}[kind]
    return ACCOUNT_CHANGED, prepaid(number, client=client)


async def _nothing_due(harness: NotifierHarness) -> bool:
    return not await harness.pool.fetchval(
        "select exists (select from notifier.message where state = 'sending' or"
        " state = 'waiting' and next_attempt_at <= $1)",
        harness.clock.now(),
    )
