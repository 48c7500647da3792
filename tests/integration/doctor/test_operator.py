"""`ringfence doctor` by a token alone: the API, cdr-ingest, and a command in an empty folder."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from accounts.installation.servers import ServersFile
from ringfence.kafka.publisher import open_publisher
from ringfence.observe.health import Progress
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence_local.embedded.ports import free_port
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from tests.support.accounts import TOKEN, running_api
from tests.support.cdr_ingest import ingest, servers_toml
from tests.support.fusionpbx import MCON, SUPER_KEY, outbound, simulated


class Desk:
    """A folder without any file, and an environment without anything but the API and a token."""

    def __init__(self, folder: Path, api: str) -> None:
        self._folder = folder
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGFENCE_", "TEST_"))
        } | ({"RINGFENCE_API": api, "RINGFENCE_TOKEN": TOKEN} if api else {})

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """The exit status of a command, its output, and what it says on standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence_cli.main", *arguments,
            cwd=self._folder, env=self._environment | environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), 240)
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    return folder


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line="5.6", clock=time.time) as simulator:
        simulator.pbx.place(outbound(billsec=30))
        yield simulator


def entry(url: str) -> dict[str, Any]:
    return {
        "kind": "fusionpbx",
        "url": url,
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
    }


@pytest.fixture
async def desk(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    folder: Path,
    kafka_bootstrap: str,
    database: str,
    pbx: FusionPbxSimulator,
) -> AsyncIterator[Desk]:
    """The API and cdr-ingest run; the folder is empty."""
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.delenv("RINGFENCE_NOTIFIER_SMTP_HOST", raising=False)
    down = entry(f"http://127.0.0.1:{free_port()}")
    servers = servers_toml(tmp_path, pbx1=entry(pbx.url), pbx2=down)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(running_api(database, servers=ServersFile(servers)))
        pool = await stack.enter_async_context(await open_pool(database, service="accounts"))
        publisher = await stack.enter_async_context(
            open_publisher(kafka_bootstrap, source="accounts")
        )
        relay = OutboxRelay(pool, publisher, schema="accounts", progress=Progress("outbox"))
        relaying = asyncio.create_task(relay.run(stop))
        await stack.enter_async_context(ingest(kafka_bootstrap, database, servers))
        try:
            yield Desk(folder, api.url)
        finally:
            stop.set()
            await relaying


async def test_a_token_is_all_that_an_operator_needs(desk: Desk) -> None:
    status, output, errors = await desk.run("doctor")
    assert (status, errors) == (1, "")
    assert f"pbx1 as {MCON}\n  ok    reachable" in output
    assert "the api key logs in" in output
    assert f"pbx2 as {MCON}\n  fail  reachable" in output
    assert "PostgreSQL\n  ok    reachable" in output
    assert "the notifier has none that is open" in " ".join(output.split())
    assert output.strip().endswith("1 fail")
    assert SUPER_KEY not in output
    (job,) = json.loads((await desk.run("jobs", "--json"))[1])
    status, again, _ = await desk.run("jobs", "show", job["request_id"][:8])
    assert status == 0
    assert again.endswith(output)


async def test_one_server_as_json(desk: Desk) -> None:
    status, output, _ = await desk.run("doctor", "--server", "pbx1", "--json")
    assert status == 0, output
    found = json.loads(output)
    assert {f["subject"].split()[0] for f in found} == {"pbx1"}
    assert [*found[0]] == ["subject", "check", "state", "said", "do"]


async def test_an_unknown_server_is_refused_with_those_that_exist(desk: Desk) -> None:
    status, output, errors = await desk.run("doctor", "--server", "pbx9")
    assert (status, output) == (2, "")
    assert "pbx9" in errors
    assert "pbx1, pbx2" in errors


async def test_where_nothing_runs_both_ways_are_named(folder: Path) -> None:
    status, output, errors = await Desk(folder, "").run("doctor")
    assert (status, output) == (3, "")
    said = " ".join(errors.split())
    assert "RINGFENCE_API" in said
    assert "ringfence doctor --here" in said


async def test_a_cdr_ingest_that_does_not_run_is_named(database: str, folder: Path) -> None:
    async with running_api(database) as api:
        status, output, errors = await Desk(folder, api.url).run("doctor")
    assert (status, output) == (1, "")
    assert "cdr-ingest has not begun within 15 s" in " ".join(errors.split())


async def test_from_this_machine_nothing_needs_to_run(
    pbx: FusionPbxSimulator, folder: Path
) -> None:
    servers_toml(folder, pbx1=entry(pbx.url))
    status, output, _ = await Desk(folder, "").run(
        "doctor", "--here", "--server", "pbx1", TEST_FUSIONPBX_SUPER=SUPER_KEY
    )
    assert status == 0, output
    assert "the api key logs in" in output


async def test_without_the_package_here_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    hidden = "import ringfence_cli.servers.doctor as d; d.entry_points = lambda group: ()\n"
    code = f"{hidden}d.doctor(['--here'])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=folder, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 2
    assert "needs the package ringfence-doctor" in " ".join(errors.decode().split())
