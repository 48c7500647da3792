"""The pages of servers, on a real API and database."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from accounts.installation.servers import ServersFile
from tests.support.accounts import FUSIONPBX, TOKEN, RunningApi, running_api
from tests.support.cdr_ingest import servers_toml
from tests.support.commands import Operator
from tests.support.console import RunningConsole, running_console

PBX = {"kind": "fusionpbx", "url": "http://127.0.0.1:1", "api_key": {"env": "TEST_KEY"}}
TENANT = "mcon.wat5.ictvoip.ca"


@dataclass
class Desk:
    """An operator's browser, and what other services would write."""

    console: RunningConsole
    operator: Operator

    @property
    def api(self) -> RunningApi:
        return self.operator.api

    async def submit_and_answer(
        self, page: str, path: str, state: str, answer: str, **fields: str
    ) -> tuple[str, dict[str, object]]:
        """Send a form, and answer its command as the suspender does; the page that follows."""
        text, request = await asyncio.gather(
            self.console.submit(page, path, **fields), self.operator.answered(state, answer)
        )
        return text, request


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    file = ServersFile(servers_toml(tmp_path, wat5=PBX, wat6=PBX))
    async with running_api(database, servers=file) as api:
        await api.client("anna")
        await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "extensions": "101 | 102"})
        async with running_console(api.url) as console:
            assert (await console.login(TOKEN)).status_code == 303
            yield Desk(console, Operator(api))


async def test_servers_are_shown_with_what_is_the_matter(desk: Desk) -> None:
    assert "not read yet" in await desk.console.page("/servers")
    await desk.operator.read("wat5", "the login was refused")
    await desk.operator.has("wat6", "tenant", "x.example", "x.example")
    await desk.operator.switched_off("anna", "pbx-1", "extensions", "101", tenant=TENANT)
    page = await desk.console.page("/servers")
    assert "the login was refused" in page
    assert '<span class="state ok">ok</span>' in page
    assert "/servers/wat6" in await desk.console.page("/servers/part/list")


async def test_a_pause_is_shown_as_the_suspender_answered_it(desk: Desk) -> None:
    """A time without an offset is read in the operator's zone: Toronto."""
    fields = {"until": "2099-12-01T06:00", "reason": "upgrade <5.6>"}
    text, request = await desk.submit_and_answer(
        "/servers/wat5", "/servers/wat5/pause", "done", "wat5 is paused", **fields
    )
    assert '<div class="result good" role="status">\n<p>wat5 is paused</p>' in text
    assert request["arguments"] == {"server_id": "wat5", "until": "2099-12-01T11:00:00+00:00"}
    assert (request["command"], request["reason"]) == ("server.pause", "upgrade <5.6>")
    await desk.api.database.execute(
        "insert into suspender.server_pause values ('wat5', now(), null, 'olga', '<i>why</i>')"
    )
    page = await desk.console.page("/servers")
    assert "until resumed, by olga: &lt;i&gt;why&lt;/i&gt;" in page
    text, request = await desk.submit_and_answer(
        "/servers", "/servers/wat5/resume", "refused", "wat5 is not paused"
    )
    assert '<div class="result bad" role="alert">' in text
    assert request["command"] == "server.resume"


async def test_a_time_that_is_none_is_refused_in_words(desk: Desk) -> None:
    text = await desk.console.submit("/servers/wat5", "/servers/wat5/pause", until="tomorrow")
    assert "expected a time such as 2026-12-01T17:00" in text
    assert await desk.api.published("operator.requested.v1") == []


async def test_a_server_is_read_again(desk: Desk) -> None:
    text, request = await desk.submit_and_answer(
        "/servers/wat5", "/servers/wat5/inventory", "done", "wat5 is read now"
    )
    assert "wat5 is read now" in text
    assert request["command"] == "inventory.read"


async def test_a_proposed_product_is_entered_for_the_client_who_has_the_tenant(desk: Desk) -> None:
    await desk.operator.has("wat5", "tenant", TENANT, TENANT)
    await desk.operator.has("wat5", "tenant", "new.example.com", "new.example.com")
    await desk.operator.has("wat5", "extension", "new.example.com", "200")
    page = await desk.console.page("/servers/wat5")
    assert "extension 101" in page  # that anna's product names and the server does not have
    assert 'value="new"' in page
    fields = {"proposal": "new", "client": "nobody", "extensions": "200"}
    where = "/servers/wat5/products"
    main = "domain_tenant_and_main_dids"
    text = await desk.console.submit("/servers/wat5", where, **fields, **{main: "new.example.com"})
    assert "expected a domain name, then its DIDs" in text
    fields[main] = "new.example.com | 4165550100"
    assert "nobody" in await desk.console.submit("/servers/wat5", where, **fields)
    await desk.api.client("bert")
    fields["client"] = "bert"
    text = await desk.console.submit("/servers/wat5", where, **fields)
    assert "new.example.com belongs to bert now" in text
    products = (await desk.api.http.get("/v1/clients/bert/products")).json()["items"]
    assert [(p["service"]["tenant"], p["service"]["extensions"]) for p in products] == [
        ("new.example.com", ["200"])
    ]
    assert 'value="new"' not in await desk.console.page("/servers/wat5")
    again = await desk.console.submit("/servers/wat5", where, **fields)
    assert "It is proposed no longer" in again


async def test_an_examination_is_shown_as_it_goes_on_and_when_it_is_done(desk: Desk) -> None:
    text = await desk.console.submit("/servers", "/servers/examine")
    assert "It is under way." in text
    (event,) = await desk.api.published("operator.requested.v1")
    findings = [
        {"subject": "wat5", "check": "reachable", "state": "ok", "said": "version 5", "do": ""},
        {"subject": "wat5", "check": "clock", "state": "warn", "said": "<b>late</b>", "do": "ntp"},
        {"subject": "wat6", "check": "login", "state": "fail", "said": "refused", "do": "a key"},
    ]
    await desk.api.database.execute(
        "insert into cdr_ingest.job (request_id, command, arguments, requested_by, requested_at,"
        " finished_at, state, result) values ($1::text::uuid, 'doctor.examine', '{}', 'tester',"
        " now(), now(), 'done', $2::text::jsonb)",
        event["request_id"],
        json.dumps({"findings": findings}),
    )
    page = await desk.console.page(f"/servers/part/examination?examination={event['request_id']}")
    assert page.index("refused") < page.index("&lt;b&gt;late&lt;/b&gt;")
    assert "reachable" not in page
    assert "Checks that were fine: 1." in page


async def test_an_unknown_server_and_an_unknown_examination_are_said_so(desk: Desk) -> None:
    for path in ("/servers/wat9", "/servers?examination=7", "/servers/part/nothing"):
        answer = await desk.console.http.get(path)
        assert answer.status_code in (404, 422), path
        assert "<h1>" in answer.text
