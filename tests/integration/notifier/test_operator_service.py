"""The notifier as a process with all of the operator's channels: mail, digest, webhook, chat."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest
from aiohttp import web

from ringfence.kafka.publisher import open_publisher
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceLow
from ringfence_contracts.events.model import EventData
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_LOW, SUSPENDER_ALARM, Topic
from ringfence_local.mail.inbox import Inbox
from ringfence_testing.wait import until

COMPANY = {
    "RINGFENCE_NOTIFIER_COMPANY": "Maple Voice",
    "RINGFENCE_NOTIFIER_OPERATOR_EMAIL": "ops@example.net",
    "RINGFENCE_NOTIFIER_OPERATOR_TIME_ZONE": "America/Toronto",
    "RINGFENCE_NOTIFIER_PAY_LINK": "https://pay.example.net",
    "RINGFENCE_NOTIFIER_PUBLIC_URL": "https://billing.example.net",
    "RINGFENCE_UNSUBSCRIBE_KEY": "a key for tests, long enough",
    "RINGFENCE_NOTIFIER_REPLY_TO": "help@example.net",
    "RINGFENCE_NOTIFIER_POLL_S": "0.1",
    "CRM": "a secret for tests, long enough",
}


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """An HTTP server, and the list of the paths and bodies that it receives."""
    taken: list[tuple[str, dict[str, Any]]] = []

    async def take(request: web.Request) -> web.Response:
        taken.append((request.path, orjson.loads(await request.read())))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{path}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", taken
    finally:
        await runner.cleanup()


@asynccontextmanager
async def notifier(settings: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m notifier`, ended by SIGTERM if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", env=os.environ | settings,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 240)


async def publish(bootstrap: str, *events: tuple[Topic, EventData]) -> None:
    async with open_publisher(bootstrap, source="test") as publisher:
        await publisher.publish(
            [
                Outgoing(
                    topic=topic, key=getattr(data, topic.keyed_by), value=data.to_json(),
                    event_id=uuid4(), time=datetime.now(UTC), source="test",
                )
                for topic, data in events
            ]
        )  # fmt: skip


def crossing(account_id: str, crossing: int = 1) -> tuple[AccountChanged, BalanceLow]:
    now = datetime.now(UTC)
    client = {"first_name": "Ada", "email": f"{account_id}@example.net"}
    profile = {"low_balance_threshold": "15", "threshold_micro": 15_000_000}
    account = AccountChanged.model_validate(
        {"account_id": account_id, "version": 1, "currency": "GBP", "client": client}
        | {"profile": profile, "changed_at": now}
    )
    low = BalanceLow(
        account_id=account_id, crossing=crossing, balance_version=crossing, stay=crossing,
        balance_micro=8_000_000, outstanding_micro=0, threshold_micro=15_000_000,
        currency="GBP", occurred_at=now,
    )  # fmt: skip
    return account, low


def alarm(subject: str) -> Alarm:
    return Alarm(
        alarm_id=uuid4(), service="suspender", key="suspension-failed", subject=subject,
        severity="critical", state="raised", message="It could not be switched off.",
        what_to_do="See why.", account_id=subject, raised_at=datetime.now(UTC),
    )  # fmt: skip


@pytest.fixture
def settings(kafka_bootstrap: str, database: str, inbox: Inbox, tmp_path: Path) -> dict[str, str]:
    due = datetime.now(UTC) - timedelta(minutes=1)
    return COMPANY | {
        "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RINGFENCE_POSTGRES_DSN": database,
        "RINGFENCE_NOTIFIER_SMTP_PORT": str(inbox.port),
        "RINGFENCE_NOTIFIER_DIGEST_AT": f"{due:%H:%M}",
        "RINGFENCE_NOTIFIER_OPERATOR_TIME_ZONE": "UTC",
        "RINGFENCE_NOTIFIER_WEBHOOKS_FILE": str(tmp_path / "webhooks.toml"),
    }


async def test_an_event_reaches_the_client_the_webhook_and_the_chat_through_a_kill(
    settings: dict[str, str], kafka_bootstrap: str, database: str, inbox: Inbox, tmp_path: Path
) -> None:
    account_id = f"ada-{uuid4().hex[:8]}"
    async with receiver() as (address, taken):
        (tmp_path / "webhooks.toml").write_text(
            f'[[webhook]]\nname = "crm"\nurl = "http://{address}/crm"\nsecret_env = "CRM"\n'
            'events = ["balance.*"]\n'
        )
        settings["RINGFENCE_NOTIFIER_CHAT_URLS"] = f"json://{address}/chat"
        async with notifier(settings) as process:
            connection = await asyncpg.connect(database)

            async def registered() -> bool:
                return bool(await connection.fetchval("select count(*) from notifier.channel") == 2)

            await until(registered, timeout_s=60)
            account, low = crossing(account_id)
            await publish(kafka_bootstrap, (ACCOUNT_CHANGED, account), (BALANCE_LOW, low))
            await publish(kafka_bootstrap, (SUSPENDER_ALARM, alarm(account_id)))

            def arrived() -> bool:
                paths = {path for path, body in taken if account_id in str(body)}
                mails = [(str(mail["To"]), str(mail["Subject"])) for mail in inbox.messages()]
                subjects = " ".join(subject for to, subject in mails if to == "ops@example.net")
                to_client = f"{account_id}@example.net" in {to for to, _ in mails}
                to_operator = account_id in subjects and "Daily digest" in subjects
                return paths == {"/crm", "/chat"} and to_client and to_operator

            await until(arrived, timeout_s=60)
            process.kill()
            await process.wait()
        again = crossing(account_id, 2)[1]
        await publish(kafka_bootstrap, (BALANCE_LOW, again))
        async with notifier(settings):

            def second() -> bool:
                crossings = [
                    body["data"]["crossing"]
                    for path, body in taken
                    if path == "/crm" and body["data"]["account_id"] == account_id
                ]
                return sorted(set(crossings)) == [1, 2]

            await until(second, timeout_s=60)
        await connection.close()
    mails = {str(mail["To"]): mail for mail in inbox.messages()}
    client = mails[f"{account_id}@example.net"]
    body = client.get_body(("plain",))
    assert body is not None
    assert "Credit: £8.00" in str(body.get_content())
    assert "Add funds: https://pay.example.net" in str(body.get_content())
    assert str(client["From"]) == "Maple Voice <billing@localhost>"
    assert client["Reply-To"] == "help@example.net"
    assert client["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "https://billing.example.net/unsubscribe/" in str(client["List-Unsubscribe"])
    to_operator = [str(m["Subject"]) for m in inbox.messages() if m["To"] == "ops@example.net"]
    assert any(subject.startswith("Daily digest") for subject in to_operator)
    assert any(account_id in subject for subject in to_operator)
