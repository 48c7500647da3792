"""Links to clients' own pages in mails: sent to the client, and in no table, event or log."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from notifier.form.layout import ClientPageLinks, Layout
from notifier.owed.decision import LINK_WANTED_FOR
from ringfence.mail.client_link import read_client_link
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_LOW, OPERATOR_REQUESTED
from ringfence_local.mail.inbox import Inbox
from tests.support.notifier import NOON, NotifierHarness, account, low

KEY = b"a key for tests, long enough"
LAYOUT = Layout(client_page=ClientPageLinks("https://my.example.net", KEY))
LINK = re.compile(r"https://my\.example\.net/my#([\w.-]+)")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port, layout=LAYOUT)


def asked(**changes: Any) -> OperatorRequested:
    facts = {
        "request_id": uuid4(), "service": "notifier", "command": "mail.link",
        "arguments": {"account_id": "1042", "currency": "CAD"}, "requested_by": "client",
        "requested_at": NOON,
    }  # fmt: skip
    return OperatorRequested.model_validate(facts | changes)


def links_of(inbox: Inbox) -> list[str]:
    """The tokens of the links in the plain and the HTML part of the mails, in their order."""
    found: list[str] = []
    for message in inbox.messages():
        parts = [
            part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()
        ]
        texts = [part.decode() for part in parts if isinstance(part, bytes)]
        tokens = {token for text in texts for token in LINK.findall(text)}
        assert all(LINK.search(text) for text in texts), "both parts have the link"
        found += tokens
    return found


async def stored(harness: NotifierHarness) -> str:
    """All that the notifier wrote: its queue, its outbox and its answers."""
    rows = [*await harness.rows(), *await harness.events()]
    return json.dumps([dict(row) for row in rows], default=str)


async def test_a_mail_has_a_link_that_is_stored_nowhere(
    harness: NotifierHarness, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, stay=1))
        await harness.wait_for_states("sent")
    (token,) = links_of(inbox)
    found = read_client_link(token, KEY, NOON)
    assert (found.account_id, found.may_change) == ("1042", True)
    assert found.ends_at == NOON + timedelta(days=7)
    text = await stored(harness)
    assert token not in text
    assert token.rpartition(".")[2] not in text
    assert "my.example.net/my#(not stored)" in text
    assert token not in caplog.text


async def test_a_link_is_valid_from_when_its_mail_is_sent(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(BALANCE_LOW, low(1, stay=1))
    harness.clock.set(harness.clock.now() + timedelta(hours=5))
    async with harness.at_work():
        await harness.wait_for_states("sent")
    (token,) = links_of(inbox)
    assert read_client_link(token, KEY, NOON + timedelta(hours=5)).made_at == NOON + timedelta(
        hours=5
    )


async def test_a_client_who_asks_is_mailed_a_link_once(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account(client={"wants_mail": False}))
    request = asked()
    async with harness.at_work():
        for _ in range(3):
            await harness.handle(OPERATOR_REQUESTED, request, uuid4())
        await harness.wait_for_states("sent")
    (message,) = inbox.messages()
    assert message["Subject"] == "The link to your balance and calls"
    assert message["To"] == "ada@example.net"
    assert len(links_of(inbox)) == 1


@pytest.mark.parametrize(
    ("changes", "waited", "words"),
    [
        ({}, LINK_WANTED_FOR + timedelta(seconds=1), "more than an hour ago"),
        ({"mode": "shadow"}, timedelta(0), "shadow mode"),
        ({"client": {"email": ""}}, timedelta(0), "no e-mail address"),
    ],
)
async def test_a_link_that_cannot_be_mailed_is_dropped_with_the_reason(
    harness: NotifierHarness, changes: dict[str, Any], waited: timedelta, words: str
) -> None:
    await harness.handle(ACCOUNT_CHANGED, account(**changes))
    await harness.handle(OPERATOR_REQUESTED, asked(), uuid4())
    harness.clock.set(harness.clock.now() + waited)
    async with harness.at_work():
        await harness.wait_for_states("dropped")
    (row,) = await harness.rows()
    assert words in row["last_error"]


async def test_without_pages_mails_are_as_they_were_and_a_request_is_refused(
    pool: Pool, inbox: Inbox
) -> None:
    harness = NotifierHarness(pool, inbox.port)
    await harness.handle(ACCOUNT_CHANGED, account())
    await harness.handle(OPERATOR_REQUESTED, asked(), uuid4())
    answer = await pool.fetchval("select answer from report.command")
    assert "RINGFENCE_CLIENT_PAGE_URL is not set" in answer
    async with harness.at_work():
        await harness.handle(BALANCE_LOW, low(1, stay=1))
        await harness.wait_for_states("sent")
    (message,) = inbox.messages()
    assert "/my#" not in message.as_string()
