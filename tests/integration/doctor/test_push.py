"""`ringfence doctor` for servers that post their calls, and for the posts received."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from ringfence_local.embedded.ports import free_port
from ringfence_simulators.freeswitch.channel import new_channel
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings
from ringfence_testing.wait import until
from tests.support.cdr_ingest import ingest, servers_toml
from tests.support.doctor import Run, doctor_command, examined

PASSWORD = "hush-hush-push"
PUSH = {"user": "switch", "password": {"env": "TEST_PUSH_PASSWORD"}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str) -> Run:
    monkeypatch.setenv("TEST_PUSH_PASSWORD", PASSWORD)
    monkeypatch.setenv("TEST_PUSH_KEY", "k" * 40)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    monkeypatch.setenv("RINGFENCE_CDR_INGEST_PUSH_PORT", str(free_port()))
    return doctor_command(monkeypatch, tmp_path)


def fusionpbx(**changed: Any) -> dict[str, Any]:
    """An unreachable FusionPBX: its posts are checked all the same."""
    down = f"http://127.0.0.1:{free_port()}"
    return {
        "kind": "fusionpbx",
        "url": down,
        "api_key": {"env": "TEST_PUSH_KEY"},
        "push": PUSH,
        **changed,
    }


def vodia(**changed: Any) -> dict[str, Any]:
    down = f"http://127.0.0.1:{free_port()}"
    return {
        "kind": "vodia",
        "url": down,
        "user": "admin",
        "password": {"env": "TEST_PUSH_KEY"},
        "tenants": ["north.example"],
        **changed,
    }


async def test_a_listening_receiver_and_a_posted_call_are_ok(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str, kafka_bootstrap: str
) -> None:
    """The service receives a post; then the doctor reports both, and posts nothing."""
    server_id, port = f"pbx-{uuid.uuid4().hex[:8]}", free_port()
    monkeypatch.setenv("RINGFENCE_CDR_INGEST_PUSH_PORT", str(port))
    pbx = fusionpbx()  # it names no tenant, so nothing is polled and no login is counted
    path = servers_toml(tmp_path, **{server_id: pbx})
    async with ingest(kafka_bootstrap, database, path, push_port=port):
        url = f"http://127.0.0.1:{port}/cdr/{server_id}/json"
        cred = f"{PUSH['user']}:{PASSWORD}"
        async with CdrModule(ModuleSettings(form="json", urls=(url,), cred=cred)) as freeswitch:

            async def taken() -> bool:
                return await freeswitch.report(new_channel({"domain_name": "north.example"}))

            await until(taken)
        before = await records(database)
        found = await examined(run, server_id, pbx)
        assert await records(database) == before
    assert found["push credentials"]["said"] == "user and password are set"
    assert found["receiver"]["said"] == f"listens at 127.0.0.1:{port}"
    assert found["receiver"]["state"] == found["last posted call"]["state"] == "ok"
    assert found["last posted call"]["said"].endswith(" s ago")
    assert PASSWORD not in found.output


async def records(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from cdr_ingest.record"))
    finally:
        await connection.close()


async def test_without_any_post_the_result_says_how_to_post(run: Run) -> None:
    found = await examined(run, "pbx1", fusionpbx())
    assert found["last posted call"]["state"] == "warn"
    do = found["last posted call"]["do"]
    for word in ("json_cdr.conf.xml", "/cdr/pbx1/json", "`cred`", "mod_json_cdr", "docs/push.md"):
        assert word in do
    found = await examined(run, "v1", vodia(push=PUSH))
    assert "CDR URL" in found["last posted call"]["do"]
    assert "/cdr/v1/json" in found["last posted call"]["do"]


@pytest.mark.parametrize(
    ("source", "days", "state"),
    [
        ("freeswitch-push", 3, "ok"),
        ("vodia-push", 3, "ok"),
        ("freeswitch-push", 9, "warn"),
        ("fusionpbx-pull", 3, "warn"),
    ],
)
async def test_only_posts_of_a_week_count(
    run: Run, database: str, source: str, days: int, state: str
) -> None:
    """By their arrival; polled calls and other servers' posts do not count."""
    at = datetime.now(UTC) - timedelta(days=days)
    await note(database, "pbx1", source, at)
    await note(database, "pbx2", "freeswitch-push", datetime.now(UTC))
    found = await examined(run, "pbx1", fusionpbx())
    assert found["last posted call"]["state"] == state
    if state == "ok":
        assert f"came {at:%Y-%m-%d %H:%M:%S} UTC, 3 d ago" in found["last posted call"]["said"]


async def note(dsn: str, server_id: str, source: str, at: datetime) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition,"
            " started_at, accepted_at) values ($1, $2, 't', $3, 'published', $4, $4)",
            uuid.uuid4(),
            server_id,
            source,
            at,
        )
    finally:
        await connection.close()


async def test_a_receiver_that_does_not_answer_here_is_a_warning(run: Run) -> None:
    found = await examined(run, "pbx1", fusionpbx())
    assert found["receiver"]["state"] == "warn"
    assert "does not answer here: ConnectError" in found["receiver"]["said"]
    assert "RINGFENCE_CDR_INGEST_PUSH_HOST" in found["receiver"]["do"]


async def test_another_server_at_the_receivers_port_is_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        monkeypatch.setenv("RINGFENCE_CDR_INGEST_PUSH_PORT", str(port))
        found = await examined(run, "pbx1", fusionpbx())
    finally:
        await runner.cleanup()
    assert found["receiver"]["said"] == f"127.0.0.1:{port} answers with 404: not a receiver"


async def test_a_port_of_0_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CDR_INGEST_PUSH_PORT", "0")
    found = await examined(run, "pbx1", fusionpbx())
    assert "any free one" in found["receiver"]["said"]


async def test_a_missing_password_is_named_by_its_path(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_PUSH_PASSWORD")
    found = await examined(run, "pbx1", fusionpbx())
    assert found["push credentials"]["state"] == "fail"
    assert "TEST_PUSH_PASSWORD" in found["push credentials"]["said"]


async def test_push_without_a_password_is_allowed_on_loopback_only(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await examined(run, "pbx1", fusionpbx(push={"open": True}))
    assert "on this machine alone" in found["push credentials"]["said"]
    monkeypatch.setenv("RINGFENCE_CDR_INGEST_PUSH_HOST", "0.0.0.0")
    found = await examined(run, "pbx1", fusionpbx(push={"open": True}))
    assert found["push credentials"]["state"] == "fail"
    found = await examined(run, "pbx1", fusionpbx())
    assert found["push credentials"]["state"] == "ok"


async def test_without_a_database_the_last_post_is_unknown(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", f"postgresql://me:pa55@127.0.0.1:{free_port()}/x")
    found = await examined(run, "pbx1", fusionpbx())
    assert found["last posted call"]["state"] == "warn"
    assert "cannot be read (ConnectionRefusedError)" in found["last posted call"]["said"]
    assert "pa55" not in found.output
    monkeypatch.delenv("RINGFENCE_POSTGRES_DSN")
    monkeypatch.chdir(tmp_path)
    found = await examined(run, "pbx1", fusionpbx())
    assert "no database is named" in found["last posted call"]["said"]


async def test_a_server_without_push_has_no_checks_of_posts(run: Run) -> None:
    found = await examined(run, "pbx1", fusionpbx(push={"open": True}))
    assert "receiver" in found
    whole = fusionpbx()
    del whole["push"]
    found = await examined(run, "pbx1", whole)
    assert not {"receiver", "push credentials", "last posted call"} & {
        finding["check"] for finding in found.findings
    }


@pytest.mark.parametrize(
    ("unread_days", "state", "said"),
    [
        (0, "ok", "ago; 6 d left before the PBX deletes a call"),
        (6.5, "warn", "the PBX deletes unread calls in 11 h"),
        (
            8,
            "fail",
            "read until 8 d ago: calls that the PBX deleted since then may be lost for good",
        ),
    ],
)
async def test_unread_calls_near_the_end_of_retention_are_warned_of(
    run: Run, database: str, unread_days: float, state: str, said: str
) -> None:
    """The PBX keeps calls for a week; `read_until` is how far cdr-ingest has read."""
    read_until = datetime.now(UTC) - timedelta(days=unread_days)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "insert into cdr_ingest.cursor (server_id, lane, read_until) values"
            " ('v1', 'north.example', $1), ('v2', 'south.example', 0)",
            int(read_until.timestamp()),
        )
    finally:
        await connection.close()
    found = await examined(run, "v1", vodia(tenants=["north.example", "south.example"]))
    assert found["retention"]["subject"] == "v1 north.example"
    assert found["retention"]["state"] == state
    assert said in found["retention"]["said"]
