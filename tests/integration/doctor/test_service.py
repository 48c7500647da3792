"""The examination as cdr-ingest makes it: by its own login, on the running service."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from ringfence.kafka.publisher import open_publisher
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import OPERATOR_REQUESTED
from ringfence_local.embedded.ports import free_port
from ringfence_local.mail.inbox import Inbox
from ringfence_simulators.faults import Fault
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_testing.wait import until
from tests.support.cdr_ingest import ingest, rows, servers_toml
from tests.support.fusionpbx import MCON, SUPER_KEY, outbound, simulated


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FusionPbxSimulator]:
    async with simulated(monkeypatch, line="5.5", clock=time.time) as simulator:
        yield simulator


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


class Service:
    """The running service, and its jobs."""

    def __init__(self, bootstrap: str, dsn: str) -> None:
        self._bootstrap = bootstrap
        self._dsn = dsn

    async def examine(self, **arguments: str) -> asyncpg.Record:
        """Publish a request; the job once it has ended."""
        request = OperatorRequested(
            request_id=uuid4(),
            service="cdr-ingest",
            command="doctor.examine",
            arguments=arguments,
            requested_by="jane",
            requested_at=datetime.now(UTC),
        )
        async with open_publisher(self._bootstrap, source="accounts") as publisher:
            await publisher.publish([_outgoing(request)])
        return await self.ended(request.request_id)

    async def ended(self, request_id: UUID) -> asyncpg.Record:
        """The job once it has ended."""
        query = "select * from cdr_ingest.job where request_id = $1 and finished_at is not null"
        (job,) = await until(lambda: rows(self._dsn, query, request_id), timeout_s=60)
        return job


def _outgoing(request: OperatorRequested) -> Outgoing:
    return Outgoing(
        topic=OPERATOR_REQUESTED,
        key=request.service,
        value=request.to_json(),
        event_id=derive(OPERATOR_REQUESTED.name, request.request_id),
        time=request.requested_at,
        source="accounts",
        subject=request.command,
        correlation_id=str(request.request_id),
    )


@pytest.fixture
async def service(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kafka_bootstrap: str,
    database: str,
    pbx: FusionPbxSimulator,
) -> AsyncIterator[Service]:
    monkeypatch.setenv("TEST_FUSIONPBX_SUPER", SUPER_KEY)
    monkeypatch.delenv("RINGFENCE_NOTIFIER_SMTP_HOST", raising=False)
    path = servers_toml(
        tmp_path, pbx1=entry(pbx.url), pbx2=entry(f"http://127.0.0.1:{free_port()}")
    )
    async with ingest(kafka_bootstrap, database, path):
        yield Service(kafka_bootstrap, database)


def findings_of(job: asyncpg.Record) -> list[dict[str, str]]:
    assert job["state"] == "done", job["message"]
    found: list[dict[str, str]] = json.loads(job["result"])["findings"]
    return found


async def test_servers_and_platform_are_examined_and_the_results_are_stored(
    service: Service, pbx: FusionPbxSimulator
) -> None:
    pbx.pbx.place(outbound(billsec=30))
    found = findings_of(await service.examine())
    by_check = {(f["subject"], f["check"]): f for f in found}
    assert by_check[(f"pbx1 as {MCON}", "credentials")]["state"] == "ok"
    assert by_check[(f"pbx1 as {MCON}", "newest call")]["state"] == "ok"
    assert by_check[(f"pbx2 as {MCON}", "reachable")]["state"] == "fail"
    assert "exist" in by_check[("Kafka", "topics")]["said"]
    assert by_check[("PostgreSQL", "migrations")]["state"] == "ok"
    assert by_check[("SMTP", "alarms")]["said"].startswith("the notifier has none that is open")
    assert all(set(f) == {"subject", "check", "state", "said", "do"} for f in found)
    assert all(f["do"] for f in found if f["state"] != "ok")


async def test_one_server_is_examined_without_the_platform(service: Service) -> None:
    found = findings_of(await service.examine(server="pbx1"))
    assert {f["subject"].split()[0] for f in found} == {"pbx1"}


async def test_an_unknown_server_is_refused_with_those_that_exist(service: Service) -> None:
    job = await service.examine(server="pbx9")
    assert job["state"] == "refused"
    assert "expected one of pbx1, pbx2" in job["message"]


async def test_an_open_alarm_about_the_mail_server_is_a_failure(
    service: Service, database: str
) -> None:
    await rows(
        database,
        "insert into notifier.alarm (alarm_id, key, subject, severity, message, what_to_do,"
        " raised_at) values (gen_random_uuid(), 'smtp-unreachable', 'mail:25', 'critical',"
        " 'No mail goes out', 'See whether it runs.', now() - interval '7 minutes')",
    )
    (mail,) = [f for f in findings_of(await service.examine()) if f["subject"] == "SMTP"]
    assert (mail["state"], mail["do"]) == ("fail", "See whether it runs.")
    assert mail["said"] == "No mail goes out (since 7 min ago)"


async def test_a_mail_server_that_the_environment_names_is_contacted(
    service: Service, monkeypatch: pytest.MonkeyPatch, inbox: Inbox
) -> None:
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SMTP_HOST", inbox.host)
    monkeypatch.setenv("RINGFENCE_NOTIFIER_SMTP_PORT", str(inbox.port))
    (mail,) = [f for f in findings_of(await service.examine()) if f["subject"] == "SMTP"]
    assert (mail["check"], mail["state"]) == ("reachable", "ok")


async def test_no_secret_is_stored_even_if_the_server_sends_it_back(
    service: Service, pbx: FusionPbxSimulator, database: str
) -> None:
    """Nor characters that no database stores, such as NUL: they would repeat the job for ever."""
    echo = f"<h1>Your key {SUPER_KEY} \x00 \x1b[2J is known</h1>"
    pbx.faults.planned = [Fault("html", "/app/xml_cdr", echo, times=10**6)]
    found = findings_of(await service.examine(server="pbx1"))
    assert any(f["state"] == "fail" for f in found)
    (job,) = await rows(database, "select j::text as text from cdr_ingest.job j")
    assert SUPER_KEY not in job["text"]
    assert "\x1b" not in "".join(f["said"] for f in found)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("raw", "/", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x00\xff\xfe\x1b"),
        Fault("header", "/", "Set-Cookie: \xff=\xfe"),
        Fault("drop", "/"),
        Fault("html", "/", "<" * 2_000_000),
    ],
    ids=["raw", "header", "drop", "endless"],
)
async def test_whatever_a_server_answers_the_job_ends_and_the_service_goes_on(
    service: Service, pbx: FusionPbxSimulator, fault: Fault
) -> None:
    fault.times = 10**6
    pbx.faults.planned = [fault]
    found = findings_of(await service.examine(server="pbx1"))
    assert max(len(f["said"]) for f in found) < 2100
    pbx.faults.planned = []
    found = findings_of(await service.examine(server="pbx1"))
    assert next(f for f in found if f["check"] == "credentials")["state"] == "ok"
