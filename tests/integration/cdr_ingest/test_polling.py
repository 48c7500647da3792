"""The service polls a FusionPBX: one login, bounded memory, no call twice or missed."""

import asyncio
import os
import sys
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ringfence_contracts.topics import SOURCE_FAILED
from ringfence_pbx.fusionpbx.exports.signing import export_settings
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.access.logins import ReleaseLine
from ringfence_simulators.fusionpbx.things import User
from ringfence_testing.wait import until
from tests.support.cdr_ingest import Ear, ear, ingest, rows, servers_toml
from tests.support.fusionpbx import (
    MCON,
    RUCKEN,
    SUPER_KEY,
    outbound,
    simulated,
    simulator_process,
)
from tests.support.fusionpbx_database import calls_database

EXPORT = "/app/xml_cdr"
MANY = 10**6
SECRET = "s" * 40
KEY_OF_BOTH = "key-of-both-tenants-0123456789-0123456789"


@pytest.fixture
def server_id() -> str:
    return f"polled-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("line", ["5.5", "5.6"])
async def test_two_feeds_log_in_once_each_for_many_polls(
    line: ReleaseLine,
    server_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_BOTH", KEY_OF_BOTH)
    async with simulated(monkeypatch, line=line, clock=time.time) as pbx:
        for tenant in (MCON, RUCKEN):
            pbx.pbx.add_user(User("both", tenant, KEY_OF_BOTH))
        counted = Fault("slow", EXPORT, "0", MANY)
        pbx.faults.planned = [counted]
        file = servers_toml(
            tmp_path,
            **{
                server_id: {
                    "kind": "fusionpbx",
                    "url": pbx.url,
                    "api_key": {"env": "TEST_FUSIONPBX_BOTH"},
                    "tenants": [MCON, RUCKEN],
                    "poll_s": 0.05,
                }
            },
        )
        async with ear(kafka_bootstrap) as heard, ingest(kafka_bootstrap, database, file):
            wanted = {
                pbx.pbx.place(outbound(domain_name=tenant)).columns["xml_cdr_uuid"]
                for tenant in (MCON, RUCKEN)
            }
            await until(lambda: MANY - counted.times > 120, timeout_s=30, what="50 polls each")
            assert set(await heard.call_ids(server_id)) == wanted
            assert (pbx.logins.succeeded, pbx.logins.failed) == (2, 0)
            pbx.logins.sessions.clear()
            seen = MANY - counted.times
            await until(lambda: MANY - counted.times > seen + 20, timeout_s=30)
            assert (pbx.logins.succeeded, pbx.logins.failed) == (4, 0), (
                "and again when the session is lost"
            )
        (found,) = await rows(database, "select count(*) as n from cdr_ingest.record")
        assert found["n"] == 2


async def test_a_new_call_is_published_within_one_polling_interval(
    server_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    """Within seconds, not with the next sweep."""
    async with simulated(monkeypatch, clock=time.time) as pbx:
        file = servers_toml(tmp_path, **{server_id: superadmins(pbx.url, poll_s=1.0)})
        async with ear(kafka_bootstrap) as heard, ingest(kafka_bootstrap, database, file):
            first = pbx.pbx.place(outbound()).columns["xml_cdr_uuid"]
            await until(lambda: has(heard, server_id, first))
            call = pbx.pbx.place(outbound()).columns["xml_cdr_uuid"]
            await until(lambda: has(heard, server_id, call), timeout_s=5)


async def has(heard: Ear, server_id: str, call: str) -> bool:
    return call in await heard.call_ids(server_id)


def superadmins(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "fusionpbx",
        "url": url,
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
        "timeout_s": 30,
        **changed,
    }


async def test_a_failure_of_our_database_is_no_outage_of_the_source(
    server_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    async with simulated(monkeypatch, clock=time.time) as pbx:
        file = servers_toml(tmp_path, **{server_id: superadmins(pbx.url, poll_s=0.05)})
        async with ear(kafka_bootstrap) as heard, ingest(kafka_bootstrap, database, file):
            first = pbx.pbx.place(outbound()).columns["xml_cdr_uuid"]
            await until(lambda: has(heard, server_id, first))
            for _ in range(10):
                await rows(
                    database,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()",
                )
                call = pbx.pbx.place(outbound()).columns["xml_cdr_uuid"]
                await until(partial(has, heard, server_id, call), what="the next call")
            assert await heard.events(SOURCE_FAILED, server_id) == []


async def test_a_pbx_is_polled_through_its_database(
    server_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    postgres_server: str,
) -> None:
    """`way = "database"`, from the servers file to the topic."""
    async with calls_database(postgres_server) as calls:
        monkeypatch.setenv("TEST_DSN", calls.dsn)
        monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
        entry = superadmins("http://127.0.0.1:1", way="database", dsn={"env": "TEST_DSN"})
        file = servers_toml(tmp_path, **{server_id: {**entry, "poll_s": 0.05}})
        async with ear(kafka_bootstrap) as heard, ingest(kafka_bootstrap, database, file):
            now = int(time.time())
            for number in range(3):
                await calls.owner.execute(
                    "insert into v_xml_cdr (xml_cdr_uuid, domain_name, direction, start_epoch,"
                    " end_stamp, billsec, destination_number, caller_destination, leg, insert_date)"
                    " values (gen_random_uuid(), $1, 'outbound', $2, now(), 60, '1416', '1416',"
                    " 'a', now())",
                    MCON,
                    now - number * 7200,
                )
            await until(lambda: heard_number(heard, server_id, 3))


async def heard_number(heard: Ear, server_id: str, number: int) -> bool:
    return len(await heard.call_ids(server_id)) == number


@pytest.mark.timeout(1800)
async def test_forty_thousand_calls_are_ingested_in_bounded_memory(
    server_id: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
) -> None:
    """All are in one window before the service starts as a process; its memory is measured.

    Their rows are signed, as such a PBX's should be: each unsigned one would need a request.
    """
    count = 40_000
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.setenv("TEST_EXPORT_SECRET", SECRET)
    signed = [{**s._asdict(), "enabled": "true"} for s in export_settings(SECRET)]
    async with simulator_process(tmp_path) as url, httpx.AsyncClient(timeout=120) as client:
        seed = {"default_settings": signed}
        (await client.post(f"{url}/_sim/seed", json=seed)).raise_for_status()
        ended = int(time.time()) - 1000
        for _ in range(10):
            calls = [outbound(ends_at=ended - n % 1000) for n in range(count // 10)]
            (await client.post(f"{url}/_sim/calls", json=calls)).raise_for_status()
        entry = superadmins(url, timeout_s=60, export_secret={"env": "TEST_EXPORT_SECRET"})
        file = servers_toml(tmp_path, **{server_id: entry})
        environment = {
            **os.environ,
            "RINGFENCE_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "RINGFENCE_POSTGRES_DSN": database,
            "RINGFENCE_SERVERS_FILE": str(file),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cdr_ingest", env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        peak = [0]
        try:
            await until(
                lambda: all_in(database, count, psutil.Process(process.pid), peak),
                timeout_s=240,
                every_s=0.1,
            )
        finally:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 120) == 0
            process._transport.close()  # type: ignore[attr-defined]
    assert peak[0] < 180 * 2**20, f"{peak[0] / 2**20:.0f} MiB"


async def all_in(dsn: str, count: int, process: psutil.Process, peak: list[int]) -> bool:
    peak[0] = max(peak[0], process.memory_info().rss)
    found = await rows(dsn, "select count(*) as n from cdr_ingest.record")
    return bool(found[0]["n"] == count)
