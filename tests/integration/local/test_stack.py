"""A stack from outside: one per folder, found by other commands, and stopped completely."""

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest
from click.testing import CliRunner

from ringfence.postgres.roles import login_of
from ringfence.secret_files import SERVICES
from ringfence_cli.main import main_group
from ringfence_doctor.platform import examine_postgres
from ringfence_local.clean import main as clean
from ringfence_local.embedded.postgres import Postgres
from ringfence_local.errors import StackError
from ringfence_local.stack import Stack
from ringfence_testing.wait import until

MAIL = "From: billing@voip.example\r\nTo: c@example.net\r\nSubject: Low Balance Alert\r\n\r\nHello"

LOGGED_IN = (
    "select distinct application_name, usename::text, rolsuper"
    " from pg_stat_activity join pg_roles on rolname = usename"
    " where backend_type = 'client backend' and pid <> pg_backend_pid()"
)

# A program of its own, so that it can be killed; it prints the process ids when all is started.
RUN = """
import asyncio, sys
from pathlib import Path
from ringfence_local.stack import Stack

async def main():
    async with Stack(Path(sys.argv[1]), services=(), wanted_ports={}) as stack:
        print(stack.kafka.pid, stack.postgres.pid, stack.supervisor.pid("inbox"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_stack_starts_is_found_and_stops(tmp_path: Path) -> None:
    """Its addresses are in the folder while it runs; a second start finds the first one's state."""
    folder = tmp_path / "state"
    before = set(psutil.Process().children(recursive=True))
    async with Stack(folder, services=(), wanted_ports={}) as first:
        assert stack_file(folder) == asdict(first.running)
        with pytest.raises(StackError, match=f"in use by process {os.getpid()}"):
            async with Stack(folder, services=(), wanted_ports={}):
                pass
        with pytest.raises(SystemExit, match=f"in use by process {os.getpid()}"):
            clean(folder)
        await asyncio.to_thread(_send, first.ports["inbox"])
        assert (await asyncio.to_thread(httpx.get, f"{first.pbx_url}/_sim/state")).is_success
    assert set(psutil.Process().children(recursive=True)) <= before
    assert not (folder / "stack.json").exists()
    async with Stack(folder, services=(), wanted_ports={}) as second:
        assert [mail["Subject"] for mail in second.inbox.messages()] == ["Low Balance Alert"]
        assert second.ports == first.ports
        assert second.api_token == first.api_token
    await asyncio.to_thread(_read_by_command, folder / "inbox")
    clean(folder)
    assert not folder.exists()


def stack_file(folder: Path) -> dict[str, Any]:
    """The content of the stack file, as commands read it."""
    content: dict[str, Any] = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
    return content


async def test_each_service_has_a_login_of_its_own(tmp_path: Path) -> None:
    """Only the test is superuser, and no service can write to another's tables."""
    folder = tmp_path / "state"
    async with Stack(folder, wanted_ports={}) as stack:
        owner = await asyncpg.connect(stack.dsn)
        found = {row[0]: tuple(row)[1:] for row in await owner.fetch(LOGGED_IN)}
        await owner.close()
        assert found == {f"ringfence-{s}": (login_of(s), False) for s in SERVICES}
        await rating_writes_nowhere_else(stack.dsn_of("rating"))
        by_command = stack_file(folder)["dsn"]
        assert by_command == stack.dsn_of("operator")
        assert await asyncio.to_thread(passwords_shown, stack) == []
        first = passwords(folder)
    environment = {**os.environ, "RINGFENCE_STACK": str(folder)}
    async with Stack(folder, services=("rating",), wanted_ports={}) as stack:
        assert passwords(folder) == first
        verify = [sys.executable, "-m", "ringfence_cli.main", "database", "verify", "--wait=0"]
        done = await asyncio.create_subprocess_exec(*verify, env=environment)
        assert await asyncio.wait_for(done.wait(), 240) == 0
        findings = await examine_postgres(stack.dsn_of("operator"), [])
        assert {finding.state for finding in findings} == {"ok"}
        assert not any("cannot be seen" in finding.message for finding in findings)
        findings = await examine_postgres(stack.dsn_of("rating"), ["9999.sql"], service="rating")
        hidden = {f.check: f.state for f in findings if "cannot be seen" in f.message}
        assert hidden == {"migrations": "ok", "roles": "ok"}
        assert {finding.state for finding in findings} == {"ok"}


async def rating_writes_nowhere_else(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for role in ("postgres", "ringfence_accounts"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"set role {role}")
        await connection.execute("set role ringfence_rating")
        await connection.execute("update rating.alarm set ended_at = now() where false")
        for table in ("accounts.payment", "balance_watch.funds_pair", "suspender.alarm"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"insert into {table} default values")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("alter table rating.ledger disable trigger all")
    finally:
        await connection.close()


def passwords(folder: Path) -> set[str]:
    """The passwords of all logins and of the owner; each is in a file for this user only."""
    files = [*folder.glob("secrets/*/postgres-password"), folder / "postgres/superuser-password"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    found = {path.read_text().strip() for path in files}
    assert len(found) == len(SERVICES) + 2
    return found


def passwords_shown(stack: Stack) -> list[str]:
    """The places besides secret files with a password in them: logs and process lists."""
    shown = {str(path): path.read_text() for path in (stack.folder / "logs").iterdir()}
    shown["log"] = (stack.folder / "postgres" / "postgres.log").read_text()
    for service in SERVICES:
        process = psutil.Process(stack.supervisor.pid(service))
        shown[service] = f"{process.cmdline()} {process.environ()}"
    return [name for name, text in shown.items() if any(p in text for p in passwords(stack.folder))]


async def test_data_of_a_version_without_passwords_gets_one(tmp_path: Path) -> None:
    """Logins without it are rejected, regardless of the pg_hba.conf in the data folder."""
    before = Postgres(tmp_path / "postgres")
    before.start()
    old = before.dsn()
    before.stop()
    (tmp_path / "postgres" / "superuser-password").unlink()
    hba = tmp_path / "postgres" / "data" / "pg_hba.conf"
    hba.write_text("host all all 127.0.0.1/32 trust\n")
    postgres = Postgres(tmp_path / "postgres")
    postgres.start()
    try:
        await (await asyncpg.connect(postgres.dsn())).close()
        password = urlsplit(old).password
        for wrong in ("postgres", f"postgres:{password}"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(f"postgresql://{wrong}@127.0.0.1:{postgres.port}/ringfence")
    finally:
        postgres.stop()


@pytest.fixture
def existing(monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str) -> str:
    """The session's servers, named by variables like existing servers."""
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    return database


async def test_a_killed_service_of_a_stack_is_restarted(tmp_path: Path, existing: str) -> None:
    """kill -9 of a service: the supervisor restarts it, and it answers again."""
    async with Stack(tmp_path / "state", services=("balance-watch",), wanted_ports={}) as stack:
        assert (stack.kafka, stack.postgres, stack.dsn) == (None, None, existing)
        killed = stack.supervisor.pid("balance-watch")
        os.kill(killed, signal.SIGKILL)
        await until(
            lambda: stack.supervisor.restart_count("balance-watch") == 1,
            what="a restart",
        )
        await until(lambda: stack.health("balance-watch"), timeout_s=30, what="an answer")
        assert stack.supervisor.pid("balance-watch") != killed


async def test_each_service_is_ready_while_its_database_and_its_broker_answer(
    tmp_path: Path,
) -> None:
    """A stopped database makes all services unready, with its name, but none unhealthy."""
    async with Stack(tmp_path / "state", wanted_ports={}) as stack:
        for service in SERVICES:
            await until(partial(_answers, stack, service, (200, [])))
        assert stack.postgres is not None
        postmaster = psutil.Process(stack.postgres.pid)
        frozen = [postmaster, *postmaster.children(recursive=True)]
        for process in frozen:
            process.suspend()
        try:
            away = (503, ["database: no answer within 3 s"])
            for service in SERVICES:
                await until(partial(_answers, stack, service, away))
                assert _asked(stack, service, "health") == (200, [])
        finally:
            for process in frozen:
                process.resume()


def _answers(stack: Stack, service: str, wanted: tuple[int, list[str]]) -> bool:
    return _asked(stack, service, "ready") == wanted


def _asked(stack: Stack, service: str, question: str) -> tuple[int, list[str]]:
    """A service's response at /ready or /health: the status and the named problems."""
    url = f"http://127.0.0.1:{stack.ports[f'{service}-health']}/{question}"
    answer = httpx.get(url, timeout=20, trust_env=False)
    return answer.status_code, answer.json()["problems"]


@pytest.mark.usefixtures("existing")
async def test_a_service_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    """What was started before it is stopped."""
    before = set(psutil.Process().children(recursive=True))
    stack = Stack(
        tmp_path / "state",
        services=("rating",),
        wanted_ports={},
        environment={"RINGFENCE_RATING_BATCH_RECORDS": "minus one"},
    )
    with pytest.raises(
        StackError,
        match=r"(?s)rating: waiting, last exit status 64.*RINGFENCE_RATING_BATCH_RECORDS",
    ):
        async with stack:
            pass
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent")
async def test_a_killed_stack_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    """kill -9 of the stack: its servers end by themselves, and the next start works."""
    run = [sys.executable, "-c", RUN, str(tmp_path / "state")]
    killed = await asyncio.create_subprocess_exec(*run, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    pids = [int(pid) for pid in (await killed.stdout.readline()).split()]
    assert len(pids) == 3
    killed.kill()
    await killed.wait()
    async with Stack(tmp_path / "state", services=(), wanted_ports={}) as stack:
        connection = await asyncpg.connect(stack.dsn)
        assert await connection.fetchval("select count(*) from public.ringfence_migration") > 0
        await connection.close()
        await until(lambda: not any(map(_runs, pids)), what="the end of what was left")


async def test_a_leftover_postgres_is_stopped_by_the_next_start(tmp_path: Path) -> None:
    """As on systems without a parent death signal."""
    left = Postgres(tmp_path / "postgres")
    left.start()
    # Normally init waits for an orphan; this one is our child, so the test must wait for it.
    reaper = asyncio.create_task(asyncio.to_thread(psutil.Process(left.pid).wait))
    following = Postgres(tmp_path / "postgres")
    try:
        await asyncio.to_thread(following.prepare)
        await reaper
        following.start()
        assert following.pid != left.pid
    finally:
        following.stop()
        left.stop()


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.sendmail("billing@voip.example", ["c@example.net"], MAIL)


def _read_by_command(folder: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main_group, ["inbox", *arguments, "--folder", str(folder)])
        return result.output if result.exit_code == 0 else repr(result.exception)

    listed = run("list")
    assert "c@example.net" in listed
    assert "Low Balance Alert" in listed
    assert "Delivered-To: c@example.net" in run("show", "1")
    assert "Hello" in run("show")
    assert "expected 1 to 1" in run("show", "2")
