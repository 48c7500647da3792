"""A service that starts before its dependencies waits for them, and says for what."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ringfence.kafka import clients
from ringfence.kafka.admin import create_topics
from ringfence.kafka.publisher import Publisher
from ringfence_local.embedded.kafka import Kafka
from ringfence_local.embedded.ports import free_port
from ringfence_testing.wait import until
from tests.support.starting_broker import starting_broker

SERVICE = "balance-watch"


@asynccontextmanager
async def started(
    tmp_path: Path, *, dsn: str, brokers: str, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, Path]]:
    """The process of a service, the URL of its health endpoint, and its log."""
    port, log = free_port(), tmp_path / "service.log"
    environment = {
        **os.environ,
        "RINGFENCE_POSTGRES_DSN": dsn,
        "RINGFENCE_KAFKA_BOOTSTRAP": brokers,
        "RINGFENCE_HEALTH_PORT": str(port),
        **{f"RINGFENCE_{name.upper()}": value for name, value in settings.items()},
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "balance_watch", stdout=output, stderr=output, env=environment
        )
    try:
        yield process, f"http://127.0.0.1:{port}", log
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready_text(url: str) -> str:
    """The body of /ready; empty while nothing listens."""
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{url}/ready")).text
    except httpx.TransportError:
        return ""


async def test_a_service_waits_for_a_broker_that_starts_later(
    tmp_path: Path, database: str
) -> None:
    kafka = Kafka(tmp_path / "kafka", wanted_port=free_port())
    await asyncio.to_thread(kafka.prepare)
    port = kafka._wanted_port
    async with started(tmp_path, dsn=database, brokers=f"127.0.0.1:{port}") as (process, url, log):
        waiting = f"waiting for Kafka at 127.0.0.1:{port}"
        await until(lambda: _says(url, waiting), timeout_s=60)
        assert "waiting for a dependency" in log.read_text()
        try:
            await asyncio.to_thread(kafka.start)
        except BaseException:
            kafka.stop()
            raise
        try:
            await create_topics(kafka.bootstrap)
            await until(lambda: _says(url, '"ready"'), timeout_s=60)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 120) == 0
        finally:
            kafka.stop()


async def _says(url: str, text: str) -> bool:
    return text in await ready_text(url)


async def test_a_wait_ends_at_once_by_a_stop_signal(tmp_path: Path) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/ringfence"
    async with started(tmp_path, dsn=dsn, brokers="127.0.0.1:1") as (process, url, _):
        await until(lambda: _says(url, "waiting for PostgreSQL at 127.0.0.1:"), timeout_s=60)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0


@pytest.mark.parametrize("secret", ["s3cr3t-word"])
async def test_a_wait_ends_after_its_time_with_what_was_missing(
    tmp_path: Path, secret: str
) -> None:
    port = free_port()
    dsn = f"postgresql://nobody:{secret}@127.0.0.1:{port}/ringfence"
    async with started(tmp_path, dsn=dsn, brokers="127.0.0.1:1", start_wait_s="1") as started_:
        process, _, log = started_
        assert await asyncio.wait_for(process.wait(), 240) == 75
    text = log.read_text()
    assert f"gave up waiting for PostgreSQL at 127.0.0.1:{port}" in text
    assert secret not in text


async def test_a_service_waits_for_a_broker_that_answers_before_it_lists_itself(
    tmp_path: Path, database: str
) -> None:
    """A client that had started with such an answer never found the broker afterwards."""
    async with (
        starting_broker() as brokers,
        started(tmp_path, dsn=database, brokers=brokers) as (process, url, _),
    ):

        async def waits() -> bool:
            return "it lists no broker yet" in await ready_text(url)

        await until(waits, timeout_s=60)
        assert process.returncode is None


@pytest.mark.timeout(60)
async def test_a_client_that_does_not_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends then, and is restarted."""
    monkeypatch.setattr(clients, "START_S", 0.5)
    async with starting_broker() as brokers:
        publisher = Publisher(brokers, source="test")
        with pytest.raises(TimeoutError):
            await publisher.start()
        await publisher.stop()
