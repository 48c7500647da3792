"""`ringfence brake`, `alarms`, `servers`: what needs a person."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounts.installation.servers import ServersFile
from ringfence_cli import service_commands
from ringfence_cli.operations.alarms import alarms
from ringfence_cli.operations.brake import brake
from ringfence_cli.servers.server import servers
from tests.support.accounts import front_door
from tests.support.commands import Desk

SERVERS = """
[servers.vodia-1]
kind = "vodia"
url = "https://vodia.example.ca"
user = "admin"
password = { env = "PASSWORD" }
"""


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with front_door(database) as door:
        yield Desk(door)


async def test_the_brake_says_since_when_and_what_next(desk: Desk) -> None:
    assert "The brake is off" in await desk.said(brake)
    await desk.door.database.execute(
        "update suspender.brake set on_since = now(), cause = '31 of 300 live clients at once'"
    )
    said = await desk.said(brake)
    assert "31 of 300 live clients at once" in said
    assert "0 cuts paused" in said
    assert "ringfence brake release" in said
    assert "ringfence brake undo" in said
    assert (await desk.json(brake))["on"] is True


@pytest.mark.parametrize(
    ("word", "state", "status"), [("release", "done", 0), ("undo", "refused", 1)]
)
async def test_a_command_waits_for_its_answer(
    desk: Desk, word: str, state: str, status: int
) -> None:
    answering = asyncio.create_task(desk.answered(state, "31 clients, one by one"))
    said = await desk.said(brake, word, "--reason", "rates are right", status=status)
    await answering
    assert said == f"{state}: 31 clients, one by one"
    (request,) = await desk.door.told("operator.requested.v1")
    assert (request["command"], request["reason"]) == (f"brake.{word}", "rates are right")


async def test_a_silent_suspender_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_commands, "ANSWER_S", 0.1)
    said = await desk.said(brake, "release", status=1)
    assert "when the suspender runs again" in said


async def test_open_alarms_are_listed_with_what_to_do(desk: Desk) -> None:
    assert await desk.said(alarms) == "No open alarms."
    await desk.door.database.execute(
        "insert into suspender.alarm (alarm_id, key, subject, severity, message, what_to_do,"
        "     raised_at, ended_at) values"
        " (gen_random_uuid(), 'brake', 'brake', 'critical', '31 clients at once',"
        "  'decide by ringfence brake', now(), null),"
        " (gen_random_uuid(), 'suspension-failed', 'anna/pbx-1', 'warning', 'no answer',"
        "  'nothing', now() - interval '1 day', now())"
    )
    said = await desk.said(alarms)
    assert "31 clients at once. To do: decide by ringfence brake" in said
    assert "1 alarm." in said
    assert "anna/pbx-1" not in said
    assert "anna/pbx-1" in await desk.said(alarms, "--all")
    assert len(await desk.json(alarms, "--all")) == 2


async def test_servers_are_listed_as_the_servers_file_names_them(
    database: str, tmp_path: Path
) -> None:
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    async with front_door(database, servers=ServersFile(file)) as door:
        desk = Desk(door)
        said = await desk.said(servers)
        assert "vodia-1 vodia https://vodia.example.ca" in said
        assert "1 server." in said
        (listed,) = await desk.json(servers)
        assert listed["server_id"] == "vodia-1"
        file.unlink()
        lost = await desk.run(servers)
        assert "cannot be read" in " ".join(lost.stderr.split())
        assert lost.stdout == "No servers.\n"
