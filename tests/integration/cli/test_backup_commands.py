"""`ringfence backup` and `ringfence restore`: a backup is tried, found damaged, and restored."""

import asyncio
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import click
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from ringfence.kafka.publisher import open_publisher
from ringfence.postgres.pool import open_pool
from ringfence_cli.backup import tools
from ringfence_cli.backup.backup import backup
from ringfence_cli.backup.owner import owner_dsn
from ringfence_cli.backup.restore import restore
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import PARTITIONS, PAYMENT_RECEIVED
from ringfence_testing.records import NOON
from tests.support.rating import open_bench, payment

UNIT = 1_000_000


class Desk:
    """Runs the commands on one database and broker."""

    def __init__(self, dsn: str, bootstrap: str, folder: Path) -> None:
        self.dsn = dsn
        self.bootstrap = bootstrap
        self.folder = folder

    async def run(self, command: click.Command, *arguments: str, status: int = 0) -> str:
        """The output in one line; it must fit 80 columns, except lines with a path."""
        result: Result = await asyncio.to_thread(
            CliRunner().invoke, command, [*arguments, "--bootstrap", self.bootstrap]
        )
        assert result.exit_code == status, (result.output, result.exception)
        if "--json" not in arguments:
            lines = [line for line in result.output.splitlines() if "/" not in line]
            assert max(map(len, lines)) <= 80, result.output
        return " ".join(result.output.split())

    async def refused(self, command: click.Command, *arguments: str) -> str:
        """Why a command is refused."""
        result = await asyncio.to_thread(
            CliRunner().invoke, command, [*arguments, "--bootstrap", self.bootstrap]
        )
        assert result.exit_code != 0
        return str(result.exception)

    async def sql(self, query: str, dsn: str | None = None) -> Any:
        connection = await asyncpg.connect(dsn or self.dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def databases(self) -> set[str]:
        server = urlsplit(self.dsn)._replace(path="/postgres").geturl()
        connection = await asyncpg.connect(server)
        try:
            return {row[0] for row in await connection.fetch("select datname from pg_database")}
        finally:
            await connection.close()


@pytest.fixture
async def desk(database: str, kafka_bootstrap: str, tmp_path: Path) -> Desk:
    """A database with two payments of 5.00, and its backup."""
    made = Desk(database, kafka_bootstrap, tmp_path / "backup")
    async with open_bench(database) as bench:
        await bench.pay(payment("one", 5 * UNIT), payment("two", 5 * UNIT))
    await made.run(backup, str(made.folder), "--dsn", database)
    return made


async def publish_payment(bootstrap: str) -> None:
    """A payment that is accepted after the backup."""
    event = Outgoing(PAYMENT_RECEIVED, "1001", b"{}", uuid4(), NOON, "accounts")
    async with open_publisher(bootstrap, source="accounts") as publisher:
        await publisher.publish([event])


async def test_a_backup_is_tried_in_a_database_that_is_removed_again(desk: Desk) -> None:
    assert {path.name for path in desk.folder.iterdir()} == {"ringfence.dump", "manifest.json"}
    assert {oct(path.stat().st_mode & 0o777) for path in desk.folder.iterdir()} == {"0o600"}
    before = await desk.databases()
    await publish_payment(desk.bootstrap)
    output = await desk.run(restore, str(desk.folder), "--check", "--dsn", desk.dsn)
    assert "CAD: 1 account, 2 entries, paid in 10.00, balance 10.00" in output
    assert "1 payment: kept on the topic; you enter them with" in output
    assert "The backup can be restored: the books in it are right." in output
    assert await desk.databases() == before


async def test_a_folder_that_holds_anything_is_refused(desk: Desk) -> None:
    assert "a new or empty folder" in await desk.refused(
        backup, str(desk.folder), "--dsn", desk.dsn
    )


async def test_a_damaged_dump_is_refused(desk: Desk) -> None:
    dump = desk.folder / "ringfence.dump"
    dump.write_bytes(dump.read_bytes()[:-10] + b"0123456789")
    refusal = await desk.refused(restore, str(desk.folder), "--check", "--dsn", desk.dsn)
    assert "its SHA-256 differs" in refusal


async def test_sums_and_books_that_differ_are_named(desk: Desk, tmp_path: Path) -> None:
    path = desk.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sums"][0]["balance_micro"] += 1
    path.write_text(json.dumps(manifest))
    output = await desk.run(restore, str(desk.folder), "--check", "--dsn", desk.dsn, status=1)
    assert "WRONG: the sums differ: the manifest has CAD" in output
    assert "The backup is damaged" in output
    await desk.sql("update rating.account set balance_micro = 7")
    broken = tmp_path / "broken"
    await desk.run(backup, str(broken), "--dsn", desk.dsn)
    output = await desk.run(restore, str(broken), "--check", "--dsn", desk.dsn, status=1)
    assert "WRONG: I1: 1 rows violate it" in output


async def test_a_restore_keeps_the_former_database_and_reads_payments_again(desk: Desk) -> None:
    await publish_payment(desk.bootstrap)
    await commit_all(desk.bootstrap)
    await desk.sql("update rating.account set balance_micro = 7")
    async with await open_pool(desk.dsn, service="rating"):
        refusal = await desk.refused(restore, str(desk.folder), "--into", desk.dsn, "--yes")
        assert "these services are connected" in refusal
        assert "rating" in refusal
    output = await desk.run(restore, str(desk.folder), "--into", desk.dsn, "--yes")
    assert "Read again: 0 calls, 1 payment." in re.sub(r"\d+ calls?", "0 calls", output)
    assert await desk.sql("select balance_micro from rating.account") == 10 * UNIT
    name = urlsplit(desk.dsn).path[1:]
    (kept,) = [found for found in await desk.databases() if found.startswith(f"{name}_before_")]
    former = urlsplit(desk.dsn)._replace(path=f"/{kept}").geturl()
    assert await desk.sql("select balance_micro from rating.account", former) == 7
    async with await open_pool(desk.dsn, service="rating") as pool:  # its rights are there too
        assert await pool.fetchval("select count(*) from rating.ledger") == 2
    server = urlsplit(desk.dsn)._replace(path="/postgres").geturl()
    await desk.sql(f'drop database "{kept}"', server)


async def commit_all(bootstrap: str) -> None:
    """Rating has read all payments."""
    partitions = [TopicPartition(PAYMENT_RECEIVED.name, n) for n in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id="rating", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


def test_a_missing_program_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(os.environ, "PATH", "")
    with pytest.raises(tools.ToolFailed, match=r"pg_dump is not here: install PostgreSQL's client"):
        tools.find_tool("pg_dump")


def test_the_stack_s_database_is_read_by_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_STACK", str(tmp_path))
    monkeypatch.delenv("RINGFENCE_POSTGRES_DSN", raising=False)
    login = "postgresql://ringfence_operator_login:x@127.0.0.1:5433/ringfence"
    (tmp_path / "stack.json").write_text(json.dumps({"dsn": login}))
    assert owner_dsn(None) == login
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "superuser-password").write_text("a/b\n")
    assert owner_dsn(None) == "postgresql://postgres:a%2Fb@127.0.0.1:5433/ringfence"
    assert owner_dsn("postgresql://other") == "postgresql://other"
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", login)
    assert owner_dsn(None) == login
