"""`ringfence brake`, `alarms`, `servers`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounts.installation.servers import ServersFile
from ringfence_cli import service_commands
from ringfence_cli.operations.alarms import alarms
from ringfence_cli.operations.brake import brake
from ringfence_cli.servers.server import servers
from tests.support.accounts import running_api
from tests.support.commands import Operator

SERVERS = """
[servers.vodia-1]
kind = "vodia"
url = "https://vodia.example.ca"
user = "admin"
password = { env = "PASSWORD" }
"""


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


async def test_the_brake_shows_since_when_and_what_next(operator: Operator) -> None:
    assert "The brake is off" in await operator.output(brake)
    await operator.api.database.execute(
        "update suspender.brake set on_since = now(), cause = '31 of 300 live clients at once'"
    )
    output = await operator.output(brake)
    assert "31 of 300 live clients at once" in output
    assert "0 cuts paused" in output
    assert "ringfence brake release" in output
    assert "ringfence brake undo" in output
    assert (await operator.json(brake))["on"] is True


@pytest.mark.parametrize(
    ("word", "state", "status"), [("release", "done", 0), ("undo", "refused", 1)]
)
async def test_a_command_waits_for_its_answer(
    operator: Operator, word: str, state: str, status: int
) -> None:
    answering = asyncio.create_task(operator.answered(state, "31 clients, one by one"))
    output = await operator.output(brake, word, "--reason", "rates are right", status=status)
    await answering
    assert output == f"{state}: 31 clients, one by one"
    (request,) = await operator.api.published("operator.requested.v1")
    assert (request["command"], request["reason"]) == (f"brake.{word}", "rates are right")


async def test_a_suspender_that_does_not_answer_is_reported(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_commands, "ANSWER_S", 0.1)
    output = await operator.output(brake, "release", status=1)
    assert "when the suspender runs again" in output


async def test_open_alarms_are_listed_with_what_to_do(operator: Operator) -> None:
    assert await operator.output(alarms) == "No open alarms."
    await operator.api.database.execute(
        "insert into suspender.alarm (alarm_id, key, subject, severity, message, what_to_do,"
        "     raised_at, ended_at) values"
        " (gen_random_uuid(), 'brake', 'brake', 'critical', '31 clients at once',"
        "  'decide by ringfence brake', now(), null),"
        " (gen_random_uuid(), 'suspension-failed', 'anna/pbx-1', 'warning', 'no answer',"
        "  'nothing', now() - interval '1 day', now())"
    )
    output = await operator.output(alarms)
    assert "31 clients at once. To do: decide by ringfence brake" in output
    assert "1 alarm." in output
    assert "anna/pbx-1" not in output
    assert "anna/pbx-1" in await operator.output(alarms, "--all")
    assert len(await operator.json(alarms, "--all")) == 2


async def test_servers_are_listed_as_the_servers_file_names_them(
    database: str, tmp_path: Path
) -> None:
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    async with running_api(database, servers=ServersFile(file)) as api:
        operator = Operator(api)
        output = await operator.output(servers)
        assert "vodia-1 vodia https://vodia.example.ca" in output
        assert "1 server." in output
        (listed,) = await operator.json(servers)
        assert listed["server_id"] == "vodia-1"
        file.unlink()
        lost = await operator.run(servers)
        assert "cannot be read" in " ".join(lost.stderr.split())
        assert lost.stdout == "No servers.\n"
