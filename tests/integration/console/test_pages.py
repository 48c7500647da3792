"""The pages over HTTP, on a real API and database."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from console.api.client import ApiAway, open_api
from console.feed.words import Happening
from ringfence_testing.wait import until
from tests.integration.accounts.test_overview import balance
from tests.integration.accounts.test_situation import charged
from tests.support.accounts import FUSIONPBX, TOKEN, RunningApi, running_api
from tests.support.console import PROOF, RunningConsole, running_console
from tests.support.reaction import switched_for

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        await opened.put("clients/anna/products/pbx-1", FUSIONPBX)
        yield opened


@pytest.fixture
async def console(api: RunningApi) -> AsyncIterator[RunningConsole]:
    """A browser that is logged in."""
    async with running_console(api.url) as opened:
        assert (await opened.login(TOKEN)).status_code == 303
        yield opened


async def scoped(api: RunningApi, *scopes: str) -> str:
    """A new token with these scopes."""
    body = {"operator": f"desk-{'-'.join(scopes)}", "scopes": list(scopes)}
    answer = await api.http.post("/v1/tokens", json=body)
    assert answer.is_success, answer.text
    return str(answer.json()["secret"])


async def test_without_a_session_every_page_leads_to_the_login(api: RunningApi) -> None:
    async with running_console(api.url) as visitor:
        for path in ("/", "/clients", "/clients/anna", "/unrated", "/calls/1", "/stream",
                     "/now/situation", "/servers", "/servers/x", "/dead", "/dead/x",
                     "/settings/modes", "/settings/modes/preview", "/settings/operators",
                     "/settings/mails", "/settings/mails/x/en", "/settings/mails/x/en/body",
                     "/now/reaction",
                     "/settings/modes/part/wave?client=x", "/settings/tokens",
                     "/clients/anna/part/calls",
                     "/clients/anna/statement.csv"):  # fmt: skip
            answer = await visitor.http.get(path)
            assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login"), path
        assert "Password" in await visitor.page("/login")


async def test_a_wrong_token_begins_no_session_and_says_what_to_do(api: RunningApi) -> None:
    async with running_console(api.url) as visitor:
        answer = await visitor.login("wrong")
        assert answer.status_code == 401
        assert "gives you a new one" in answer.text
        assert "set-cookie" not in answer.headers


async def test_an_operator_logs_in_by_password_and_by_a_link_once(api: RunningApi) -> None:
    body = {"name": "olga", "scopes": ["read"], "password": "a long enough password"}
    assert (await api.http.post("/v1/operators", json=body)).is_success
    async with running_console(api.url) as visitor:
        given = {"name": "olga", "password": "a long enough password"}
        assert (await visitor.http.post("/login", data=given)).status_code == 303
        assert "Who runs out first" in await visitor.page("/")
        session = visitor.http.cookies["ringfence_session"]
        text = await visitor.page("/")
        await visitor.http.post("/logout", data={"proof": PROOF.search(text)[1]})  # type: ignore[index]
        out = await api.http.get(
            "/v1/sessions/current", headers={"Authorization": f"Bearer {session}"}
        )
        assert out.status_code == 401, "the session is over at the API, too"
        assert (await visitor.http.get("/")).status_code == 303
        link = (await api.http.post("/v1/login-links", json={"operator": "olga"})).json()
        statuses = [
            (await visitor.http.post("/login", data={"link": link["secret"]})).status_code
            for _ in range(2)
        ]
        assert statuses == [303, 401]


async def test_the_session_is_a_cookie_that_no_script_and_no_other_site_has(
    api: RunningApi,
) -> None:
    async with running_console(api.url) as visitor:
        cookie = (await visitor.login(TOKEN)).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        secure = await visitor.http.post(
            "/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"}
        )
        assert secure.headers["set-cookie"].startswith("__Host-")
        assert "Secure" in secure.headers["set-cookie"]


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "x"])
async def test_the_login_leads_to_no_other_site(api: RunningApi, to: str) -> None:
    async with running_console(api.url) as visitor:
        answer = await visitor.http.post("/login", data={"token": TOKEN, "to": to})
        assert answer.headers["location"] == "/"


async def test_a_revoked_token_ends_the_session_with_the_next_page(api: RunningApi) -> None:
    token = await scoped(api, "read")
    tokens = (await api.http.get("/v1/tokens")).json()["items"]
    (token_id,) = [each["token_id"] for each in tokens if each["operator"] == "desk-read"]
    async with running_console(api.url) as visitor:
        await visitor.login(token)
        await visitor.page("/")
        await api.http.delete(f"/v1/tokens/{token_id}")

        async def is_out() -> bool:
            return (await visitor.http.get("/")).status_code == 303

        await until(is_out, timeout_s=10)


async def test_every_page_has_a_policy_that_allows_no_foreign_or_inline_script(
    console: RunningConsole,
) -> None:
    for path in ("/", "/login", "/clients", "/clients/anna", "/no-such-page"):
        answer = await console.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text


async def test_a_client_s_texts_are_never_markup(api: RunningApi, console: RunningConsole) -> None:
    await api.client(company_name=HOSTILE, first_name=HOSTILE)
    await api.pay("k-1", {"amount": "20", "reference": HOSTILE})
    for path in ("/", "/clients", "/clients/anna", "/clients/anna/part/history",
                 "/clients/anna/part/statement"):  # fmt: skip
        text = await console.page(path)
        assert HOSTILE not in text
    assert "&lt;script&gt;" in await console.page("/clients/anna")


async def test_now_shows_who_runs_out_first_and_what_needs_a_person(
    console: RunningConsole,
) -> None:
    text = await console.page("/")
    assert "Who runs out first" in text
    assert 'href="/clients/anna"' in text
    assert "Nothing. Everything that ringfence can do by itself is done." in text


async def test_the_list_of_clients_says_when_credit_is_used_up(
    api: RunningApi, console: RunningConsole
) -> None:
    assert '<td class="time"></td>' in await console.page("/clients")
    await balance(api, "anna", 13_000_000)
    await charged(api, "anna", (20_000_000, "top-up", "9 days"), (-7_000_000, "charge", "3 days"))
    assert '<td class="time">out ' in await console.page("/clients")


async def test_the_search_leads_to_clients_and_an_id_to_its_call(console: RunningConsole) -> None:
    answer = await console.http.get("/calls", params={"search": "2112"})
    assert answer.headers["location"] == "/clients?search=2112"
    assert 'href="/clients/anna"' in await console.page(answer.headers["location"])


async def test_a_payment_is_entered_once_however_often_its_form_is_sent(
    api: RunningApi, console: RunningConsole
) -> None:
    fields = {"kind": "top-up", "amount": "12.50", "reference": "cheque 7", "key": "one"}
    for _ in range(3):
        await console.submit("/clients/anna", "/clients/anna/payments", **fields)
    payments = (await api.http.get("/v1/clients/anna/payments")).json()["items"]
    assert [p["amount"] for p in payments if p["reference"] == "cheque 7"] == ["12.50"]


async def test_a_refused_payment_is_explained_in_words(console: RunningConsole) -> None:
    text = await console.submit(
        "/clients/anna", "/clients/anna/payments", kind="top-up", amount="twelve"
    )
    assert "result bad" in text
    assert "amount" in text
    assert "/v1/" not in text


async def test_what_happened_is_shown_once(console: RunningConsole) -> None:
    text = await console.submit(
        "/clients/anna", "/clients/anna/payments", amount="twelve", kind="top-up"
    )
    assert "result bad" in text
    assert "result bad" not in await console.page("/clients/anna")


async def test_an_order_is_given_shown_and_ended(api: RunningApi, console: RunningConsole) -> None:
    text = await console.submit(
        "/clients/anna", "/clients/anna/orders", kind="manual", reason="holiday",
        until="2031-05-06", product="",
    )  # fmt: skip
    assert "Keep off" in text
    assert "holiday" in text
    orders = (await api.http.get("/v1/clients/anna/orders")).json()["items"]
    assert [(each["kind"], each["reason"]) for each in orders] == [("manual", "holiday")]
    await console.submit("/clients/anna", "/clients/anna/orders/end", kind="manual", product="")
    assert (await api.http.get("/v1/clients/anna/orders")).json()["items"] == []


async def test_a_form_of_another_page_or_site_changes_nothing(
    api: RunningApi, console: RunningConsole
) -> None:
    forged = {"proof": "0" * 64, "amount": "5", "kind": "top-up", "key": "x"}
    answer = await console.http.post("/clients/anna/payments", data=forged)
    assert answer.status_code == 403
    text = await console.page("/clients/anna")
    proof = text.partition('name="proof" value="')[2].partition('"')[0]
    answer = await console.http.post(
        "/clients/anna/payments", data={**forged, "proof": proof},
        headers={"Origin": "https://evil.example"},
    )  # fmt: skip
    assert answer.status_code == 403
    payments = (await api.http.get("/v1/clients/anna/payments")).json()["items"]
    assert [each["kind"] for each in payments] == ["adjustment"], "its opening balance alone"


async def test_a_token_that_may_only_read_is_refused_in_the_api_s_words(api: RunningApi) -> None:
    token = await scoped(api, "read")
    async with running_console(api.url) as desk:
        await desk.login(token)
        text = await desk.submit(
            "/clients/anna", "/clients/anna/payments", kind="top-up", amount="5"
        )
        assert "this token may read; this request needs money" in text


async def test_the_statement_is_a_file_that_adds_up_and_holds_no_formula(
    api: RunningApi, console: RunningConsole
) -> None:
    await api.pay("k-1", {"amount": "20", "reference": "=1+1"})
    file = await console.http.get("/clients/anna/statement.csv")
    assert file.headers["content-disposition"] == 'attachment; filename="anna-all.csv"'
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [rows[0]["kind"], rows[-1]["kind"]] == ["opening", "closing"]
    assert all(not row["what"].startswith("=") for row in rows)


async def test_a_client_that_does_not_exist_is_a_page_that_says_so(console: RunningConsole) -> None:
    answer = await console.http.get("/clients/nobody")
    assert answer.status_code == 404
    assert "There is no such thing" in answer.text
    assert (await console.http.get("/clients/anna/statement.csv?month=x")).status_code == 422


async def test_the_stream_brings_an_event_within_a_second(console: RunningConsole) -> None:
    at = datetime(2026, 11, 1, 10, tzinfo=UTC)
    async with console.http.stream("GET", "/stream") as stream:
        lines = stream.aiter_lines()
        await asyncio.wait_for(_line(lines, "event: listening"), 20)
        console.hub.publish(Happening("balance.low.v1", "anna", at, "low: $1.00 left", "warn"))

        event = await asyncio.wait_for(next_event(lines), 20)
    assert (event["account"], event["text"], event["tone"]) == ("anna", "low: $1.00 left", "warn")


async def test_a_page_learns_that_events_were_lost_to_it(console: RunningConsole) -> None:
    event = Happening("balance.low.v1", "anna")
    async with console.http.stream("GET", "/stream") as stream:
        lines = stream.aiter_lines()
        await asyncio.wait_for(_line(lines, "event: listening"), 20)
        for _ in range(100):
            console.hub.publish(event)
        console.hub.publish(replace(event, account_id="last"))
        while (await asyncio.wait_for(next_event(lines), 20))["account"] != "last":
            pass
        for _ in range(1000):
            console.hub.publish(event)
        await asyncio.wait_for(_line(lines, "event: listening"), 20)


async def _line(lines: AsyncIterator[str], wanted: str) -> None:
    async for line in lines:
        if line == wanted:
            return
    raise AssertionError("the stream ended")


async def next_event(lines: AsyncIterator[str]) -> dict[str, str]:
    async for line in lines:
        if line.startswith('data: {"'):
            found: dict[str, str] = json.loads(line.removeprefix("data: "))
            return found
    raise AssertionError("the stream ended")


async def test_a_question_is_asked_again_on_a_connection_that_the_api_had_closed() -> None:
    """It ends idle connections at the moment at which one is used again; a change is sent once."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[0].decode())
        if len(asked) != 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, open_api(f"http://{host}:{port}") as api:
        assert await api.get("token", "/clients") == {}
        assert asked == ["GET", "GET"]
        asked.clear()
        with pytest.raises(ApiAway):
            await api.send("POST", "token", "/clients/anna/payments", {})
        assert asked == ["POST"]


async def test_while_the_api_is_away_a_page_says_so() -> None:
    async with running_console("http://127.0.0.1:9") as visitor:
        visitor.http.cookies.set("ringfence_session", "token")
        answer: httpx.Response = await visitor.http.get("/")
        assert answer.status_code == 503
        assert "may or may not have been made" in answer.text


async def test_the_reaction_is_shown_as_a_histogram_and_in_words(
    api: RunningApi, console: RunningConsole
) -> None:
    assert "No service was switched off for a call in the last hour." in await console.page("/")
    now = datetime.now(UTC)
    for n in range(9):
        await switched_for(api.database, f"c{n}", confirmed_at=now, total_s=0.8)
    await switched_for(api.database, "anna", confirmed_at=now, total_s=12.4)
    page = await console.page("/now/reaction")
    assert "Switched off: 10. Half of them within 0.80 s" in page
    assert "0.30 s from call to charge, 0.50 s from charge to PBX" in page
    rows = re.findall(r"<th scope=.row.>(.*?)</th>.*?<td class=.number.>(.*?)</td>", page, re.S)
    assert rows == [
        ("0.5 to 1 s", "9"), ("1 to 2 s", "0"), ("2 to 5 s", "0"), ("5 to 10 s", "0"),
        ("10 to 30 s", "1"),
    ]  # fmt: skip
    client = await console.page("/clients/anna/part/state")
    assert "pbx-anna: switched off 12 s after the call ended" in client
