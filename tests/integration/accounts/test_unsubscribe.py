"""The link to unsubscribe over HTTP: a signed token, a page with a form, a POST."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx

from accounts.access.tokens import parse_tokens
from accounts.api.app import create_app
from accounts.notices.unsubscribe import WithUnsubscribe
from accounts.store import AccountStore
from ringfence.clock import SystemClock
from ringfence.listening.asgi_server import AsgiServer
from ringfence.mail.unsubscribe import VALID_FOR, make_token
from ringfence.observe.health import Health
from ringfence.postgres.pool import open_pool
from ringfence_testing.wait import until
from tests.support.accounts import CLIENT, TOKEN

KEY = b"a key for tests, long enough"


@asynccontextmanager
async def public_api(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API with its public page; the HTTP client has a token for the API."""
    pool, clock = await open_pool(dsn, service="accounts", size=4), SystemClock()
    app = create_app(users=parse_tokens(f"tester:{TOKEN}"), clock=clock, pool=pool, servers=None)
    public = WithUnsubscribe(app, key=KEY, store=AccountStore(pool, clock), clock=clock)
    server = AsgiServer(public, host="127.0.0.1", port=0, progress=Health().loop("api"))
    stop = asyncio.Event()
    serving = asyncio.create_task(server.run(stop))
    await until(lambda: bool(server.url) or serving.done(), timeout_s=10)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
            answer = await http.put("/v1/clients/anna", json=CLIENT)
            assert answer.status_code == 201, answer.text
            yield http
    finally:
        stop.set()
        await serving
        await pool.close()


def token(account_id: str = "anna", *, key: bytes = KEY, age: timedelta = timedelta()) -> str:
    return make_token(account_id, key, datetime.now(UTC) - age)


async def wants_mail(http: httpx.AsyncClient) -> object:
    return (await http.get("/v1/clients/anna")).json()["wants_mail"]


async def audit_entries(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    items = (await http.get("/v1/clients/anna/audit")).json()["items"]
    return [(item["who"], item["what"]) for item in items]


async def test_get_only_asks_and_post_unsubscribes_with_an_audit_entry(
    database: str,
) -> None:
    async with public_api(database) as http, httpx.AsyncClient(base_url=http.base_url) as anyone:
        path = f"/unsubscribe/{token()}"
        asked = await anyone.get(path)
        assert asked.status_code == 200
        assert '<form method="post">' in asked.text
        assert await wants_mail(http) is True
        one_click = {"List-Unsubscribe": "One-Click"}
        done = await anyone.post(path, data=one_click)
        assert done.status_code == 200
        assert "no more messages" in done.text
        assert await wants_mail(http) is False
        assert (await audit_entries(http))[0] == (
            "client",
            "unsubscribed from mail by the link in a mail",
        )


async def test_a_token_used_again_changes_nothing(database: str) -> None:
    async with public_api(database) as http:
        path = f"/unsubscribe/{token()}"
        assert (await http.post(path)).status_code == 200
        before = await audit_entries(http)
        assert (await http.post(path)).status_code == 200
        assert await audit_entries(http) == before


def forged() -> dict[str, str]:
    return {
        "another key": token(key=b"the key of somebody else"),
        "cut": token()[:-1],
        "longer": token() + "A",
        "without its last dot": "x".join(token().rsplit(".", 1)),
        "expired": token(age=VALID_FOR + timedelta(days=1)),
        "from the future": token(age=-timedelta(days=2)),
        "of an unknown client": token("nobody"),
        "of another client": token("otto").replace("b3R0bw", "YW5uYQ"),
        "long": "a" * 2000,
        "dots": "..",
        "NUL": "%00",
        "beyond ASCII": "é",
    }


async def test_a_forged_or_expired_token_changes_nothing(database: str) -> None:
    async with public_api(database) as http:
        for name, bad in forged().items():
            path = f"/unsubscribe/{bad}"
            for answer in (await http.get(path), await http.post(path)):
                assert answer.status_code in (400, 404), f"{name}: {answer.text}"
                assert "anna" not in answer.text, name
        assert await wants_mail(http) is True


async def test_the_page_is_french_on_request_and_the_api_needs_a_token(
    database: str,
) -> None:
    async with public_api(database) as http, httpx.AsyncClient(base_url=http.base_url) as anyone:
        page = await anyone.get(f"/unsubscribe/{token()}", headers={"Accept-Language": "fr-CA,en"})
        assert "Me désabonner" in page.text
        assert (await anyone.get("/v1/clients")).status_code == 401
        assert (await anyone.get("/unsubscribe")).status_code == 401


def test_a_token_reveals_only_the_client_id() -> None:
    named, signature = token().rsplit(".", 1)
    assert named.startswith("YW5uYQ.")
    assert len(signature) == 32
