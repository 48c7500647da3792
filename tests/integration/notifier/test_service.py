"""The notifier as a process: events become mails and events again, even after a kill -9."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ringfence.kafka.publisher import open_publisher
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceLow
from ringfence_contracts.events.model import EventData
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    BALANCE_LOW,
    NOTICE_FAILED,
    NOTICE_SENT,
    RATING_ALARM,
    Topic,
)
from ringfence_local.embedded.ports import free_port as find_free_port
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@asynccontextmanager
async def notifier(
    kafka_bootstrap: str, database: str, smtp_port: int, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m notifier`, ended by SIGTERM if it still runs; `log` names a file for its log."""
    environment = {
        "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RINGFENCE_POSTGRES_DSN": database,
        "RINGFENCE_NOTIFIER_SMTP_PORT": str(smtp_port),
        "RINGFENCE_NOTIFIER_POLL_S": "0.1",
        "RINGFENCE_NOTIFIER_LOW_INTERVAL_S": "0",
    }
    log = await asyncio.to_thread(Path(settings.pop("log", os.devnull)).open, "wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "notifier",
        env=os.environ | environment | settings,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=log,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 240)
        log.close()


async def publish(kafka_bootstrap: str, *events: tuple[Topic, EventData, UUID]) -> None:
    async with open_publisher(kafka_bootstrap, source="test") as publisher:
        await publisher.publish(
            [
                Outgoing(
                    topic=topic,
                    key=getattr(data, topic.keyed_by),
                    value=data.to_json(),
                    event_id=event_id,
                    time=NOON,
                    source="test",
                    correlation_id=f"thread-{event_id}",
                )
                for topic, data, event_id in events
            ]
        )


async def notices(kafka_bootstrap: str, topic: Topic, account_id: str) -> list[dict[str, object]]:
    """All events of the account on `topic`."""
    reader = AIOKafkaConsumer(
        topic.name, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        ends = await reader.end_offsets(reader.assignment())
        found = []
        while any([await reader.position(p) < end for p, end in ends.items()]):
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += [orjson.loads(r.value) for r in records if r.key == account_id.encode()]
    finally:
        await reader.stop()
    return found


def crossing_of(account_id: str) -> tuple[AccountChanged, BalanceLow]:
    client = {"first_name": "Ada", "email": f"{account_id}@example.net"}
    profile = {"low_balance_threshold": "15", "threshold_micro": 15_000_000}
    account = AccountChanged.model_validate(
        {"account_id": account_id, "version": 1, "currency": "CAD", "client": client}
        | {"profile": profile, "changed_at": NOON}
    )
    low = BalanceLow(
        account_id=account_id,
        crossing=1,
        balance_version=1,
        balance_micro=8_000_000,
        outstanding_micro=0,
        threshold_micro=15_000_000,
        currency="CAD",
        occurred_at=NOON,
    )
    return account, low


class _Holding:
    """An SMTP handler that accepts the mail and holds its reply."""

    def __init__(self) -> None:
        self.taken = 0
        self.may_answer = threading.Event()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken += 1
        await asyncio.get_running_loop().run_in_executor(None, self.may_answer.wait, 60)
        return "250 at last"


@pytest.fixture
def holding() -> Iterator[tuple[_Holding, int]]:
    handler, port = _Holding(), find_free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, port
    finally:
        handler.may_answer.set()
        controller.stop()


async def test_an_alert_becomes_one_mail_and_publishes_notice_sent(
    kafka_bootstrap: str, database: str, inbox: Inbox
) -> None:
    """The alert is delivered three times, before its account; SIGTERM ends the service with 0."""
    account_id, cause = f"n-{uuid4().hex[:8]}", uuid4()
    account, low = crossing_of(account_id)

    def mails() -> list[object]:
        return [mail for mail in inbox.messages() if account_id in str(mail["To"])]

    async def published() -> list[dict[str, object]]:
        return await notices(kafka_bootstrap, NOTICE_SENT, account_id)

    async with notifier(kafka_bootstrap, database, inbox.port) as process:
        await publish(kafka_bootstrap, *[(BALANCE_LOW, low, cause)] * 3)
        await publish(kafka_bootstrap, (ACCOUNT_CHANGED, account, uuid4()))
        await until(mails, timeout_s=60)
        (notice,) = await until(published, timeout_s=20)
        assert notice["cause_id"] == str(cause)
        assert notice["recipient"] == f"{account_id}@example.net"
    assert process.returncode == 0
    assert len(mails()) == 1


async def test_an_alarm_of_a_service_becomes_a_mail_to_the_operator(
    kafka_bootstrap: str, database: str, inbox: Inbox
) -> None:
    operator, alarm_id = f"ops-{uuid4().hex[:8]}@example.net", uuid4()
    raised = Alarm(
        alarm_id=alarm_id,
        service="rating",
        key="payment-unclaimed",
        subject=f"acme/{alarm_id}",
        severity="critical",
        state="raised",
        message="A payment that accounts does not hold was not posted.",
        what_to_do="ringfence payments claim",
        raised_at=NOON,
    )
    ended = raised.model_copy(update={"state": "ended", "ended_at": NOON})

    def mails() -> list[str]:
        return [str(m["Subject"]) for m in inbox.messages() if str(m["To"]) == operator]

    address = {"RINGFENCE_NOTIFIER_OPERATOR_EMAIL": operator}
    async with notifier(kafka_bootstrap, database, inbox.port, **address):
        await publish(kafka_bootstrap, (RATING_ALARM, raised, uuid4()))
        await until(mails, timeout_s=60)
        await publish(kafka_bootstrap, (RATING_ALARM, ended, uuid4()))
        await until(lambda: len(mails()) == 2, timeout_s=20)
    named = f"payment-unclaimed acme/{alarm_id}"
    assert mails() == [f"Alarm: {named}", f"Ended: {named}"]


async def test_a_kill_between_a_mail_and_its_reply_sends_no_second_mail(
    kafka_bootstrap: str, database: str, holding: tuple[_Holding, int]
) -> None:
    """SIGKILL while the server holds its reply: in doubt, published, and not sent again."""
    handler, port = holding
    account_id = f"n-{uuid4().hex[:8]}"
    account, low = crossing_of(account_id)
    events = [(ACCOUNT_CHANGED, account, uuid4()), (BALANCE_LOW, low, uuid4())]
    async with notifier(kafka_bootstrap, database, port) as process:
        await publish(kafka_bootstrap, *events)
        await until(lambda: handler.taken, timeout_s=60)
        process.kill()
        await process.wait()
    handler.may_answer.set()

    async def given_up() -> list[dict[str, object]]:
        return await notices(kafka_bootstrap, NOTICE_FAILED, account_id)

    async def sent_the_next() -> bool:
        return await _states(database, account_id) == ["in-doubt", "sent"]

    async with notifier(kafka_bootstrap, database, port):
        (notice,) = await until(given_up, timeout_s=60)
        next_low = low.model_copy(update={"crossing": 3})
        await publish(kafka_bootstrap, *events, (BALANCE_LOW, next_low, uuid4()))
        await until(sent_the_next, timeout_s=60)
    assert str(notice["reason"]).startswith("in doubt")
    assert handler.taken == 2


async def test_d15_a_service_that_has_to_exit_finishes_the_mail_in_flight(
    kafka_bootstrap: str, database: str, holding: tuple[_Holding, int], tmp_path: Path
) -> None:
    """The event handler fails permanently while the server holds the reply to a mail."""
    handler, port = holding
    account_id = f"n-{uuid4().hex[:8]}"
    account, low = crossing_of(account_id)
    owner = await asyncpg.connect(database)
    log_file = tmp_path / "log"
    try:
        async with notifier(kafka_bootstrap, database, port, log=str(log_file)) as process:
            await publish(
                kafka_bootstrap, (ACCOUNT_CHANGED, account, uuid4()), (BALANCE_LOW, low, uuid4())
            )
            await until(lambda: handler.taken, timeout_s=60)
            await owner.execute("revoke insert on notifier.account from ringfence_notifier")
            newer = account.model_copy(update={"version": 2})
            await publish(kafka_bootstrap, (ACCOUNT_CHANGED, newer, uuid4()))
            await until(lambda: b"finishing mails" in log_file.read_bytes(), timeout_s=60)
            assert process.returncode is None
            handler.may_answer.set()
            assert await asyncio.wait_for(process.wait(), 240) != 0
    finally:
        await owner.close()
    assert await _states(database, account_id) == ["sent"]
    assert handler.taken == 1


async def _states(database: str, account_id: str) -> list[str]:
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "select state from notifier.message where account_id = $1 order by crossing",
            account_id,
        )
    finally:
        await connection.close()
    return [row["state"] for row in rows]


async def test_an_invalid_template_stops_the_service_at_its_start_with_the_reason(
    kafka_bootstrap: str, database: str, tmp_path: Path
) -> None:
    for name in ("Low Balance Alert", "VoIP Zero Balance"):
        (tmp_path / f"{name}.tpl").write_text("Subject: s\n\n{foreach $client_credit}low{/foreach}")
    folder = {"RINGFENCE_NOTIFIER_TEMPLATES_DIR": str(tmp_path)}
    log_file = tmp_path / "log"
    async with notifier(
        kafka_bootstrap, database, find_free_port(), log=str(log_file), **folder
    ) as process:
        await asyncio.wait_for(process.wait(), 120)
    assert process.returncode != 0
    log = log_file.read_bytes()
    assert b"'Low Balance Alert', line 3" in log
    assert b"{foreach $client_credit}" in log
