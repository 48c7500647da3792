"""The routes of jobs: what they publish, what they refuse and how, and what they show."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ringfence.clock import SystemClock
from ringfence.postgres.jobs import JobEnding, JobIntake, JobProgress, JobStore
from ringfence.postgres.pool import Pool, open_pool
from tests.support.accounts import RunningApi, running_api
from tests.support.jobs import deliver

ORDER = {"tariff": "north", "version": 2, "from": "2026-11-01", "to": "2026-12-01"}


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


@pytest.fixture
async def rating(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, service="rating") as pool:
        yield pool


async def requested(api: RunningApi, path: str, body: object = None) -> str:
    """The id of a job that is accepted."""
    answer = await api.http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"request_id"}
    return str(answer.json()["request_id"])


async def job(api: RunningApi, request_id: str) -> dict[str, Any]:
    answer = await api.http.get(f"/v1/jobs/{request_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(api: RunningApi, path: str, body: object, status: int = 422) -> dict[str, Any]:
    answer = await api.http.post(f"/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize(
    ("path", "body", "command", "arguments"),
    [
        ("verifications", None, "verify", {"wait_s": "10.0", "replay": "no", "full": "no"}),
        ("verifications", {"wait_s": 0, "replay": True}, "verify",
         {"wait_s": "0.0", "replay": "yes", "full": "no"}),
        ("reratings", ORDER, "rerate.dry_run", {**ORDER, "version": "2"}),
        ("reratings", {**ORDER, "account": "anna", "apply": True}, "rerate.apply",
         {**ORDER, "version": "2", "account": "anna"}),
        ("unrated/replays", {"all": True}, "unrated.replay", {"wait_s": "30.0"}),
        ("unrated/replays", {"calls": ["ABCD", "12ef"], "reason": "r", "tenant": "t", "wait_s": 1},
         "unrated.replay", {"calls": "abcd,12ef", "reason": "r", "tenant": "t", "wait_s": "1.0"}),
    ],
)  # fmt: skip
async def test_a_request_is_published_to_rating_with_who_asked(
    api: RunningApi, path: str, body: object, command: str, arguments: dict[str, str]
) -> None:
    request_id = await requested(api, path, body)
    (event,) = await api.published("operator.requested.v1")
    assert (event["request_id"], event["service"]) == (request_id, "rating")
    assert (event["command"], event["arguments"]) == (command, arguments)
    assert event["requested_by"] == "tester"
    found = await job(api, request_id)
    assert (found["state"], found["started_at"], found["result"]) == ("waiting", None, None)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("verifications", {"wait_s": 601}, "wait_s"),
        ("verifications", {"speed": 9}, "speed: there is no such field"),
        ("reratings", {**ORDER, "from": "May"}, "from: got 'May', expected a day such as"),
        ("reratings", {**ORDER, "to": "2026-11-01"}, "to: got '2026-11-01', expected a day or an"),
        ("reratings", {**ORDER, "version": 0}, "version"),
        ("reratings", {"tariff": "north"}, "version, from and to are missing"),
        ("unrated/replays", {}, "all: got False, expected true, or calls, a reason or a tenant"),
        ("unrated/replays", {"all": True, "reason": "x"}, "all: got True"),
        ("unrated/replays", {"calls": ["zz"]}, "at least its first 4 digits"),
        ("unrated/replays", {"calls": ["abcd"] * 26}, "calls"),
        ("unrated/replays", {"tenant": "a\u0000b"}, "tenant"),
    ],
)
async def test_what_rating_could_not_do_is_refused_at_once(
    api: RunningApi, path: str, body: object, message: str
) -> None:
    error = await refused(api, path, body)
    assert message in error["message"]
    assert "Error" not in error["message"]
    assert await api.published("operator.requested.v1") == []


async def test_a_period_may_mix_days_and_instants(api: RunningApi) -> None:
    await requested(api, "reratings", {**ORDER, "from": "2026-11-30T23:00-05:00"})


async def test_an_undo_of_an_unknown_run_is_refused(api: RunningApi, rating: Pool) -> None:
    run_id = uuid4()
    error = await refused(api, f"reratings/{run_id}/undo", None, 404)
    assert f"'{run_id}'" in error["message"]
    await rating.execute(
        "insert into rating.rerate_run (run_id, tariff_id, version_id, from_text, to_text,"
        " started_at, applied_at)"
        " values ($1, 'north', 2, '2026-11-01', '2026-12-01', now(), now())",
        run_id,
    )
    await requested(api, f"reratings/{run_id}/undo")
    (event,) = await api.published("operator.requested.v1")
    assert (event["command"], event["arguments"]) == ("rerate.undo", {"run": str(run_id)})
    (listed,) = (await api.http.get("/v1/reratings")).json()["items"]
    assert (listed["run_id"], listed["state"], listed["difference"]) == (
        str(run_id),
        "applied",
        "0.00",
    )


async def test_a_job_is_shown_from_its_request_to_its_result(
    api: RunningApi, rating: Pool, database: str
) -> None:
    request_id = await requested(api, "verifications")
    store, now = JobStore(rating, "rating"), datetime.now(UTC)
    commands = ("verify",)
    await deliver(
        database, JobIntake(store, service="rating", commands=commands, clock=SystemClock())
    )
    taken = await store.take(now, now + timedelta(seconds=20))
    assert taken is not None
    await store.renew(taken, now + timedelta(seconds=21), JobProgress("costs", 2, 5))
    running = await job(api, request_id)
    assert (running["state"], running["progress"]) == ("running", "costs")
    assert (running["done"], running["total"], running["attempts"]) == (2, 5, 1)
    result = {"holds": True, "checks": [], "sums": [], "added_later": {"by": "rating"}}
    await store.finish(taken, JobEnding("done", result=result), now)
    done = await job(api, request_id)
    assert (done["state"], done["result"]) == ("done", result)
    (listed,) = (await api.http.get("/v1/jobs")).json()["items"]
    assert listed["state"] == "done"
    assert "result" not in listed
    shown = (await api.http.get(f"/v1/commands/{request_id}")).json()
    assert shown["state"] == "done"


async def test_jobs_are_listed_in_pages_the_newest_first(api: RunningApi) -> None:
    made = [await requested(api, "verifications") for _ in range(3)]
    first = (await api.http.get("/v1/jobs", params={"limit": 2})).json()
    second = (await api.http.get("/v1/jobs", params={"cursor": first["next"]})).json()
    found = [each["request_id"] for each in (*first["items"], *second["items"])]
    assert found == made[::-1]
    assert second["next"] is None


async def test_commands_of_other_services_and_old_ones_are_no_jobs(api: RunningApi) -> None:
    old = await requested(api, "verifications")
    await api.database.execute(
        "update accounts.command set requested_at = now() - interval '32 days'"
    )
    brake = {"service": "suspender", "command": "brake.release"}
    command = (await api.http.post("/v1/commands", json=brake)).json()["request_id"]
    assert (await api.http.get("/v1/jobs")).json()["items"] == []
    for request_id in (old, command):
        answer = await api.http.get(f"/v1/jobs/{request_id}")
        assert answer.status_code == 404
        assert "`ringfence jobs` shows those of the last 30 days" in answer.text


async def test_the_queue_is_counted_by_reason(api: RunningApi) -> None:
    assert (await api.http.get("/v1/unrated/waiting")).json() == {"items": []}
    await api.database.execute(
        "insert into rating.unrated (call_id, server_id, tenant, reason, detail, billsec,"
        " started_at, queued_at, call, input_hash)"
        " select gen_random_uuid(), 'pbx1', 't', 'no-matching-prefix', '', 60, now(),"
        " now() - interval '1 hour', '{}', '' from generate_series(1, 3)"
    )
    (row,) = (await api.http.get("/v1/unrated/waiting")).json()["items"]
    assert (row["reason"], row["calls"], row["billsec"]) == ("no-matching-prefix", 3, 180)
    assert 3600 <= row["oldest_s"] < 3700
