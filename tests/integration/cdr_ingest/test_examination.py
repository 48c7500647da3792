"""The job `doctor.examine`: bounded, one at a time, and never the end of the service."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cdr_ingest.examination import handler as examination
from cdr_ingest.examination.handler import ExaminationHandler, ExaminationRefused
from cdr_ingest.examination.store import ExaminationLock
from cdr_ingest.settings import Settings
from ringfence.postgres.job_loop import ReportProgress
from ringfence.postgres.jobs import Job
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import BadInput
from ringfence_pbx.servers import AnyServer, load_servers
from ringfence_testing.wait import until
from tests.support.cdr_ingest import servers_toml

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PBX = {"kind": "fusionpbx", "url": "http://127.0.0.1:1", "api_key": {"env": "TEST_KEY"}}
Work = Callable[[str | None, ReportProgress], Awaitable[list[dict[str, str]]]]


@dataclass
class Point:
    """An entry point that gives an examination of the test."""

    work: Work

    def load(self) -> Any:
        async def examine(
            servers: Mapping[str, AnyServer],
            settings: Settings,
            only: str | None,
            report: ReportProgress,
        ) -> list[dict[str, str]]:
            return await self.work(only, report)

        return examine


@dataclass
class Shown:
    """What a job reported of its progress."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self.texts.append(text)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="cdr-ingest")
    yield pool
    await pool.close()


@pytest.fixture
def servers_file(tmp_path: Path) -> Path:
    return servers_toml(tmp_path, pbx1=PBX, pbx2=PBX)


def handler_of(servers_file: Path, pool: Pool) -> ExaminationHandler:
    running = load_servers(servers_file).servers
    return ExaminationHandler(Settings(servers_file=servers_file), running, ExaminationLock(pool))


def job(**arguments: str) -> Job:
    return Job(uuid4(), "doctor.examine", arguments, "jane", NOW, NOW, 1)


def install(monkeypatch: pytest.MonkeyPatch, *works: Work) -> None:
    points = [Point(work) for work in works]
    monkeypatch.setattr(examination, "entry_points", lambda group: points)


def finding(subject: str) -> dict[str, str]:
    return {"subject": subject, "check": "c", "state": "ok", "said": "s", "do": ""}


def test_the_examination_is_not_imported_until_it_is_requested() -> None:
    code = "import sys, cdr_ingest.__main__; print([m for m in sys.modules if 'doctor' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_without_the_package_it_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool
) -> None:
    install(monkeypatch)
    with pytest.raises(ExaminationRefused, match="ringfence-doctor is not installed where"):
        await handler_of(servers_file, pool).handle(job(), Shown())


async def test_the_server_is_passed_on_and_the_results_are_kept(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool
) -> None:
    async def work(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        report("examining", 1, 2)
        return [finding(str(only))]

    install(monkeypatch, work)
    shown = Shown()
    found = await handler_of(servers_file, pool).handle(job(server="pbx1"), shown)
    assert found == {"findings": [finding("pbx1")]}
    assert shown.texts == ["examining"]


async def test_an_examination_without_end_is_ended_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool
) -> None:
    async def endless(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        await asyncio.Event().wait()
        raise AssertionError

    async def quick(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        return []

    monkeypatch.setattr(examination, "EXAMINATION_S", 0.2)
    install(monkeypatch, endless)
    handler = handler_of(servers_file, pool)
    with pytest.raises(ExaminationRefused, match=r"did not end within 0\.2 s"):
        await handler.handle(job(), Shown())
    install(monkeypatch, quick)
    assert await handler.handle(job(), Shown()) == {"findings": []}


async def test_a_defect_is_refused_without_its_words_and_does_not_end_the_service(
    monkeypatch: pytest.MonkeyPatch,
    servers_file: Path,
    pool: Pool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def defect(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        raise RecursionError("the-secret-of-the-pbx")

    install(monkeypatch, defect)
    with pytest.raises(ExaminationRefused, match="a defect of ringfence") as refused:
        await handler_of(servers_file, pool).handle(job(), Shown())
    output = capsys.readouterr()
    assert "RecursionError" in output.out + output.err
    assert "the-secret-of-the-pbx" not in output.out + output.err + str(refused.value)


async def test_one_examination_is_made_at_a_time_by_all_replicas(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool, database: str
) -> None:
    begun: list[str | None] = []
    go_on = asyncio.Event()

    async def work(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        begun.append(only)
        await go_on.wait()
        return []

    monkeypatch.setattr(examination, "_LOOK_EVERY_S", 0.02)
    install(monkeypatch, work)
    other = await open_pool(database, service="cdr-ingest")
    try:
        first = asyncio.create_task(
            handler_of(servers_file, pool).handle(job(server="pbx1"), Shown())
        )
        await until(lambda: begun == ["pbx1"])
        shown = Shown()
        second = asyncio.create_task(
            handler_of(servers_file, other).handle(job(server="pbx2"), shown)
        )
        await until(lambda: shown.texts)
        assert shown.texts[0] == "waiting for another examination to end"
        assert begun == ["pbx1"]
        go_on.set()
        await asyncio.wait_for(asyncio.gather(first, second), 120)
        assert begun == ["pbx1", "pbx2"]
    finally:
        await other.close()


async def test_an_entry_that_changed_since_the_start_is_reported(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool, tmp_path: Path
) -> None:
    async def work(only: str | None, report: ReportProgress) -> list[dict[str, str]]:
        return []

    install(monkeypatch, work)
    handler = handler_of(servers_file, pool)
    servers_toml(tmp_path, pbx1={**PBX, "url": "http://127.0.0.1:2"}, pbx2=PBX, pbx3=PBX)
    found = await handler.handle(job(), Shown())
    assert [(f["subject"], f["state"]) for f in found["findings"]] == [
        ("pbx1", "warn"),
        ("pbx3", "warn"),
    ]
    found = await handler.handle(job(server="pbx2"), Shown())
    assert found == {"findings": []}


async def test_a_servers_file_that_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, servers_file: Path, pool: Pool
) -> None:
    handler = handler_of(servers_file, pool)
    await asyncio.to_thread(servers_file.unlink)
    with pytest.raises(BadInput, match="servers"):
        await handler.handle(job(), Shown())
