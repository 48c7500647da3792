"""The embedded servers, as the other tests and `make run` use them."""

import os
import signal
import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from ringfence.kafka.admin import TopicsDiffer, create_topics
from ringfence.kafka.publisher import make_producer
from ringfence_contracts.topics import PARTITIONS, topic_configs
from ringfence_local.embedded.postgres import Postgres
from ringfence_local.embedded.server import run_tool
from ringfence_local.errors import StackError
from ringfence_local.mail.inbox import Inbox, read_mails


async def test_every_topic_exists_with_its_partitions(kafka_bootstrap: str) -> None:
    """Each topic of `ringfence_contracts.topics` can be written to; a second call adds none."""
    assert await create_topics(kafka_bootstrap) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        found = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
    finally:
        await admin.close()
    assert {name: found.get(name) for name in topic_configs()} == dict.fromkeys(
        topic_configs(), PARTITIONS
    )


async def test_a_sent_record_can_be_consumed(kafka_bootstrap: str) -> None:
    """An idempotent, fully acknowledged record can be consumed."""
    producer = make_producer(kafka_bootstrap)
    await producer.start()
    try:
        sent = await producer.send_and_wait("notice.sent.v1", b"value", key=b"test-local-parts")
    finally:
        await producer.stop()
    reader = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign([sent.topic_partition])
        reader.seek(sent.topic_partition, sent.offset)
        record = await reader.getone()
    finally:
        await reader.stop()
    assert (record.key, record.value) == (b"test-local-parts", b"value")


async def test_every_test_has_its_own_migrated_database(database: str) -> None:
    """A fresh, migrated copy with durable commits."""
    connection = await asyncpg.connect(database)
    try:
        names = await connection.fetch("select name from public.ringfence_migration")
        assert "0001_roles.sql" in {row["name"] for row in names}
        assert await connection.fetchval("show fsync") == "on"
        assert await connection.fetchval("show synchronous_commit") == "on"
    finally:
        await connection.close()


def mail(to: str, subject: str = "Low Balance Alert") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "billing@example.net", to, subject
    message.set_content("Solde: 14,99 €")
    return message


def test_a_mail_is_on_disk_when_it_is_accepted(inbox: Inbox, tmp_path: Path) -> None:
    """After the reply 250, another reader of the folder sees it at once, with its envelope."""
    with smtplib.SMTP(inbox.host, inbox.port, timeout=5) as client:
        client.send_message(mail("client@example.net"))
        kept = read_mails(tmp_path / "inbox")
    assert [message["Subject"] for message in kept] == ["Low Balance Alert"]
    assert kept[0]["Delivered-To"] == "client@example.net"
    assert kept[0].get_content().strip() == "Solde: 14,99 €"


@pytest.mark.parametrize(("to", "code"), [("refuse-550@x.net", 550), ("later-451@x.net", 451)])
def test_a_recipients_name_can_request_a_refusal(inbox: Inbox, to: str, code: int) -> None:
    """The name contains the code; the mail is not saved."""
    with smtplib.SMTP(inbox.host, inbox.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.send_message(mail(to))
        assert refused.value.recipients[to][0] == code
    assert inbox.messages() == []


def test_the_server_refuses_a_number_of_times_and_then_accepts(inbox: Inbox) -> None:
    """As with greylisting; the server can also stop and start on the same port."""
    inbox.refuse(451, at="DATA", times=1)
    with smtplib.SMTP(inbox.host, inbox.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            client.send_message(mail("client@example.net"))
        client.send_message(mail("client@example.net"))
    inbox.stop()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(inbox.host, inbox.port, timeout=5)
    inbox.start()
    with smtplib.SMTP(inbox.host, inbox.port, timeout=5) as client:
        client.send_message(mail("client@example.net", "again"))
    assert [message["Subject"] for message in inbox.messages()] == ["Low Balance Alert", "again"]


async def test_postgres_keeps_committed_data_after_a_kill(tmp_path: Path) -> None:
    """kill -9 of the server during writes; the next start recovers automatically."""
    postgres = Postgres(tmp_path / "postgres")
    postgres.start()
    try:
        connection = await asyncpg.connect(postgres.dsn())
        await connection.execute("create table kept (n int); insert into kept values (42)")
        os.kill(postgres.pid, signal.SIGKILL)
        connection.terminate()
        postgres.start()
        connection = await asyncpg.connect(postgres.dsn())
        assert await connection.fetchval("select n from kept") == 42
        await connection.close()
    finally:
        postgres.stop()


async def test_topics_with_other_partitions_are_rejected(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Account-keyed topics need the same number of partitions, so a difference is an error."""
    monkeypatch.setattr("ringfence.kafka.admin.PARTITIONS", PARTITIONS + 1)
    with pytest.raises(TopicsDiffer, match=f"has {PARTITIONS} partitions, not {PARTITIONS + 1}"):
        await create_topics(kafka_bootstrap)


def test_a_tool_that_does_not_end_is_a_failed_start(tmp_path: Path) -> None:
    """The keeper tries a failed start again; any other error would end it in silence."""
    with pytest.raises(StackError, match=r"python\S* did not end within 0.2 s"):
        run_tool([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
