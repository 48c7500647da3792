"""`ringfence mails` and GET /v1/notices: mails, their states, reasons and texts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from ringfence_cli.connection import EXIT_REFUSED
from ringfence_cli.operations.mails import mails
from ringfence_testing.wait import until
from tests.support.accounts import running_api
from tests.support.commands import Operator

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


async def mail(
    operator: Operator, state: str, minute: int, reason: str = "", **columns: object
) -> UUID:
    """Insert a mail as the notifier stores it."""
    facts: dict[str, object] = {
        "message_id": uuid4(),
        "account_id": "acme-1001",
        "kind": "low",
        "template": "Low Balance Alert",
        "cause_id": UUID(int=1),
        "state": state,
        "recipient": "ada@example.net",
        "subject": "Low Balance Alert",
        "text_body": "Credit: $8.00\n",
        "html_body": "<p>Credit: $8.00</p>\n",
        "occurred_at": NOON,
        "created_at": NOON + timedelta(minutes=minute),
        "due_at": NOON,
        "last_error": reason,
        "correlation_id": "thread-1",
    } | columns
    places = ", ".join(f"${number}" for number in range(1, len(facts) + 1))
    found: UUID = await operator.api.database.fetchval(
        f"insert into notifier.message ({', '.join(facts)}) values ({places}) returning message_id",
        *facts.values(),
    )
    return found


async def test_mails_are_listed_by_client_and_state_the_newest_first(operator: Operator) -> None:
    assert await operator.output(mails) == "No mails."
    await mail(operator, "sent", 1)
    await mail(operator, "in-doubt", 2, "no answer to the mail: TimeoutError")
    await mail(operator, "sending", 3)
    await mail(
        operator, "dropped", 4, "the client opted out of mail", account_id="other", recipient=""
    )
    rows = await operator.json(mails)
    assert [row["state"] for row in rows] == ["dropped", "waiting", "in doubt", "sent"]
    assert [row["reason"] for row in rows][:2] == [
        "the client opted out of mail",
        "it is being sent",
    ]
    assert len(await operator.json(mails, "--client", "acme-1001")) == 3
    (doubtful,) = await operator.json(mails, "--state", "in-doubt")
    assert doubtful["state"] == "in doubt"
    output = await operator.output(mails, "--state", "in-doubt")
    assert "To ada@example.net: Low Balance Alert. no answer to the mail: TimeoutError" in output
    assert doubtful["notice_id"][:8] in output


async def test_a_mail_is_found_by_the_first_digits_of_its_id(operator: Operator) -> None:
    first, second = UUID(int=0x1234567800 << 88), UUID(int=0x1234567801 << 88)
    await mail(operator, "failed", 1, message_id=first)
    await mail(operator, "sent", 2, message_id=second)
    shown = await operator.json(mails, "show", "1234567801")
    assert shown["notice_id"] == str(second)
    several = await operator.output(mails, "show", "12345678", status=2)
    assert f"several begin like that, type more: {first}, {second}" in several
    none = await operator.output(mails, "show", "abcdabcd", status=2)
    assert "there is no mail 'abcdabcd': `ringfence mails` lists the mails" in none
    short = await operator.output(mails, "show", "123", status=2)
    assert "there is no mail '123'" in short


async def test_a_mail_is_shown_as_sent_without_control_characters(
    operator: Operator,
) -> None:
    notice_id = await mail(
        operator, "failed", 1, "550 no such user", text_body="Credit: $8\x1b[2J.00"
    )
    output = await operator.output(mails, "show", str(notice_id))
    assert "550 no such user" in output
    assert "Credit: $8[2J.00" in output
    assert "<p>" in await operator.output(mails, "show", str(notice_id), "--html")
    shown = await operator.json(mails, "show", str(notice_id))
    assert shown["text"] == "Credit: $8\x1b[2J.00"
    await operator.run(mails, "show", str(uuid4()), status=EXIT_REFUSED)
    await operator.run(mails, "show", "nonsense", status=EXIT_REFUSED)


async def test_every_mail_of_all_pages_is_listed_once(operator: Operator) -> None:
    for minute in range(5):
        await mail(operator, "sent", minute // 2)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await operator.api.http.get("/v1/notices", params=params)).json()
        seen += [row["notice_id"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5


async def test_resend_shows_the_answer_of_the_notifier(operator: Operator) -> None:
    notice_id = await mail(operator, "in-doubt", 1)

    async def answer() -> None:
        async def asked() -> UUID | None:
            found: UUID | None = await operator.api.database.fetchval(
                "select request_id from accounts.command where service = 'notifier'"
                " and command = 'mail.resend' and arguments ->> 'notice_id' = $1",
                str(notice_id),
            )
            return found

        request_id = await until(asked)
        await operator.api.database.execute(
            "insert into notifier.command (request_id, command, arguments, requested_by, reason,"
            " requested_at, state, answer) values ($1, 'mail.resend', '{}', '', '', now(),"
            " 'done', 'it is sent again, next')",
            request_id,
        )

    answering = asyncio.create_task(answer())
    output = await operator.output(mails, "resend", str(notice_id), "--reason", "not received")
    await answering
    assert output == "done: it is sent again, next"
    await operator.run(mails, "resend", str(uuid4()), status=EXIT_REFUSED)
