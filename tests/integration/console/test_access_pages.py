"""The pages of operators and tokens, on a real API and database."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.accounts import TOKEN, RunningApi, running_api
from tests.support.console import PROOF, RunningConsole, running_console

OPERATORS = "/settings/operators"
TOKENS = "/settings/tokens"
_SECRET = re.compile(r'class="secret" readonly value="([^"]+)"')


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


@pytest.fixture
async def console(api: RunningApi) -> AsyncIterator[RunningConsole]:
    """The browser of an administrator."""
    async with running_console(api.url) as opened:
        assert (await opened.login(TOKEN)).status_code == 303
        yield opened


async def shown_once(
    console: RunningConsole, page: str, path: str, **fields: str | list[str]
) -> tuple[str, str]:
    """Send a form whose answer is the page with a secret; the page, and the secret."""
    proof = PROOF.search(await console.page(page))
    assert proof is not None
    answer = await console.http.post(path, data={"proof": proof[1], **fields})
    assert answer.status_code == 200, answer.text[:500]
    secret = _SECRET.search(answer.text)
    assert secret is not None, answer.text
    assert "set-cookie" not in answer.headers
    assert secret[1] not in await console.page(page), "it is shown once"
    return answer.text, secret[1]


async def listed(api: RunningApi, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.http.get(f"/v1/{path}")).json()["items"]
    return found


async def test_an_operator_is_invited_by_a_link_that_logs_in_once(
    api: RunningApi, console: RunningConsole
) -> None:
    assert "Invite the first one" in await console.page(OPERATORS)
    fields: dict[str, str | list[str]] = {
        "name": "olga",
        "scope": ["read", "operate"],
        "servers": "wat5, wat6",
    }
    text, link = await shown_once(console, OPERATORS, OPERATORS, **fields)
    assert "The link for olga" in text
    assert link.startswith(f"{console.url}/login#rf_login_")
    (olga,) = await listed(api, "operators")
    assert (olga["scopes"], olga["servers"]) == (["operate", "read"], ["wat5", "wat6"])
    page = await console.page(OPERATORS)
    assert "operates wat5, wat6 alone" in page
    assert "never" in page
    async with running_console(api.url) as visitor:
        given = {"link": link.partition("#")[2], "to": "/settings/modes"}
        assert (await visitor.http.post("/login", data=given)).status_code == 303
        assert (await visitor.http.post("/login", data=given)).status_code == 401
    assert "never" not in await console.page(OPERATORS)
    again = await console.submit(OPERATORS, OPERATORS, name="olga", scope=["read"])
    assert "it exists" in again
    assert 'role="alert"' in await console.submit(OPERATORS, OPERATORS, name="<b>", scope=["read"])


async def test_scopes_are_changed_and_an_operator_is_disabled_and_enabled(
    api: RunningApi, console: RunningConsole
) -> None:
    body = {"name": "olga", "scopes": ["read", "operate"], "servers": ["wat5"]}
    assert (await api.http.post("/v1/operators", json=body)).is_success
    text = await console.submit(OPERATORS, f"{OPERATORS}/olga", scope=["read", "money"])
    assert "olga may read, money now." in text
    (olga,) = await listed(api, "operators")
    assert (olga["scopes"], olga["servers"]) == (["money", "read"], None)
    assert "operate, read → money, read" in text
    assert 'role="alert"' in await console.submit(OPERATORS, f"{OPERATORS}/olga")
    text = await console.submit(OPERATORS, f"{OPERATORS}/olga/disable")
    assert "olga is disabled" in text
    assert '<span class="state off">disabled</span>' in text
    refused = await console.submit(OPERATORS, f"{OPERATORS}/olga/link")
    assert "it is disabled" in refused
    assert "olga may log in again." in await console.submit(OPERATORS, f"{OPERATORS}/olga/enable")
    _, link = await shown_once(console, OPERATORS, f"{OPERATORS}/olga/link")
    assert "#rf_login_" in link
    assert "there is no" in await console.submit(OPERATORS, f"{OPERATORS}/nobody/disable")


async def test_a_token_is_created_rotated_and_revoked_and_shown_once(
    api: RunningApi, console: RunningConsole
) -> None:
    assert "Create one below" in await console.page(TOKENS)
    fields: dict[str, str | list[str]] = {
        "operator": "shop",
        "scope": ["read", "money"],
        "until": "2099-06-30",
    }
    text, secret = await shown_once(console, TOKENS, TOKENS, **fields)
    assert "It may money, read." in text
    (token,) = await listed(api, "tokens")
    assert token["expires_at"] == "2099-07-01T04:00:00Z", "the end of the day in Toronto"
    assert "never" in await console.page(TOKENS)
    used = {"Authorization": f"Bearer {secret}"}
    assert (await api.http.get("/v1/clients", headers=used)).status_code == 200
    assert re.search(r"<td>\d+ s ago</td>", await console.page(TOKENS))

    text, other = await shown_once(
        console, TOKENS, f"{TOKENS}/{token['token_id']}/rotate", overlap="0"
    )
    assert "The old one has ended." in text
    assert (await api.http.get("/v1/clients", headers=used)).status_code == 401
    used = {"Authorization": f"Bearer {other}"}
    assert (await api.http.get("/v1/clients", headers=used)).status_code == 200

    (token,) = await listed(api, "tokens")
    text = await console.submit(TOKENS, f"{TOKENS}/{token['token_id']}/revoke")
    assert "The token of shop is revoked" in text
    assert (await api.http.get("/v1/clients", headers=used)).status_code == 401
    assert '<span class="state off">revoked</span>' in await console.page(f"{TOKENS}?state=all")
    assert await listed(api, "tokens") == []


async def test_what_cannot_be_is_refused_in_words(console: RunningConsole) -> None:
    text = await console.submit(TOKENS, TOKENS, operator="shop", scope=["read"], until="soon")
    assert "expected a date such as 2027-06-30" in text
    text = await console.submit(TOKENS, TOKENS, operator="shop", scope=["read"], until="2001-01-01")
    assert "an instant in the future" in text
    for path in (f"{TOKENS}/7e57/revoke", f"{TOKENS}/7e57/rotate"):
        assert 'role="alert"' in await console.submit(TOKENS, path)


async def test_who_is_no_administrator_reads_what_to_do(api: RunningApi) -> None:
    """The page asks the API for nothing that it would refuse; a form is refused all the same."""
    body = {"operator": "reader", "scopes": ["read", "operate"]}
    secret = (await api.http.post("/v1/tokens", json=body)).json()["secret"]
    async with running_console(api.url) as visitor:
        await visitor.login(secret)
        for page in (OPERATORS, TOKENS):
            text = await visitor.page(page)
            assert "You are reader, and may do this: read, operate." in text
            assert "shown this one time" not in text
        fields: dict[str, str | list[str]] = {"name": "eve", "operator": "eve", "scope": ["admin"]}
        for path in (OPERATORS, TOKENS):
            text = await visitor.submit("/", path, **fields)
            assert "reader" in text
    assert {each["name"] for each in await listed(api, "operators")} == {"reader"}
    assert {each["operator"] for each in await listed(api, "tokens")} == {"reader"}


async def test_a_form_of_another_site_changes_nothing(
    api: RunningApi, console: RunningConsole
) -> None:
    given = {"name": "eve", "operator": "eve", "scope": "admin", "proof": "0" * 64}
    for path in (OPERATORS, TOKENS, f"{OPERATORS}/olga", f"{OPERATORS}/olga/link",
                 f"{OPERATORS}/olga/disable", f"{OPERATORS}/olga/enable",
                 f"{TOKENS}/7e57/rotate", f"{TOKENS}/7e57/revoke"):  # fmt: skip
        assert (await console.http.post(path, data=given)).status_code == 403, path
    assert await listed(api, "operators") == []
    assert await listed(api, "tokens") == []
