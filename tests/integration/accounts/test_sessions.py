"""/v1/sessions and /v1/login-links: how operators log in and out, and what ends a session."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from accounts.access.directory import REFRESH_S
from accounts.access.failed_logins import BUDGET
from accounts.access.sessions.store import MOST_SESSIONS
from ringfence_testing.clock import FixedClock
from ringfence_testing.wait import until
from tests.support.accounts import RunningApi, running_api

PASSWORD = "correct horse battery"
WRONG = "another horse battery"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def operator(api: RunningApi, name: str = "anna", **more: object) -> dict[str, Any]:
    """A new operator with the scope read and PASSWORD."""
    body = {"name": name, "scopes": ["read"], "password": PASSWORD, **more}
    answer = await api.http.post("/v1/operators", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def login(api: RunningApi, body: dict[str, str], address: str = "") -> httpx.Response:
    """A login, without a token."""
    headers = {"X-Forwarded-For": address} if address else {}
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as http:
        return await http.post("/v1/sessions", json=body, headers=headers)


async def by_password(api: RunningApi, name: str = "anna", password: str = PASSWORD) -> str:
    """The token of a new session."""
    answer = await login(api, {"name": name, "password": password})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def link(api: RunningApi, name: str = "anna") -> str:
    """The secret of a new login link."""
    answer = await api.http.post("/v1/login-links", json={"operator": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def sent(api: RunningApi, token: str, method: str = "GET", path: str = "") -> httpx.Response:
    """A request with the token of a session."""
    headers = {"Authorization": f"Bearer {token}"}
    return await api.http.request(method, f"/v1/{path or 'sessions/current'}", headers=headers)


async def is_valid(api: RunningApi, token: str) -> bool:
    answer = await sent(api, token)
    assert answer.status_code in (200, 401, 429), answer.text  # 429: after many refusals
    return answer.status_code == 200


async def test_a_session_has_the_scopes_and_the_name_of_its_operator(api: RunningApi) -> None:
    await operator(api, scopes=["read", "operate"], servers=["wat5"])
    answer = await login(api, {"name": "anna", "password": PASSWORD})
    opened = answer.json()
    assert (answer.status_code, opened["name"], opened["servers"]) == (201, "anna", ["wat5"])
    lasts = datetime.fromisoformat(opened["expires_at"]) - datetime.fromisoformat(
        opened["created_at"]
    )
    assert (lasts, opened["idle_timeout_s"]) == (timedelta(hours=12), 3600)
    found = (await sent(api, opened["secret"])).json()
    assert found == {
        "name": "anna",
        "scopes": ["read", "operate"],
        "servers": ["wat5"],
        "expires_at": opened["expires_at"],
        "idle_timeout_s": 3600,
    }
    await api.client("bert")
    assert (await sent(api, opened["secret"], path="clients/bert")).status_code == 200
    assert (await sent(api, opened["secret"], path="operators")).status_code == 403


async def test_the_list_says_when_an_operator_logged_in_last(api: RunningApi) -> None:
    await operator(api)
    (never,) = (await api.http.get("/v1/operators")).json()["items"]
    assert never["last_login_at"] is None
    await by_password(api)
    (first,) = (await api.http.get("/v1/operators")).json()["items"]
    answer = await login(api, {"link": await link(api)})
    (second,) = (await api.http.get("/v1/operators")).json()["items"]
    assert first["last_login_at"] < second["last_login_at"]
    assert second["last_login_at"] == answer.json()["created_at"]


async def test_the_audit_has_the_name_of_the_operator(api: RunningApi) -> None:
    await operator(api, scopes=["read", "operate"])
    await api.client("bert")
    token = await by_password(api)
    headers = {"Authorization": f"Bearer {token}"}
    answer = await api.http.post("/v1/clients/bert/suspend", json={}, headers=headers)
    assert answer.status_code == 200
    by = await api.database.fetchval(
        "select changed_by from accounts.account_change order by version desc limit 1"
    )
    assert by == "anna"


async def test_current_answers_for_a_token_too(api: RunningApi) -> None:
    found = (await api.http.get("/v1/sessions/current")).json()
    assert (found["name"], found["scopes"]) == ("tester", ["admin"])
    assert (found["expires_at"], found["idle_timeout_s"]) == (None, None)
    body = {"operator": "shop", "scopes": ["money"], "expires_at": "2999-01-31T00:00:00Z"}
    made = (await api.http.post("/v1/tokens", json=body)).json()
    found = (await sent(api, made["secret"])).json()
    assert (found["name"], found["expires_at"]) == ("shop", "2999-01-31T00:00:00Z")
    assert (await sent(api, made["secret"], "DELETE")).status_code == 409


async def test_what_is_wrong_is_not_revealed(api: RunningApi) -> None:
    await operator(api)
    await operator(api, "without", password=None)
    await api.http.post("/v1/tokens", json={"operator": "shop", "scopes": ["money"]})
    answers = [
        await login(api, {"name": name, "password": WRONG})
        for name in ("anna", "without", "shop", "nobody", "no\x00body", "", "x" * 200)
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


async def test_a_login_that_is_no_login_is_refused_without_showing_secrets(
    api: RunningApi,
) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"name": "anna"},
        {"password": PASSWORD},
        {"link": PASSWORD, "name": "anna"},
        {"name": "anna", "password": [PASSWORD]},
        {"name": "anna", "password": PASSWORD * 100},
        {"link": PASSWORD * 100},
        {"name": "anna", "passwort": PASSWORD},
    ]
    for body in bodies:
        answer = await login(api, body)
        assert answer.status_code == 422, body
        assert PASSWORD not in answer.text
    short = await api.http.put("/v1/operators/anna/password", json={"password": "too-short"})
    assert short.status_code == 422
    assert "too-short" not in short.text
    assert "12" in short.json()["error"]["expected"]


async def test_logging_out_ends_the_session_at_once(api: RunningApi) -> None:
    await operator(api)
    token, other = await by_password(api), await by_password(api)
    answer = await sent(api, token, "DELETE")
    assert (answer.status_code, answer.json()["name"]) == (200, "anna")
    assert not await is_valid(api, token)
    assert await is_valid(api, other)


@pytest.mark.parametrize("end", ["disable", "password"])
async def test_disabling_and_a_new_password_end_all_sessions_and_links(
    database: str, api: RunningApi, end: str
) -> None:
    await operator(api)
    tokens, unused = [await by_password(api), await by_password(api)], await link(api)
    async with running_api(database) as other:
        for token in tokens:
            assert await is_valid(other, token)
        if end == "disable":
            answer = await api.http.patch("/v1/operators/anna", json={"enabled": False})
        else:
            answer = await api.http.put("/v1/operators/anna/password", json={"password": WRONG})
        assert answer.status_code == 200
        assert [await is_valid(api, token) for token in tokens] == [False, False]

        async def ended() -> bool:
            return not any([await is_valid(other, token) for token in tokens])

        begun = asyncio.get_running_loop().time()
        await until(ended, timeout_s=30)
        assert asyncio.get_running_loop().time() - begun < REFRESH_S + 10
    assert (await login(api, {"link": unused})).status_code == 401
    assert (await login(api, {"name": "anna", "password": PASSWORD})).status_code == 401
    if end == "disable":
        await api.http.patch("/v1/operators/anna", json={"enabled": True})
        assert not await is_valid(api, tokens[0]), "what ended stays ended"
        assert await is_valid(api, await by_password(api))
    else:
        assert await is_valid(api, await by_password(api, password=WRONG))


async def test_new_scopes_are_those_of_the_sessions_that_are_open(api: RunningApi) -> None:
    await operator(api)
    token = await by_password(api)
    await api.http.patch("/v1/operators/anna", json={"scopes": ["money"]})
    assert (await sent(api, token)).json()["scopes"] == ["money"]
    assert (await sent(api, token, path="clients")).status_code == 403


async def test_a_session_is_known_at_once_to_another_process(
    database: str, api: RunningApi
) -> None:
    await operator(api)
    async with running_api(database) as other:
        for _ in range(3):
            assert await is_valid(other, await by_password(api))


async def test_a_session_ends_after_an_hour_without_use_and_after_12_hours(database: str) -> None:
    start = datetime(2026, 11, 27, 8, tzinfo=UTC)
    clock = FixedClock(start)
    async with running_api(database, clock=clock) as api:
        await operator(api)
        token, idle = await by_password(api), await by_password(api)
        for minutes in range(50, 12 * 60, 50):
            clock.set(start + timedelta(minutes=minutes))
            assert await is_valid(api, token), minutes
            if minutes > 50:
                assert not await is_valid(api, idle), minutes
            # An unknown token has the tokens read again, now with the use that was written.
            assert not await is_valid(api, "rf_" + "x" * 40)
        clock.set(start + timedelta(hours=12))
        assert not await is_valid(api, token)


async def test_a_link_opens_one_session(api: RunningApi) -> None:
    await operator(api, password=None)
    secret = await link(api)
    opened = await asyncio.gather(*(login(api, {"link": secret}) for _ in range(5)))
    assert sorted(answer.status_code for answer in opened) == [201, 401, 401, 401, 401]
    (token,) = [a.json()["secret"] for a in opened if a.status_code == 201]
    assert await is_valid(api, token)
    assert not await is_valid(api, secret), "it is no token"


async def test_a_link_is_valid_for_15_minutes(database: str) -> None:
    start = datetime(2026, 11, 27, 8, tzinfo=UTC)
    clock = FixedClock(start)
    async with running_api(database, clock=clock) as api:
        await operator(api)
        first, second = await link(api), await link(api)
        clock.set(start + timedelta(minutes=14, seconds=59))
        assert (await login(api, {"link": first})).status_code == 201
        clock.set(start + timedelta(minutes=15))
        assert (await login(api, {"link": second})).status_code == 401


async def test_links_are_given_by_admins_to_operators_who_can_log_in(api: RunningApi) -> None:
    await operator(api)
    token = await by_password(api)
    headers = {"Authorization": f"Bearer {token}"}
    body = {"operator": "anna"}
    refused = await api.http.post("/v1/login-links", json=body, headers=headers)
    assert refused.status_code == 403
    await api.http.post("/v1/tokens", json={"operator": "shop", "scopes": ["money"]})
    await api.http.patch("/v1/operators/anna", json={"enabled": False})
    for name, status in (("nobody", 404), ("shop", 409), ("anna", 409)):
        answer = await api.http.post("/v1/login-links", json={"operator": name})
        assert answer.status_code == status, name


async def test_failed_logins_are_limited_by_address_and_keep_out_no_token(api: RunningApi) -> None:
    await operator(api)
    guesses = [{"name": "anna", "password": f"{WRONG}{n}"} for n in range(3 * BUDGET)]
    with capture_logs() as logs:
        answers = await asyncio.gather(*(login(api, guess) for guess in guesses))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}, "guesses that come at once do not pass the limit together"
    assert BUDGET <= statuses.count(401) < 2 * BUDGET
    limited = [answer for answer in answers if answer.status_code == 429]
    assert int(limited[0].headers["Retry-After"]) > 0
    assert (await api.http.get("/v1/sessions/current")).status_code == 200
    elsewhere = await login(api, {"name": "anna", "password": PASSWORD}, "192.0.2.7")
    assert elsewhere.status_code == 201, "behind a proxy the address is that of the browser"
    assert (await login(api, {"link": await link(api)})).status_code == 201
    refused = [entry for entry in logs if entry["event"] == "login refused"]
    assert BUDGET <= len(refused) < 2 * BUDGET
    assert WRONG not in str(logs)


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(api: RunningApi) -> None:
    await operator(api)
    loop = asyncio.get_running_loop()

    async def shortest(name: str, of: int) -> float:
        taken = []
        for n in range(4):
            begun = loop.time()
            answer = await login(api, {"name": name, "password": WRONG}, f"192.0.2.{of + n}")
            assert answer.status_code == 401
            taken.append(loop.time() - begun)
        return min(taken)

    known, unknown = await shortest("anna", 1), await shortest("nobody", 11)
    assert unknown > known / 2


async def test_an_operator_has_a_bounded_number_of_sessions(api: RunningApi) -> None:
    await operator(api)
    tokens = []
    for _ in range(MOST_SESSIONS + 1):
        answer = await login(api, {"link": await link(api)})
        tokens.append(answer.json()["secret"])
    assert [await is_valid(api, token) for token in tokens[:2]] == [False, True]
    assert await is_valid(api, tokens[-1])


async def test_no_secret_is_in_the_database_the_log_or_the_audit(api: RunningApi) -> None:
    with capture_logs() as logs:
        await operator(api)
        secret = await link(api)
        tokens = [await by_password(api), (await login(api, {"link": secret})).json()["secret"]]
        await login(api, {"name": "anna", "password": WRONG})
        await sent(api, tokens[0], "DELETE")
    tables = await api.database.fetch(
        "select table_name from information_schema.tables where table_schema = 'accounts'"
    )
    rows = [
        str(row["text"])
        for table in tables
        for row in await api.database.fetch(
            f"select t::text as text from accounts.{table['table_name']} t"
        )
    ]
    changes = (await api.http.get("/v1/operators/changes")).text
    listed = (await api.http.get("/v1/operators")).text
    everything = "\n".join([*rows, str(logs), changes, listed])
    assert "anna" in everything
    for hidden in (PASSWORD, WRONG, secret, *tokens):
        assert hidden not in everything
    assert "argon2" not in changes + listed + str(logs)
