"""`ringfence doctor` reports problems with what to do, and changes nothing."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import click
import httpx
import pytest

from ringfence_cli.main import main_group
from ringfence_cli.servers.doctor import doctor
from ringfence_local.embedded.ports import free_port
from ringfence_local.mail.inbox import Inbox
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.things import Route
from tests.support.doctor import Run, doctor_command
from tests.support.fusionpbx import ADMIN_KEY, MCON, RUCKEN, SUPER_KEY, outbound, simulated
from tests.support.fusionpbx_database import calls_database


@pytest.fixture(params=["5.5", "5.6"])
async def pbx(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line=request.param, clock=time.time) as simulator:
        yield simulator


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    inbox: Inbox,
) -> Inbox:
    """Kafka, PostgreSQL and a mail server, named by the services' settings."""
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SMTP_HOST", inbox.host)
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SMTP_PORT", str(inbox.port))
    return inbox


def entry(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "fusionpbx",
        "url": url,
        "host": MCON,
        "api_key": {"env": "TEST_FUSIONPBX_SUPER"},
        "all_tenants": True,
        "timeout_s": 2,
        **changed,
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return doctor_command(monkeypatch, tmp_path)


async def looked_over(
    run: Run, simulator: FusionPbxSimulator, **changed: Any
) -> dict[str, dict[str, Any]]:
    """The results of one FusionPBX, by check."""
    result = await run("--json", "--server", "pbx1", pbx1=entry(simulator.url, **changed))
    found = {finding["check"]: finding for finding in json.loads(result.stdout)}
    failed = any(finding["state"] == "fail" for finding in found.values())
    assert result.exit_code == int(failed), result.output
    return found


async def state_of(simulator: FusionPbxSimulator) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        state = (await client.get(f"{simulator.url}/_sim/state")).json()
    for counted in ("logins", "requests", "busiest"):
        del state[counted]
    found: dict[str, Any] = state
    return found


async def test_all_checks_of_a_working_installation_are_ok(
    pbx: FusionPbxSimulator, run: Run, platform: Inbox
) -> None:
    pbx.pbx.place(outbound(billsec=30))
    pbx.pbx.add_route(Route("Long distance", toll_allow="international"))
    result = await run(pbx1=entry(pbx.url))
    assert result.exit_code == 0, result.output
    assert "1 warn, 0 fail" in result.output
    assert "is a superuser" in result.output
    for said in (
        "answers with 200",
        "as from 5.6 on" if pbx.logins.line == "5.6" else "as up to 5.5",
        "the api key logs in",
        "s ago",
        "3 listed",
        "2 gateways run",
        "exist",
        "applied",
        "one for each service",
        f"{platform.host}:{platform.port} greets",
    ):
        assert said in result.output
    assert "log in by password once" in result.output


async def test_nothing_is_changed_anywhere(
    pbx: FusionPbxSimulator, run: Run, platform: Inbox, database: str
) -> None:
    """No change on the PBX or in the database, and no mail; only a login in the PBX's log."""
    pbx.pbx.place(outbound())
    before, stored = await state_of(pbx), await everything(database)
    await run(pbx1=entry(pbx.url))
    assert await state_of(pbx) == before
    assert await everything(database) == stored
    assert platform.messages() == []
    assert (pbx.logins.succeeded, pbx.logins.failed) == (1, 0)


async def everything(dsn: str) -> set[tuple[object, ...]]:
    """The number of rows inserted, updated or deleted in each table."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_stat_force_next_flush()")
        found = await connection.fetch(
            "select relid::text, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables"
        )
        return {tuple(row) for row in found}
    finally:
        await connection.close()


async def test_a_wrong_key_is_reported_and_no_secret_is_shown(
    pbx: FusionPbxSimulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_WRONG", "wrong-key-of-mine" * 3)
    found = await looked_over(run, pbx, api_key={"env": "TEST_WRONG"})
    assert found["credentials"]["state"] == "fail"
    assert "refuses the api key: check the key" in found["credentials"]["said"]
    assert "newest call" not in found
    for key in ("wrong-key-of-mine", SUPER_KEY, ADMIN_KEY):
        assert key not in json.dumps(found)


async def test_an_admin_can_read_and_missing_rights_are_reported(
    pbx: FusionPbxSimulator, run: Run
) -> None:
    pbx.pbx.place(outbound())
    found = await looked_over(
        run, pbx, all_tenants=False, tenants=[MCON], api_key={"env": "TEST_FUSIONPBX_ADMIN"}
    )
    assert found["credentials"]["state"] == found["newest call"]["state"] == "ok"
    assert found["extensions"]["state"] == "ok"
    for check in ("gateways", "tenants", "switch page"):
        assert found[check]["state"] == "warn"
        assert found[check]["do"]


async def test_a_key_without_the_right_to_all_tenants_is_reported(
    pbx: FusionPbxSimulator, run: Run
) -> None:
    pbx.pbx.place(outbound())
    found = await looked_over(run, pbx, api_key={"env": "TEST_FUSIONPBX_ADMIN"})
    assert "must be a superadmin" in found["newest call"]["said"]
    assert found["newest call"]["state"] == "fail"


async def test_a_tenant_with_a_wrong_name_is_reported_by_name(
    pbx: FusionPbxSimulator, run: Run
) -> None:
    found = await looked_over(run, pbx, all_tenants=False, tenants=[RUCKEN])
    assert found["credentials"]["subject"] == f"pbx1 as {RUCKEN}"
    assert found["credentials"]["state"] == "fail"


async def test_a_server_that_is_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    result = await run("--server", "pbx1", pbx1=entry(f"http://127.0.0.1:{free_port()}"))
    assert result.exit_code == 1
    assert "ConnectError" in result.output
    assert "see that it runs" in result.output
    assert "0 ok, 0 warn, 1 fail" in result.output


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault("status", "/", "500"), "reachable", "answers with 500"),
        (Fault("slow", "/", "30"), "reachable", "no answer within 0.5 s"),
        (Fault("drop", "/"), "reachable", "disconnected"),
        (Fault("redirect", "/login.php", "https://x/login.php"), "reachable", "redirects to https"),
        (Fault("status", "/", "429 77"), "reachable", "not before '77'"),
        (Fault("status", "/", "403"), "reachable", "answers with 403"),
        (Fault("cut", "/login.php"), "reachable", "ProtocolError"),
        (Fault("cut", "/app/xml_cdr"), "newest call", "ProtocolError"),
        (Fault("cut-quiet", "/app/xml_cdr"), "newest call", "broke off"),
        (Fault("html", "/app/xml_cdr", "<h1>Maintenance</h1>"), "newest call", "Maintenance"),
        (Fault("html", "/app/xml_cdr", "access denied"), "newest call", "no right to export"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_each_problem_is_reported_by_its_check(
    pbx: FusionPbxSimulator, run: Run, fault: Fault, check: str, said: str
) -> None:
    fault.times = 10**6
    pbx.faults.planned = [fault]
    pbx.pbx.place(outbound())
    found = await looked_over(run, pbx, timeout_s=0.5)
    failed = {name: f for name, f in found.items() if f["state"] == "fail"}
    assert check in failed or "credentials" in failed
    assert said in " ".join(f["said"] for f in failed.values())
    assert all(f["do"] for f in failed.values())


async def test_a_pbx_without_calls_is_a_warning(pbx: FusionPbxSimulator, run: Run) -> None:
    found = await looked_over(run, pbx)
    assert found["newest call"]["state"] == "warn"
    assert "make a test call" in found["newest call"]["do"]


async def test_a_missing_secret_is_named_by_its_path(run: Run) -> None:
    result = await run(
        "--server", "pbx1", pbx1=entry("http://127.0.0.1:1", api_key={"env": "NONE_"})
    )
    assert result.exit_code == 1
    assert "secret" in result.output
    assert "environment variable NONE_" in result.output


async def test_an_unknown_server_is_rejected_with_the_known_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    result = await run("--server", "pbx9", pbx1=entry("http://127.0.0.1:1"))
    assert "expected one of pbx1" in str(result.exception)


async def test_each_unavailable_part_of_the_platform_is_reported(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    dsn = f"postgresql://me:pa55word@127.0.0.1:{free_port()}/x"
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", dsn)
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SMTP_PORT", str(free_port()))
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    result = await run("--json", pbx1=entry(f"http://127.0.0.1:{free_port()}"))
    failed = {f["subject"] for f in json.loads(result.stdout) if f["state"] == "fail"}
    assert failed == {"pbx1 as " + MCON, "Kafka", "PostgreSQL", "SMTP"}
    assert "pa55word" not in result.output


async def test_a_database_without_migrations_is_reported(
    run: Run, monkeypatch: pytest.MonkeyPatch, postgres_server: str, platform: Inbox
) -> None:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", postgres_server)
    result = await run(pbx1=entry(f"http://127.0.0.1:{free_port()}"))
    assert "not applied: 0001_roles.sql" in result.output


async def test_the_database_of_a_pbx_is_checked_if_calls_are_read_from_it(
    pbx: FusionPbxSimulator, run: Run, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with calls_database(postgres_server) as calls:
        monkeypatch.setenv("TEST_DSN", calls.dsn)
        found = await looked_over(run, pbx, way="database", dsn={"env": "TEST_DSN"})
        assert found["rights"]["said"] == "the role can only read"
        assert found["index"]["state"] == "warn"
        await calls.owner.execute("create index on v_xml_cdr (insert_date)")
        await calls.owner.execute(f"grant update on v_xml_cdr to {calls.role}")
        found = await looked_over(run, pbx, way="database", dsn={"env": "TEST_DSN"})
        assert "index" not in found
        assert "may change call records" in found["rights"]["said"]


def test_the_command_is_one_of_ringfences() -> None:
    assert main_group.get_command(click.Context(main_group), "doctor") is doctor
