"""Jobs on running services: with a token alone, beside a kill of rating, and after it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ringfence_local.stack import Stack
from ringfence_testing.wait import until

pytestmark = pytest.mark.timeout(1800)
BOUND_S = 120.0


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "desk"
    folder.mkdir()
    return folder


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(
        tmp_path / "state", services=("accounts", "rating"), wanted_ports={}
    ) as running:
        yield running


async def started(stack: Stack, folder: Path, *command: str) -> asyncio.subprocess.Process:
    """Start a command at an operator's desk: an empty folder, the API's address, and a token."""
    environment = {
        "PATH": os.environ["PATH"],
        "RINGFENCE_API": stack.api_url,
        "RINGFENCE_TOKEN": stack.api_token,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringfence_cli.main", *command, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The exit status of a command, and all that it printed."""
    async with asyncio.timeout(BOUND_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


async def test_a_token_is_all_that_verify_rerate_and_replay_need(stack: Stack, desk: Path) -> None:
    status, text = await ended(await started(stack, desk, "verify", "--replay", "--json"))
    assert status == 0, text
    found = json.loads(text)
    assert found["holds"]
    assert found["checks"][-1]["name"] == "I7"
    period = ("--tariff=none", "--version=1", "--from=2026-11-01", "--to=2026-12-01")
    status, text = await ended(await started(stack, desk, "rerate", *period))
    assert (status, text) == (
        2,
        "ringfence: version: got 1, expected a version of none: none yet\n",
    )
    assert (await ended(await started(stack, desk, "rerate", "--list")))[0] == 0
    status, text = await ended(await started(stack, desk, "unrated", "replay", "--all"))
    assert (status, text) == (0, "No such call waits to be rated.\n")
    status, text = await ended(await started(stack, desk, "jobs", "--json"))
    assert status == 0, text
    assert [job["state"] for job in json.loads(text)] == ["done", "refused", "done"]
    assert os.listdir(desk) == []


async def test_the_job_of_a_killed_rating_is_taken_over_while_the_command_waits(
    stack: Stack, desk: Path
) -> None:
    """An accepted call that is nowhere lets I3 wait, so that the kill is in the middle of it."""
    database: Any = await asyncpg.connect(stack.dsn)
    call_id = uuid4()
    await database.execute(
        "insert into cdr_ingest.record"
        " (record_id, server_id, tenant, source, disposition, started_at, accepted_at)"
        " values ($1, 'pbx1', 't', 'fusionpbx', 'published', now(), now())",
        call_id,
    )
    command = await started(stack, desk, "verify", "--wait", "100")
    attempts = "select attempts from rating.job where progress = 'calls'"
    await until(lambda: database.fetchval(attempts), timeout_s=BOUND_S)
    os.kill(stack.supervisor.pid("rating"), signal.SIGKILL)
    await until(lambda: database.fetchval(f"{attempts} and attempts = 2"), timeout_s=BOUND_S)
    await database.execute("delete from cdr_ingest.record where record_id = $1", call_id)
    status, text = await ended(command)
    await database.close()
    assert status == 0, text
    assert "I11" in text
