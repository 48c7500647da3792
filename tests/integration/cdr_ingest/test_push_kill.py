"""The receiver's process is killed under load: every post answered with 200 is safe."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from ringfence.observe.health import Health
from ringfence_simulators.freeswitch.document import json_document
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings
from ringfence_testing.wait import until
from tests.support.push import CRED, PASSWORD, Receiving, http, outbound, post

SERVERS = """
[servers.{server_id}]
kind = "fusionpbx"
url = "http://127.0.0.1:1"
api_key = {{ env = "TEST_PUSH_KEY" }}
tenants = ["north.example"]
poll_s = 3600
[servers.{server_id}.push]
user = "switch"
password = {{ env = "TEST_PUSH_PASSWORD" }}
"""


@pytest.fixture
def environment(
    kafka_bootstrap: str, database: str, free_port: int, tmp_path: Path
) -> tuple[Receiving, dict[str, str]]:
    server_id = f"kill-{os.urandom(4).hex()}"
    servers = tmp_path / "servers.toml"
    servers.write_text(SERVERS.format(server_id=server_id))
    found = Receiving(f"http://127.0.0.1:{free_port}", server_id, kafka_bootstrap, Health())
    return found, {
        **os.environ,
        "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "RINGFENCE_POSTGRES_DSN": database,
        "RINGFENCE_SERVERS_FILE": str(servers),
        "RINGFENCE_CDR_INGEST_PUSH_PORT": str(free_port),
        "TEST_PUSH_KEY": "k" * 40,
        "TEST_PUSH_PASSWORD": PASSWORD,
    }


@asynccontextmanager
async def service(env: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as a process, yielded once it answers."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cdr_ingest", env=env, stderr=out
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def answers(receiver: Receiving) -> bool:
    """Whether the receiver answers a request without credentials."""
    async with http(cred=False) as session:
        try:
            return (await post(session, receiver.at("json"), b"{}"))[0] == 401
        except OSError:
            return False


def has_more(answered: list[str], count: int) -> bool:
    return len(answered) > count


async def report_until(done: asyncio.Event, module: CdrModule, answered: list[str]) -> None:
    """Calls that end one after the other; those answered with 200 are recorded."""
    while not done.is_set():
        found = outbound()
        if await module.report(found):
            answered.append(found.uuid)


async def test_every_post_answered_before_a_kill_is_on_the_topic(
    environment: tuple[Receiving, dict[str, str]], tmp_path: Path
) -> None:
    receiver, env = environment
    answered: list[str] = []
    done = asyncio.Event()
    settings = ModuleSettings(form="json", urls=(receiver.at("json"),), cred=CRED)
    async with CdrModule(settings, keep_alive=True) as module:
        for _ in range(3):
            done.clear()
            before = len(answered)
            async with service(env, tmp_path / "log") as process:
                await until(lambda: answers(receiver), timeout_s=60)
                load = [
                    asyncio.create_task(report_until(done, module, answered)) for _ in range(40)
                ]
                await until(partial(has_more, answered, before + 300), timeout_s=60)
                process.kill()
                await process.wait()
                done.set()
                await asyncio.gather(*load)
    published = [call.source_call_id for call in await receiver.published()]
    assert len(answered) > 900
    assert set(answered) <= set(published)


async def test_on_sigterm_it_answers_posts_in_progress_and_exits_with_0(
    environment: tuple[Receiving, dict[str, str]], tmp_path: Path
) -> None:
    receiver, env = environment
    answered: list[str] = []
    done = asyncio.Event()
    settings = ModuleSettings(form="xml", urls=(receiver.at("xml"),), cred=CRED)
    async with (
        CdrModule(settings, keep_alive=True) as module,
        service(env, tmp_path / "log") as process,
    ):
        await until(lambda: answers(receiver), timeout_s=60)
        load = [asyncio.create_task(report_until(done, module, answered)) for _ in range(20)]
        await until(partial(has_more, answered, 100), timeout_s=60)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 240) == 0
        done.set()
        await asyncio.gather(*load)
    published = {call.source_call_id for call in await receiver.published()}
    assert set(answered) <= published
    assert PASSWORD not in (tmp_path / "log").read_text()


async def test_a_record_sent_again_after_a_restart_is_published_once(
    environment: tuple[Receiving, dict[str, str]], tmp_path: Path
) -> None:
    """The module repeats posts without an answer; the receiver recognises the record."""
    receiver, env = environment
    found = outbound()
    async with http() as session:
        for _ in range(2):
            async with service(env, tmp_path / "log"):
                await until(lambda: answers(receiver), timeout_s=60)
                body = json_document(found)
                for _ in range(2):
                    status, _, _ = await post(session, receiver.at("json"), body)
                    assert status == 200
    assert [call.source_call_id for call in await receiver.published()] == [found.uuid]
