"""A client's own page over HTTP, on a real API and database."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from console.feed.words import Happening
from tests.support.accounts import TOKEN
from tests.support.client_pages import MINE, MY_NUMBER, OTHER, OTHERS, ClientPages, client_pages
from tests.support.console import PROOF, RunningConsole, running_console

ADDRESS = "anna@example.com"
PAGES = ("/my", "/my/now", "/my/calls", "/my/statement", "/my/statement.csv", "/my/mails",
         f"/my/prices?number={MY_NUMBER}")  # fmt: skip


@pytest.fixture
async def pages(database: str) -> AsyncIterator[ClientPages]:
    async with client_pages(database) as opened:
        yield opened


@pytest.fixture
async def phone(pages: ClientPages) -> AsyncIterator[RunningConsole]:
    """A browser in which client MINE has opened its page."""
    async with running_console(pages.api.url) as opened:
        answer = await opened.http.post("/my/open", data={"link": await pages.link()})
        assert (answer.status_code, answer.headers["location"]) == (303, "/my"), answer.text
        yield opened


async def test_a_client_sees_balance_calls_prices_and_its_mails(
    pages: ClientPages, phone: RunningConsole
) -> None:
    home = await phone.page("/my")
    assert "$19.92" in home
    assert "How to pay" in home
    assert 'href="https://billing.example.net/pay"' in home
    assert f'href="/my/calls/{pages.mine}"' in home
    call = await phone.page(f"/my/calls/{pages.mine}")
    assert "0.015 per minute" in call
    assert "so 0.08 CAD" in call
    assert "0.012 CAD" in await phone.page(f"/my/prices?number={MY_NUMBER}")
    assert "We have no price" in await phone.page("/my/prices?number=99912345678")
    assert "digits with country code" in (await phone.http.get("/my/prices?number=abc")).text
    assert "my cheque" in await phone.page("/my/statement")
    assert ADDRESS in await phone.page("/my/mails")


async def test_the_statement_of_a_month_is_a_file_that_adds_up(phone: RunningConsole) -> None:
    file = await phone.http.get("/my/statement.csv")
    assert file.headers["content-disposition"] == 'attachment; filename="statement-all.csv"'
    rows = list(csv.DictReader(io.StringIO(file.text)))
    amounts = [round(float(row["amount"]) * 100) for row in rows if row["entry"] or row["what"]]
    assert sum(amounts) == 1992
    empty = await phone.http.get("/my/statement.csv?month=2001-01")
    assert len(list(csv.DictReader(io.StringIO(empty.text)))) == 2, "opening and closing"
    assert (await phone.http.get("/my/statement?month=x")).status_code == 422
    assert (await phone.http.get("/my/statement?month=9999-12")).status_code == 422


async def test_no_page_shows_anything_of_another_client(
    pages: ClientPages, phone: RunningConsole
) -> None:
    tried = [*PAGES, f"/my/calls/{pages.others}", f"/my/{OTHER}", f"/my?client={OTHER}",
             f"/my/statement?account_id={OTHER}", f"/my/calls?client={OTHER}"]  # fmt: skip
    for path in tried:
        answer = await phone.http.get(path)
        text = answer.text.replace(f"/my/{OTHER}", "")
        for part in OTHERS:
            assert part not in text, f"{path} shows {part}"
    assert (await phone.http.get(f"/my/calls/{pages.others}")).status_code == 404


async def test_a_client_s_session_opens_no_page_of_an_operator(
    pages: ClientPages, phone: RunningConsole
) -> None:
    """Neither with its own cookie, nor with its token in the place of an operator's."""
    token = phone.http.cookies["ringfence_client"]
    paths = ("/", "/now/situation", "/clients", f"/clients/{MINE}", f"/clients/{OTHER}", "/unrated",
             f"/clients/{MINE}/part/state", f"/clients/{OTHER}/statement.csv", "/dead",
             f"/calls/{pages.mine}", f"/calls/{pages.others}", "/stream",
             "/servers", "/servers/pbx1")  # fmt: skip
    for path in paths:
        answer = await phone.http.get(path)
        assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login"), path
        async with httpx.AsyncClient(base_url=phone.url) as thief:
            answer = await thief.get(path, headers={"Cookie": f"ringfence_session={token}"})
        assert answer.status_code == 403, path
        assert "a client&#39;s session" in answer.text, path
        for part in OTHERS:
            assert part not in answer.text, path
    login = await phone.http.post("/login", data={"token": token})
    assert (login.status_code, "set-cookie" in login.headers) == (401, False)


async def test_an_operator_s_token_opens_no_page_of_a_client(phone: RunningConsole) -> None:
    async with httpx.AsyncClient(base_url=phone.url) as thief:
        for path in PAGES:
            answer = await thief.get(path, headers={"Cookie": f"ringfence_client={TOKEN}"})
            assert answer.status_code == 403, path


async def test_looking_at_a_link_opens_nothing(pages: ClientPages) -> None:
    """A program that checks mail asks for the address of a link, which is the page for all."""
    link = await pages.link()
    async with running_console(pages.api.url) as scanner:
        for path in ("/my", f"/my?link={link}", f"/my/{link}"):
            answer = await scanner.http.get(path)
            assert "set-cookie" not in answer.headers
            assert MINE not in answer.text
    opened = await pages.api.database.fetchval("select count(*) from accounts.client_session")
    assert opened == 0


async def test_the_session_is_a_cookie_for_the_client_s_page_alone(pages: ClientPages) -> None:
    async with running_console(pages.api.url) as visitor:
        link = {"link": f"https://my.example.net/my#{await pages.link()}"}  # pasted whole
        cookie = (await visitor.http.post("/my/open", data=link)).headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/my;", "Max-Age="):
            assert part in cookie
        secure = await visitor.http.post(
            "/my/open", data=link, headers={"X-Forwarded-Proto": "https"}
        )
        assert secure.headers["set-cookie"].startswith("__Secure-")
        assert "Secure" in secure.headers["set-cookie"]


async def test_a_page_of_a_client_is_stored_nowhere_and_sends_no_address(
    phone: RunningConsole,
) -> None:
    for path in (*PAGES, "/my?ended=1"):
        headers = (await phone.http.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert (await phone.http.get("/my")).headers["x-robots-tag"] == "noindex"


@pytest.mark.parametrize("bad", ["", "x", "#", "a.b.c", "<script>alert(1)</script>"])
async def test_a_link_that_is_not_valid_leads_to_how_to_get_a_new_one(
    pages: ClientPages, bad: str
) -> None:
    async with running_console(pages.api.url) as visitor:
        answer = await visitor.http.post("/my/open", data={"link": bad})
        assert answer.status_code == 401
        assert "Mail me a link" in answer.text
        assert "set-cookie" not in answer.headers
        assert "<script>alert" not in answer.text


async def test_a_revoked_link_ends_the_visit_with_the_next_page(
    pages: ClientPages, phone: RunningConsole
) -> None:
    await pages.api.http.patch(f"/v1/clients/{MINE}", json={"email": "new@example.com"})
    answer = await phone.http.get("/my/calls")
    assert (answer.status_code, answer.headers["location"]) == (303, "/my?ended=1")
    assert "ringfence_client" not in phone.http.cookies
    assert "Mail me a link" in await phone.page("/my?ended=1")


async def test_asking_for_a_link_says_the_same_for_every_address(pages: ClientPages) -> None:
    async with running_console(pages.api.url) as visitor:
        found = [
            (await visitor.http.post("/my/link", data={"email": email})).text
            for email in (ADDRESS, "nobody@example.com", "no address")
        ]
    assert len(set(found)) == 1
    assert "If a client has this address" in found[0]
    events = await pages.api.published("operator.requested.v1")
    assert [event["command"] for event in events].count("mail.link") == 1


async def test_mail_settings_are_changed_by_the_api(
    pages: ClientPages, phone: RunningConsole
) -> None:
    text = await phone.submit(
        "/my/mails", "/my/mails", wants_mail="yes", language="fr", low_balance_threshold="7.50"
    )
    assert "from now on" in text
    found = (await pages.api.http.get(f"/v1/clients/{MINE}")).json()
    assert (found["language"], found["threshold_micro"]) == ("fr", 7_500_000)
    refused = await phone.submit(
        "/my/mails", "/my/mails", wants_mail="yes", low_balance_threshold="a lot"
    )
    assert "result bad" in refused
    assert "/v1/" not in refused
    off = await phone.submit("/my/mails", "/my/mails", language="", low_balance_threshold="")
    assert " checked" not in off


async def test_a_form_of_another_site_or_session_changes_nothing(
    pages: ClientPages, phone: RunningConsole
) -> None:
    proof = PROOF.search(await phone.page("/my/mails"))
    assert proof is not None
    given = {"language": "fr", "proof": proof[1]}
    for data, headers in (
        ({**given, "proof": "0" * 64}, {}),
        (given, {"Origin": "https://evil.example"}),
    ):
        for path in ("/my/mails", "/my/leave"):
            answer = await phone.http.post(path, data=data, headers=headers)
            assert answer.status_code == 403, path
    foreign = {"Origin": "https://evil.example"}
    for path, data in (
        ("/my/open", {"link": await pages.link()}),
        ("/my/link", {"email": "a@b.c"}),
    ):
        assert (await phone.http.post(path, data=data, headers=foreign)).status_code == 403
    assert (await pages.api.http.get(f"/v1/clients/{MINE}")).json()["language"] == ""


async def test_a_client_leaves(phone: RunningConsole) -> None:
    token = phone.http.cookies["ringfence_client"]
    proof = PROOF.search(await phone.page("/my"))
    assert proof is not None
    await phone.http.post("/my/leave", data={"proof": proof[1]})
    assert "ringfence_client" not in phone.http.cookies
    again = await phone.http.get("/my/calls", headers={"Cookie": f"ringfence_client={token}"})
    assert again.status_code == 303


async def test_an_operator_sees_as_the_client_sees_and_can_change_nothing(
    pages: ClientPages,
) -> None:
    async with running_console(pages.api.url) as desk:
        await desk.login(TOKEN)
        home = await desk.submit(f"/clients/{MINE}", f"/clients/{MINE}/see")
        assert "to look alone" in home
        assert "$19.92" in home
        proof = PROOF.search(await desk.page("/my/mails"))
        assert proof is not None
        data = {"proof": proof[1], "language": "fr"}
        answer = await desk.http.post("/my/mails", data=data)
        assert "looking alone" in await desk.page(answer.headers["location"])
        assert "Who runs out first" in await desk.page("/"), "still logged in"
    record = await pages.api.database.fetch(
        "select what, changed_by, reason from accounts.client_link_change"
    )
    assert [tuple(row) for row in record] == [("issued", "tester", "to look alone")]


async def test_the_stream_says_that_something_of_this_client_happened_and_nothing_else(
    phone: RunningConsole,
) -> None:
    now = datetime.now(UTC)
    async with phone.http.stream("GET", "/my/stream") as stream:
        lines = stream.aiter_lines()
        async for line in lines:
            if line == "event: listening":
                break
        phone.hub.publish(Happening("call.rated.v1", OTHER, now, "Zorro called", "plain", "/x"))
        phone.hub.publish(Happening("call.rated.v1", MINE, now, "words", "plain", "/calls/1"))
        async for line in lines:
            assert "Zorro" not in line
            assert OTHER not in line
            if line.startswith("data: ") and line != "data: {}":
                assert json.loads(line.removeprefix("data: ")) == {"account": MINE}
                break


async def test_a_client_s_texts_are_never_markup(pages: ClientPages, phone: RunningConsole) -> None:
    hostile = "<script>alert(1)</script>"
    await pages.api.client(MINE, company_name=hostile, first_name=hostile)
    for path in PAGES:
        assert hostile not in (await phone.http.get(path)).text
    assert "&lt;script&gt;" in await phone.page("/my")
    assert not re.search(r"<script>| style=", await phone.page("/my"))
