"""A client's session sees its own data, and nothing of anyone else, whatever it asks for."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ringfence.mail.client_link import LINK_VALID, make_client_link
from ringfence_testing.clock import FixedClock
from tests.support.accounts import LINK_KEY, running_api
from tests.support.client_pages import (
    MINE,
    MY_NUMBER,
    OTHER,
    OTHERS,
    ClientPages,
    OwnSession,
    client_pages,
)

ADDRESS = "anna@example.com"


@pytest.fixture
async def pages(database: str) -> AsyncIterator[ClientPages]:
    async with client_pages(database) as opened:
        yield opened


async def routes(pages: ClientPages) -> list[tuple[str, str]]:
    """Every route of the API: method and path."""
    document = (await pages.api.http.get("/v1/openapi.json")).json()
    return [
        (method.upper(), path.removeprefix("/v1"))
        for path, methods in document["paths"].items()
        for method in methods
    ]


def filled(pages: ClientPages, path: str, account_id: str) -> str:
    """A path about a client, its product and its call."""
    values = {
        "{account_id}": account_id,
        "{service_id}": f"svc-{account_id}",
        "{product_id}": f"svc-{account_id}",
        "{call_id}": str(pages.others if account_id == OTHER else pages.mine),
        "{call:path}": str(pages.others),
        "{call}": str(pages.others),
    }
    for name, value in values.items():
        path = path.replace(name, value)
    while "{" in path:
        begin, _, rest = path.partition("{")
        path = begin + account_id + rest.partition("}")[2]
    return path


def see_nothing_of_others(text: str, where: str) -> None:
    for part in OTHERS:
        assert part not in text, f"{where} shows {part}"


WITHOUT_TOKEN = ("/sessions", "/client-sessions", "/client-link-requests")


async def test_no_route_but_its_own_answers_a_client_s_session(pages: ClientPages) -> None:
    session = await pages.session()
    tried = 0
    for method, path in await routes(pages):
        if (method == "POST" and path in WITHOUT_TOKEN) or path == "/me/session":
            continue
        for account_id in (OTHER, MINE):
            asked = filled(pages, path, account_id)
            params = {"number": MY_NUMBER, "client": OTHER, "account_id": OTHER, "search": OTHER}
            answer = await session.ask(method, asked, {"account_id": OTHER}, params)
            tried += 1
            if path.startswith("/me"):
                assert answer.status_code in (200, 404, 422), f"{method} {asked}: {answer.text}"
                if "{" not in path and method == "GET":
                    assert answer.status_code == 200, f"{method} {asked}: {answer.text}"
            else:
                assert answer.status_code == 403, f"{method} {asked}: {answer.status_code}"
            # A path that was asked for may be quoted: by the 404 of a call.
            text = answer.text.replace(str(pages.others), "")
            see_nothing_of_others(text, f"{method} {asked}")
    assert tried > 200


async def test_no_path_that_looks_like_its_own_is_open(pages: ClientPages) -> None:
    session = await pages.session()
    for path in (
        "/me/../clients", "/me/..%2fclients", "/me//clients", "/mere", "/ME/../clients",
        "/me/%2e%2e/clients", "//clients", "/me;/clients", "/openapi.json", "/me/clients",
        f"/me/calls/..%2f..%2fclients%2f{OTHER}",
    ):  # fmt: skip
        answer = await session.ask("GET", path)
        assert answer.status_code in (403, 404, 422), f"{path}: {answer.status_code}"
        see_nothing_of_others(answer.text, path)


async def test_an_operator_s_token_has_no_page_of_its_own(pages: ClientPages) -> None:
    for path in ("/me", "/me/calls", f"/me/prices?number={MY_NUMBER}"):
        answer = await pages.api.http.get(f"/v1{path}")
        assert answer.status_code == 403
        assert "a client's own session" in answer.text


async def test_a_client_sees_its_credit_its_calls_and_how_each_was_priced(
    pages: ClientPages,
) -> None:
    session = await pages.session()
    me = await session.get("/me")
    assert (me["account_id"], me["currency"], me["balance"]) == (MINE, "CAD", "19.92")
    assert [each["name"] for each in me["products"]] == ["My telephones"]
    (only,) = (await session.get("/me/calls"))["items"]
    assert (only["number"], only["cost"], only["billsec"]) == (MY_NUMBER, "0.08", 90)
    found = await session.get(f"/me/calls/{pages.mine}")
    words = " ".join(f"{line['label']} {line['text']}" for line in found["lines"])
    assert "rate 0.015 per minute" in words, "with the markup"
    for hidden in ("150", "markup", "tariff", "north, version", "entry"):
        assert hidden not in words, f"{hidden!r} is the operator's"
    assert "so 0.08 CAD" in words


async def test_a_call_of_another_client_does_not_exist(pages: ClientPages) -> None:
    session, other = await pages.session(), await pages.session(OTHER)
    theirs = await session.ask("GET", f"/me/calls/{pages.others}")
    nobody = await session.ask("GET", f"/me/calls/{uuid4()}")
    assert (theirs.status_code, nobody.status_code) == (404, 404)
    assert (await other.ask("GET", f"/me/calls/{pages.others}")).status_code == 200


async def test_the_statement_adds_up_and_is_one_s_own(pages: ClientPages) -> None:
    session = await pages.session()
    found = await session.get("/me/statement")
    assert [(e["kind"], e["amount"]) for e in found["entries"]] == [
        ("top-up", "20.00"), ("charge", "-0.08"),
    ]  # fmt: skip
    assert found["entries"][1]["call_id"] == str(pages.mine)
    assert found["opening_micro"] + found["sum_micro"] == found["closing_micro"] == 19_920_000
    assert "my cheque" in json.dumps(found)


async def test_the_price_of_a_number_is_the_client_s_own(pages: ClientPages) -> None:
    session = await pages.session()
    (only,) = (await session.get("/me/prices", number="+1 (416) 555-0100"))["items"]
    assert (only["destination"], only["rate"]) == ("Toronto", "0.012")  # .008 and half of it
    assert (only["first_s"], only["then_s"]) == (30, 6)
    assert only["per_call"] == ["0.05 for the connection"]
    (none,) = (await session.get("/me/prices", number="99912345678"))["items"]
    assert none["rate"] is None
    assert (await session.ask("GET", "/me/prices?number=abc")).status_code == 422


async def test_a_client_changes_its_mails_and_nothing_else(pages: ClientPages) -> None:
    session = await pages.session()
    body = {"wants_mail": False, "language": "fr", "low_balance_threshold": "$7.50"}
    assert (await session.ask("PATCH", "/me", body)).status_code == 200
    found = (await pages.api.http.get(f"/v1/clients/{MINE}")).json()
    assert (found["wants_mail"], found["language"]) == (False, "fr")
    assert found["threshold_micro"] == 7_500_000
    audit = (await pages.api.http.get(f"/v1/clients/{MINE}/audit")).json()["items"]
    assert (audit[0]["who"], audit[0]["what"]) == (
        "client", "mails changed at the client's own page",
    )  # fmt: skip
    for name, value in (
        ("credit_limit", "100"), ("email", "evil@example.com"), ("opening_balance", "5"),
        ("cc", ["evil@example.com"]), ("account_id", OTHER), ("voip_suspended", "No"),
        ("company_name", "Evil"), ("balance", "5"),
    ):  # fmt: skip
        assert (await session.ask("PATCH", "/me", {name: value})).status_code == 422, name
    refused = await session.ask("PATCH", "/me", {"low_balance_threshold": "a lot"})
    assert refused.status_code == 422
    assert "Low Balance Threshold" in refused.text


async def test_who_looks_in_the_client_s_place_changes_nothing(pages: ClientPages) -> None:
    session = await pages.session(look_only=True, valid_s=900)
    assert (await session.get("/me"))["may_change"] is False
    assert (await session.ask("PATCH", "/me", {"language": "fr"})).status_code == 403
    record = await pages.api.database.fetch(
        "select what, changed_by from accounts.client_link_change"
    )
    assert [tuple(row) for row in record] == [("issued", "tester")]


async def test_the_state_is_in_the_client_s_words(pages: ClientPages) -> None:
    session = await pages.session()
    await pages.api.put(
        f"clients/{MINE}/orders/manual", {"reason": "the boss is cross about invoice 7"}
    )
    me = await session.get("/me")
    assert "cross" not in json.dumps(me)
    assert "manual" not in json.dumps(me)


async def test_a_link_opens_again_until_it_is_revoked_and_ends_who_is_inside(
    pages: ClientPages,
) -> None:
    link = await pages.link()
    first, second = await pages.open(link), await pages.open(link)
    assert (first.status_code, second.status_code) == (201, 201)
    session = OwnSession(pages.api.http, first.json()["secret"])
    await session.get("/me")
    assert (await pages.api.http.delete(f"/v1/clients/{MINE}/links")).status_code == 200
    assert (await pages.open(link)).status_code == 401
    assert (await session.ask("GET", "/me")).status_code == 401, "at once"
    assert (await pages.open(await pages.link())).status_code == 201, "a later link is valid"


@pytest.mark.parametrize("change", [{"email": "new@example.com"}, {"cc": ["desk@example.com"]}])
async def test_a_change_of_an_address_ends_links_and_sessions_for_good(
    pages: ClientPages, change: dict[str, Any]
) -> None:
    link = await pages.link()
    session = await pages.session()
    other = await pages.session(OTHER)
    for body in (change, {"email": ADDRESS, "cc": []}):
        answer = await pages.api.http.patch(f"/v1/clients/{MINE}", json=body)
        assert answer.status_code == 200, answer.text
        assert (await pages.open(link)).status_code == 401
        assert (await session.ask("GET", "/me")).status_code == 401
    await other.get("/me")


async def test_a_mail_s_link_to_an_address_that_has_changed_since_is_refused(
    pages: ClientPages,
) -> None:
    await pages.api.http.patch(f"/v1/clients/{MINE}", json={"email": "new@example.com"})
    now = datetime.now(UTC)  # the notifier has not read of the change yet
    old = make_client_link(MINE, [ADDRESS], LINK_KEY, now)
    new = make_client_link(MINE, ["new@example.com"], LINK_KEY, now)
    assert (await pages.open(old)).status_code == 401
    assert (await pages.open(new)).status_code == 201


async def test_another_change_leaves_links_valid(pages: ClientPages) -> None:
    link = await pages.link()
    await pages.api.http.patch(f"/v1/clients/{MINE}", json={"company_name": "Anna Ltd"})
    assert (await pages.open(link)).status_code == 201


@pytest.mark.parametrize(
    "bad",
    ["", "x", "a.b.c.d.e.f", "\x00", "é", "x" * 1000],
)
async def test_what_is_no_link_is_refused_and_never_shown(pages: ClientPages, bad: str) -> None:
    answer = await pages.open(bad)
    assert answer.status_code in (401, 422)
    if bad.strip("\x00"):
        assert bad not in json.dumps(answer.json()["error"].get("value") or "")


async def test_a_link_of_another_client_cannot_be_made_from_one_s_own(pages: ClientPages) -> None:
    mine, theirs = (await pages.link()).split("."), (await pages.link(OTHER)).split(".")
    for place in range(len(mine)):
        mixed = [*mine]
        mixed[place] = theirs[place]
        if mixed != mine:
            assert (await pages.open(".".join(mixed))).status_code == 401, place


async def test_a_link_and_its_sessions_end_after_seven_days(database: str) -> None:
    clock = FixedClock(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
    async with running_api(database, clock=clock) as api:
        await api.client(MINE)
        link = (await api.http.post(f"/v1/clients/{MINE}/links", json={})).json()["secret"]
        clock.set(clock.now() + LINK_VALID - timedelta(minutes=5))
        answer = await api.http.post("/v1/client-sessions", json={"link": link})
        session = OwnSession(api.http, answer.json()["secret"])
        await session.get("/me")
        clock.set(clock.now() + timedelta(minutes=5))
        assert (await session.ask("GET", "/me")).status_code == 401
        answer = await api.http.post("/v1/client-sessions", json={"link": link})
        assert answer.status_code == 401
        assert "at most 7 days old" in answer.text


async def test_a_client_leaves(pages: ClientPages) -> None:
    session, stays = await pages.session(), await pages.session()
    assert (await session.ask("DELETE", "/me/session")).status_code == 200
    assert (await session.ask("GET", "/me")).status_code == 401
    await stays.get("/me")


async def test_no_secret_is_stored(pages: ClientPages) -> None:
    link = await pages.link()
    secret = (await pages.open(link)).json()["secret"]
    tables = await pages.api.database.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname = 'accounts'"
    )
    for row in tables:
        texts = await pages.api.database.fetch(f"select t::text as row from {row['name']} t")
        assert not any(secret in each["row"] or link in each["row"] for each in texts), row["name"]


async def commands(pages: ClientPages) -> list[dict[str, Any]]:
    """The requests to the notifier to mail a link."""
    return [
        event for event in await pages.api.published("operator.requested.v1")
        if event["command"] == "mail.link"
    ]  # fmt: skip


async def ask_for_link(pages: ClientPages, email: str) -> tuple[int, str, float]:
    began = asyncio.get_running_loop().time()
    answer = await pages.api.http.post("/v1/client-link-requests", json={"email": email})
    took = asyncio.get_running_loop().time() - began
    return answer.status_code, answer.text, took


async def test_a_link_is_mailed_to_the_address_on_file_and_who_asks_learns_nothing(
    pages: ClientPages,
) -> None:
    known = await ask_for_link(pages, ADDRESS.upper())
    unknown = await ask_for_link(pages, "nobody@example.com")
    assert known[:2] == unknown[:2]
    assert known[0] == 202
    assert min(known[2], unknown[2]) >= 0.5, "neither is faster"
    (asked,) = await commands(pages)
    assert asked["arguments"] == {"account_id": MINE, "currency": "CAD"}
    assert ADDRESS not in json.dumps(asked)


async def test_a_client_is_mailed_one_link_however_often_it_is_asked_for(
    pages: ClientPages,
) -> None:
    found = await asyncio.gather(*(ask_for_link(pages, ADDRESS) for _ in range(8)))
    assert {status for status, _, _ in found} == {202}
    assert len(await commands(pages)) == 1


async def test_an_address_that_asks_for_many_links_has_to_wait(pages: ClientPages) -> None:
    found = await asyncio.gather(
        *(ask_for_link(pages, f"nobody{n}@example.com") for n in range(12))
    )
    assert sorted({status for status, _, _ in found}) == [202, 429]
    assert (await pages.open(await pages.link())).status_code == 201, "links open all the same"


async def test_without_a_key_there_are_no_links(database: str) -> None:
    async with running_api(database, pages=False) as api:
        await api.client(MINE)
        answer = await api.http.post(f"/v1/clients/{MINE}/links", json={})
        assert answer.status_code == 409
        assert "RINGFENCE_CLIENT_PAGE_URL" in answer.text
        forged = make_client_link(MINE, [ADDRESS], b"", datetime.now(UTC))
        answer = await api.http.post("/v1/client-sessions", json={"link": forged})
        assert answer.status_code == 401


async def test_links_are_for_who_may_operate(pages: ClientPages) -> None:
    body = {"operator": "reader", "scopes": ["read"]}
    token = (await pages.api.http.post("/v1/tokens", json=body)).json()["secret"]
    for method in ("POST", "DELETE"):
        answer = await pages.api.http.request(
            method, f"/v1/clients/{MINE}/links", json={},
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        assert answer.status_code == 403
    assert (await pages.api.http.post("/v1/clients/nobody/links", json={})).status_code == 404
