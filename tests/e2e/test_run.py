"""`ringfence run`, as `make run` starts it: four kinds of source, and clients billed from each."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ringfence_local.demo.sample import CLIENTS
from ringfence_pbx.servers import load_servers
from ringfence_testing.wait import until

pytestmark = pytest.mark.timeout(1800)

SOURCES = {
    "fusionpbx-pull": {client.account_id for client in CLIENTS},
    "vodia-pull": {"1006"},
    "lesnet-file": {"1007"},
    "freeswitch-push": {"1008"},
}
CONNECTION = {"reachable", "TLS"}
RIGHTS = {"fusionpbx": {"extensions", "gateways"}, "vodia": {"trunks"}, "lesnet": {"rights"}}

_RATED = """
select r.source, c.account_id from report.call c
join report.accepted_record r on r.record_id = c.call_id where c.outcome = 'rated' group by 1, 2
"""
_OFF = """
select a.account_id from rating.account a where balance_micro is distinct from
(select sum(amount_micro) from rating.ledger l where l.account_id = a.account_id)
"""


async def test_every_source_is_billed_and_the_doctor_finds_all_of_them_well(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:

        async def every_source_is_rated() -> bool:
            rated = {(row["source"], row["account_id"]) for row in await ask(stack, _RATED)}
            return all(rated & {(source, a) for a in SOURCES[source]} for source in SOURCES)

        await until(every_source_is_rated, timeout_s=120, every_s=0.2)
        assert await ask(stack, _OFF) == []
        status, said = await ringfence(tmp_path, "verify", "--wait", "20")
        assert status == 0, said
        status, said = await ringfence(tmp_path, "doctor", "--json")
        assert status == 0, said
        assert_all_were_looked_over(Path(stack["servers_file"]), json.loads(said))


def assert_all_were_looked_over(servers_file: Path, findings: list[dict[str, str]]) -> None:
    """Connection, credentials, rights, clock and newest call of each server; what it posted too."""
    servers = load_servers(servers_file).servers
    assert {server.kind for server in servers.values()} == RIGHTS.keys()
    for server_id, server in servers.items():
        checks = {f["check"] for f in findings if f["subject"].split()[0] == server_id}
        wanted = {*CONNECTION, "credentials", *RIGHTS[server.kind], "clock", "newest call"}
        assert wanted <= checks, f"{server_id}: {wanted - checks} missing"
    (posted,) = [f for f in findings if f["check"] == "last posted call"]
    assert posted["state"] == "ok", posted


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The command in a folder of its own; gives what it says of itself once it is up."""
    with (folder / "run.log").open("wb") as log:
        process = await started(folder, "run", stdout=log, stderr=log)
    state_file = folder / ".ringfence" / "stack.json"
    try:
        await until(
            lambda: process.returncode is not None or state_file.is_file(),
            timeout_s=240,
            what="the stack is up",
        )
        assert process.returncode is None, (folder / "run.log").read_text()
        yield json.loads(state_file.read_text())
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 240) == 0
        assert not state_file.exists()
    finally:
        if process.returncode is None:
            process.kill()  # what it started ends with it
            await process.wait()


async def started(folder: Path, *words: str, **streams: Any) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "ringfence_cli.main", *words)
    return await asyncio.create_subprocess_exec(*command, cwd=folder, **streams)


async def ringfence(folder: Path, *words: str) -> tuple[int | None, str]:
    """A command in the folder where the stack runs: its exit status and what it prints."""
    process = await started(folder, *words, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 240)
    return process.returncode, output.decode()


async def ask(stack: dict[str, Any], query: str) -> list[asyncpg.Record]:
    # The login of commands has no right but to act as a service.
    role = {"role": "ringfence_rating"}
    connection = await asyncpg.connect(stack["dsn"], server_settings=role)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows
    finally:
        await connection.close()
