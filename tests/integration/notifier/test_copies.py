"""Test copies that an operator asks for, and the templates that he is shown."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from notifier.form.layout import Layout, UnsubscribeLinks
from notifier.form.shown import shown_templates
from notifier.form.store_shown import save_shown
from notifier.template_files import load_catalogue
from ringfence.mail.unsubscribe import BadToken, read_token
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.topics import ACCOUNT_CHANGED, OPERATOR_REQUESTED
from ringfence_local.mail.inbox import Inbox
from tests.support.notifier import NOON, NotifierHarness, account


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, service="notifier", size=10)
    yield opened
    await opened.close()


@pytest.fixture
async def harness(pool: Pool, inbox: Inbox) -> NotifierHarness:
    return NotifierHarness(pool, inbox.port)


def request(**arguments: str) -> OperatorRequested:
    facts: dict[str, Any] = {
        "request_id": uuid4(),
        "service": "notifier",
        "command": "mail.test",
        "arguments": {"template": "Low Balance Alert", "to": "me@example.com"} | arguments,
        "requested_by": "olga",
        "requested_at": NOON,
    }
    return OperatorRequested.model_validate(facts)


async def answers(harness: NotifierHarness) -> list[tuple[str, str]]:
    rows = await harness.pool.fetch(
        "select state, answer from report.command where service = 'notifier' order by answered_at"
    )
    return [(row["state"], row["answer"]) for row in rows]


async def test_a_test_copy_is_sent_to_the_named_address_alone_and_once(
    harness: NotifierHarness, inbox: Inbox
) -> None:
    """With the client's values; he gets nothing, and it is no mail of his."""
    await harness.handle(ACCOUNT_CHANGED, account())
    asked = request(client="1042", language="fr")
    for _ in range(2):
        assert await harness.handle(OPERATOR_REQUESTED, asked, uuid4()) == []
    (mail,) = inbox.messages()
    assert (mail["To"], str(mail["Subject"])[:6]) == ("me@example.com", "[test]")
    assert mail["Cc"] is None
    ((state, words),) = await answers(harness)
    assert state == "done"
    assert "“Low Balance Alert” is sent to me@example.com" in words
    assert await harness.states() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "no address"}, "one address such as anna@example.com"),
        ({"template": "Birthday"}, "one of: Low Balance Alert, VoIP Zero Balance, VoIP Restored"),
        ({"client": "nobody"}, "a client that the notifier knows"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_the_reason(
    harness: NotifierHarness, inbox: Inbox, arguments: dict[str, str], words: str
) -> None:
    assert await harness.handle(OPERATOR_REQUESTED, request(**arguments), uuid4()) == []
    ((state, answer),) = await answers(harness)
    assert state == "refused"
    assert words in answer
    assert inbox.messages() == []


async def test_without_a_mail_server_the_answer_says_so(pool: Pool) -> None:
    harness = NotifierHarness(pool, 1)
    await harness.handle(OPERATOR_REQUESTED, request(), uuid4())
    ((state, answer),) = await answers(harness)
    assert state == "refused"
    assert "a server that takes mail" in answer


async def test_the_templates_are_written_as_they_are_loaded_and_replaced_at_the_next_start(
    pool: Pool,
) -> None:
    shown = shown_templates(load_catalogue(None), Layout(company="Tel & Co"), "/etc/mails", NOON)
    await save_shown(pool, [shown[0]._replace(template="Older")], NOON)
    await save_shown(pool, shown, NOON)
    rows = await pool.fetch("select * from report.mail_template order by language, template")
    assert [(row["language"], row["template"]) for row in rows] == [
        (language, name)
        for language in ("en", "fr")
        for name in ("Low Balance Alert", "VoIP Restored", "VoIP Zero Balance", "Your Page")
    ]
    first = rows[0]
    assert (first["own"], first["folder"], first["warnings"]) == (False, "/etc/mails", [])
    assert "Tel &amp; Co" in first["html"]
    assert "Ada" in first["text"]


def test_a_sample_s_link_unsubscribes_nobody() -> None:
    """The sample client has an id that a client may have, too."""
    key = b"the key of this installation"
    layout = Layout(unsubscribe=UnsubscribeLinks("https://api.example.net", key))
    for mail in shown_templates(load_catalogue(None), layout, "", NOON):
        found = re.search(r"/unsubscribe/([\w.~-]+)", mail.text)
        assert found is not None
        with pytest.raises(BadToken):
            read_token(found[1], key, NOON)
