"""The pages of mail templates, on a real API and database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifier.form.layout import Layout
from notifier.form.shown import shown_templates
from notifier.form.store_shown import save_shown
from notifier.template_files import load_catalogue
from ringfence.postgres.pool import open_pool
from tests.support.accounts import TOKEN, RunningApi, running_api
from tests.support.commands import Operator
from tests.support.console import RunningConsole, running_console

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
LOW = "/settings/mails/Low%20Balance%20Alert/en"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


@pytest.fixture
async def console(api: RunningApi) -> AsyncIterator[RunningConsole]:
    async with running_console(api.url) as opened:
        assert (await opened.login(TOKEN)).status_code == 303
        yield opened


async def loaded(database: str, folder: Path | None = None) -> None:
    """What the notifier writes when it starts."""
    found = shown_templates(load_catalogue(folder), Layout("Tel & Co"), str(folder or ""), NOW)
    pool = await open_pool(database, service="notifier", size=1)
    await save_shown(pool, found, NOW)
    await pool.close()


async def test_before_the_notifier_has_run_the_page_says_so(console: RunningConsole) -> None:
    assert "The notifier has not run yet" in await console.page("/settings/mails")
    answer = await console.http.get(LOW)
    assert answer.status_code == 404
    assert "ringfence template check" in answer.text


async def test_all_templates_are_listed_with_where_they_are_edited(
    database: str, console: RunningConsole, tmp_path: Path
) -> None:
    await loaded(database)
    page = await console.page("/settings/mails")
    assert page.count("packaged") == 8
    assert "RINGFENCE_NOTIFIER_TEMPLATES_DIR" in page
    own = "Subject: <b>Low</b>\n<p>US${$client_credit}</p>"
    (tmp_path / "Low Balance Alert.tpl").write_text(own)
    (tmp_path / "VoIP Zero Balance.tpl").write_text("Subject: Off\n{$client_credit}")
    await loaded(database, tmp_path)
    page = await console.page("/settings/mails")
    assert page.count("your own") == 2
    assert "&lt;b&gt;Low&lt;/b&gt;" in page
    assert "warnings: 1" in page
    assert f"files in {tmp_path}" in page
    assert f"in {tmp_path} on the notifier" in await console.page(LOW)


async def test_a_mail_is_shown_in_a_frame_that_may_do_nothing(
    database: str, console: RunningConsole
) -> None:
    await loaded(database)
    answer = await console.http.get(LOW)
    assert f'<iframe class="mail" sandbox title="The mail Low Balance Alert" src="{LOW}/body">' in (
        answer.text
    )
    policy = answer.headers["content-security-policy"]
    assert "frame-src 'self'" in policy
    assert "unsafe" not in policy
    body = await console.http.get(f"{LOW}/body")
    assert "Tel &amp; Co" in body.text
    policy = body.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    )
    assert policy.endswith("; sandbox")
    assert "script-src" not in policy
    other = await console.http.get("/settings/mails")
    assert "frame-src" not in other.headers["content-security-policy"]


async def test_a_test_copy_is_asked_for_and_the_mail_servers_answer_is_shown(
    database: str, api: RunningApi, console: RunningConsole
) -> None:
    await loaded(database)
    await api.client("anna")
    fields = {"to": "me@example.com", "client": "anna"}
    text, request = await asyncio.gather(
        console.submit(LOW, f"{LOW}/test", **fields),
        Operator(api).answered("done", "a test copy is sent: 250 <ok>"),
    )
    assert "a test copy is sent: 250 &lt;ok&gt;" in text
    assert (request["service"], request["command"]) == ("notifier", "mail.test")
    assert request["arguments"] == {"template": "Low Balance Alert", "language": "en", **fields}
    for wrong in ({"to": "nowhere"}, {"to": "a@b.example", "client": "nobody"}):
        assert 'role="alert"' in await console.submit(LOW, f"{LOW}/test", **wrong)
    assert len(await api.published("operator.requested.v1")) == 1


async def test_who_may_only_read_sees_mails_and_sends_none(database: str, api: RunningApi) -> None:
    await loaded(database)
    body = {"operator": "reader", "scopes": ["read"]}
    secret = (await api.http.post("/v1/tokens", json=body)).json()["secret"]
    async with running_console(api.url) as visitor:
        await visitor.login(secret)
        assert "ask an administrator for the scope operate" in await visitor.page(LOW)
        text = await visitor.submit(LOW, f"{LOW}/test", to="me@example.com")
        assert "this request needs operate" in text
        given = {"to": "me@example.com", "proof": "0" * 64}
        assert (await visitor.http.post(f"{LOW}/test", data=given)).status_code == 403
    assert await api.published("operator.requested.v1") == []
