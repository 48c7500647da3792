"""/v1/tokens: what a token allows, how it ends, and what becomes of failed logins."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from accounts.access.directory import REFRESH_S
from accounts.access.failed_logins import BUDGET, MANY, FailedLogins
from accounts.access.login_alarm import LoginAlarm
from ringfence.clock import SystemClock
from ringfence.observe.health import Progress
from ringfence.postgres.pool import open_pool
from ringfence_contracts.topics import ACCOUNTS_ALARM
from ringfence_testing.wait import until
from tests.support.accounts import FUSIONPBX, RunningApi, running_api


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def created(api: RunningApi, *scopes: str, **more: object) -> dict[str, Any]:
    """A new token of the operator `desk`."""
    body = {"operator": "desk", "scopes": list(scopes), **more}
    answer = await api.http.post("/v1/tokens", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def sent(
    api: RunningApi, secret: str, method: str, path: str, body: object = None, key: str = ""
) -> httpx.Response:
    """A request with another token."""
    headers = {"Authorization": f"Bearer {secret}"} | ({"Idempotency-Key": key} if key else {})
    return await api.http.request(method, f"/v1/{path}", json=body, headers=headers)


async def status(api: RunningApi, secret: str, method: str, path: str, body: object = None) -> int:
    return (await sent(api, secret, method, path, body)).status_code


TOP_UP = {"amount": "5", "currency": "CAD"}


async def test_a_token_may_do_what_its_scopes_name(api: RunningApi) -> None:
    await api.client("anna")
    read = (await created(api, "read"))["secret"]
    money = (await created(api, "money"))["secret"]
    operate = (await created(api, "operate"))["secret"]
    assert await status(api, read, "GET", "clients/anna") == 200
    assert await status(api, operate, "GET", "clients/anna") == 403
    paid = await sent(api, money, "POST", "clients/anna/payments", TOP_UP, "k")
    assert paid.status_code == 201
    for secret in (read, operate):
        refused = await sent(api, secret, "POST", "clients/anna/payments", TOP_UP, "k2")
        assert refused.status_code == 403
    assert await status(api, operate, "POST", "clients/anna/suspend", {}) == 200
    assert await status(api, money, "POST", "clients/anna/suspend", {}) == 403
    for secret in (read, money, operate):
        assert await status(api, secret, "GET", "tokens") == 403
    admin = (await created(api, "admin"))["secret"]
    assert await status(api, admin, "GET", "clients/anna") == 200
    assert await status(api, admin, "GET", "tokens") == 200


async def test_a_refusal_says_what_the_token_may_and_what_to_ask_for(api: RunningApi) -> None:
    secret = (await created(api, "read"))["secret"]
    refused = await sent(api, secret, "POST", "clients/anna/payments", {"amount": "wrong"})
    assert refused.status_code == 403, "the scope is checked before the body"
    error = refused.json()["error"]
    assert error["message"] == (
        "this token may read; this request needs money: ask an admin for a token with it"
        " (`ringfence token create NAME --scope money`)"
    )


async def test_operate_does_not_change_what_a_client_pays(api: RunningApi) -> None:
    secret = (await created(api, "operate"))["secret"]
    await api.client("anna")
    assert await status(api, secret, "PATCH", "clients/anna", {"last_name": "Berg-Lund"}) == 200
    for field in ("opening_balance", "credit_limit"):
        assert await status(api, secret, "PATCH", "clients/anna", {field: "10"}) == 403


async def test_operate_is_limited_to_the_servers_that_are_named(api: RunningApi) -> None:
    await api.client("anna")
    await api.client("bert")
    other = {**FUSIONPBX, "domain_tenant_and_main_dids": "b.example | 5192229001"}
    await api.put("clients/anna/products/a1", FUSIONPBX)
    await api.put("clients/bert/products/b1", {**other, "server_id": "pbx2"})
    secret = (await created(api, "operate", servers=["wat5"]))["secret"]
    assert await status(api, secret, "POST", "clients/anna/suspend", {}) == 200
    assert await status(api, secret, "POST", "clients/bert/suspend", {}) == 403
    assert await status(api, secret, "POST", "servers/pbx2/pause", {}) == 403
    assert await status(api, secret, "POST", "servers/wat5/pause", {}) == 404, "it is not listed"
    brake = {"service": "suspender", "command": "brake.release"}
    assert await status(api, secret, "POST", "commands", brake) == 403
    assert await status(api, secret, "POST", "examinations", {}) == 403
    moved = {**FUSIONPBX, "server_id": "pbx2"}
    assert await status(api, secret, "PUT", "clients/anna/products/a1", moved) == 403
    refused = await sent(api, secret, "DELETE", "clients/bert/products/b1")
    assert refused.status_code == 403
    assert "may operate wat5 alone" in refused.json()["error"]["message"]
    assert await status(api, secret, "DELETE", "clients/anna/products/a1") == 200


async def test_a_revoked_token_is_refused_at_once_here_and_soon_elsewhere(
    database: str, api: RunningApi
) -> None:
    made = await created(api, "read")
    async with running_api(database) as other:
        for each in (api, other):
            assert await status(each, made["secret"], "GET", "clients") == 200
        answer = await api.http.delete(f"/v1/tokens/{made['token_id'][:8]}")
        assert (answer.status_code, answer.json()["revoked_by"]) == (200, "tester")
        assert await status(api, made["secret"], "GET", "clients") == 401

        async def is_refused() -> bool:
            return await status(other, made["secret"], "GET", "clients") == 401

        begun = asyncio.get_running_loop().time()
        await until(is_refused, timeout_s=30)
        assert asyncio.get_running_loop().time() - begun < REFRESH_S + 10


async def test_a_rotated_token_allows_the_same_and_the_old_one_ends(api: RunningApi) -> None:
    first = await created(api, "operate", servers=["wat5"])
    path = f"/v1/tokens/{first['token_id']}/rotate"
    second = (await api.http.post(path, json={"overlap_s": 600})).json()
    assert (second["scopes"], second["servers"]) == (["operate"], ["wat5"])
    assert second["secret"] != first["secret"]
    for made in (first, second):
        assert await status(api, made["secret"], "POST", "servers/wat5/pause", {}) == 404
    path = f"/v1/tokens/{second['token_id']}/rotate"
    third = (await api.http.post(path, json={"overlap_s": 0})).json()
    assert await status(api, second["secret"], "POST", "servers/wat5/pause", {}) == 401
    assert await status(api, third["secret"], "POST", "servers/wat5/pause", {}) == 404
    assert (await api.http.post(path, json={})).status_code == 409
    await api.database.execute(
        "update accounts.token set expires_at = now() where revoked_at is null"
    )
    again = await api.http.post(f"/v1/tokens/{third['token_id']}/rotate")
    assert again.status_code == 409


async def test_an_expired_token_is_refused(api: RunningApi) -> None:
    made = await created(api, "read", expires_at="2999-01-01T00:00:00Z")
    assert await status(api, made["secret"], "GET", "clients") == 200
    await api.database.execute("update accounts.token set expires_at = now()")

    async def is_refused() -> bool:
        return await status(api, made["secret"], "GET", "clients") == 401

    await until(is_refused, timeout_s=30)
    listed = (await api.http.get("/v1/tokens", params={"state": "all"})).json()
    assert [row["state"] for row in listed["items"]] == ["expired"]
    assert (await api.http.get("/v1/tokens")).json()["items"] == []


async def test_the_list_says_when_a_token_was_used_last(api: RunningApi) -> None:
    """Written once in 5 minutes, not at each request; the audit of the token is not touched."""
    secret = (await created(api, "read"))["secret"]
    (token,) = (await api.http.get("/v1/tokens")).json()["items"]
    assert token["used_at"] is None
    assert await status(api, secret, "GET", "clients") == 200
    (used,) = (await api.http.get("/v1/tokens")).json()["items"]
    assert used["used_at"] is not None
    for minutes, is_written in ((4, False), (6, True)):
        before = await api.database.fetchval(
            "update accounts.token set used_at = now() - $1 * interval '1 minute' where scopes <>"
            " '{admin}' returning used_at",
            minutes,
        )
        await created(api, "admin")  # the tokens are read again
        assert await status(api, secret, "GET", "clients") == 200
        after = await api.database.fetchval(
            "select used_at from accounts.token where scopes <> '{admin}'"
        )
        assert (after > before) is is_written
    changes = (await api.http.get("/v1/tokens/changes")).json()["items"]
    assert {change["what"] for change in changes} == {"created"}


async def test_no_secret_is_kept_or_shown_again(api: RunningApi) -> None:
    made = await created(api, "read")
    texts = [
        (await api.http.get("/v1/tokens")).text,
        (await api.http.get("/v1/tokens/changes")).text,
    ]
    rows = await api.database.fetch("select to_jsonb(t)::text as row from accounts.token t")
    texts += [row["row"] for row in rows]
    assert not [text for text in texts if made["secret"] in text]
    assert len(made["secret"]) >= 43


async def test_each_change_is_kept_with_before_and_after(api: RunningApi) -> None:
    made = await created(api, "read")
    secret = (await created(api, "admin"))["secret"]
    await sent(api, secret, "DELETE", f"tokens/{made['token_id']}")
    changes = (await api.http.get("/v1/tokens/changes")).json()["items"]
    assert [(c["what"], c["changed_by"]) for c in changes] == [
        ("revoked", "desk"), ("created", "tester"), ("created", "tester"),
    ]  # fmt: skip
    revoked = changes[0]
    assert (revoked["before"]["revoked_by"], revoked["after"]["revoked_by"]) == ("", "desk")
    assert changes[-1]["before"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes"),
        ({"scopes": ["read"], "servers": ["wat5"]}, "servers"),
        ({"scopes": ["operate", "admin"], "servers": ["wat5"]}, "servers"),
        ({"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"scopes": ["read"], "operator": "a b"}, "operator"),
    ],
)
async def test_a_token_that_cannot_be_is_refused(
    api: RunningApi, body: dict[str, object], field: str
) -> None:
    answer = await api.http.post("/v1/tokens", json={"operator": "desk", **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field), answer.text


def failed(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("ringfence_api_failed_logins_total", labels) or 0.0


async def test_a_guesser_must_wait_and_is_logged_and_counted(api: RunningApi) -> None:
    strong = (await created(api, "read"))["secret"]
    before = failed("unknown"), failed("limited")
    with capture_logs() as logs:
        answers = [await sent(api, f"guess-{n:04d}", "GET", "clients") for n in range(30)]
    codes = [answer.status_code for answer in answers]
    assert codes == [401] * BUDGET + [429] * (30 - BUDGET)
    assert int(answers[-1].headers["Retry-After"]) >= 1
    refused = [entry for entry in logs if entry["event"] == "login refused"]
    assert [entry["address"] for entry in refused] == ["127.0.0.1"] * BUDGET
    assert "guess" not in str(logs)
    assert (failed("unknown"), failed("limited")) == (before[0] + BUDGET, before[1] + 20)
    # A short token could be guessed, so it waits too; a generated one is accepted.
    assert (await api.http.get("/v1/clients")).status_code == 429
    assert await status(api, strong, "GET", "clients") == 200


async def test_many_failed_logins_raise_an_alarm_that_ends(database: str, api: RunningApi) -> None:
    failures = FailedLogins()
    now = asyncio.get_running_loop().time()
    async with await open_pool(database, service="accounts") as pool:
        alarm = LoginAlarm(pool, failures, SystemClock(), Progress("logins"))
        await alarm.step()
        assert await api.published(ACCOUNTS_ALARM.name) == []
        for n in range(MANY):
            failures.failed(f"10.0.0.{n}", now)
        await alarm.step()
        await alarm.step()
        (raised,) = await api.published(ACCOUNTS_ALARM.name)
        assert (raised["state"], raised["key"]) == ("raised", "failed-logins")
        restarted = LoginAlarm(pool, FailedLogins(), SystemClock(), Progress("logins"))
        await restarted.step()
        _, ended = await api.published(ACCOUNTS_ALARM.name)
        assert ended["state"] == "ended"
