"""Examinations: requested from cdr-ingest, by a server that exists."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounts.installation.servers import ServersFile
from tests.support.accounts import RunningApi, running_api
from tests.support.cdr_ingest import servers_toml

PBX = {"kind": "fusionpbx", "url": "http://127.0.0.1:1", "api_key": {"env": "TEST_KEY"}}


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[RunningApi]:
    path = servers_toml(tmp_path, pbx1=PBX, pbx2=PBX)
    async with running_api(database, servers=ServersFile(path)) as api:
        yield api


@pytest.mark.parametrize(
    ("body", "arguments"),
    [(None, {}), ({}, {}), ({"server": "pbx2"}, {"server": "pbx2"})],
    ids=["no body", "everything", "one server"],
)
async def test_a_request_is_published_to_cdr_ingest(
    api: RunningApi, body: dict[str, str] | None, arguments: dict[str, str]
) -> None:
    answer = await api.http.post("/v1/examinations", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["server"] == arguments.get("server")
    (event,) = await api.published("operator.requested.v1")
    assert event["request_id"] == answer.json()["request_id"]
    assert (event["service"], event["command"]) == ("cdr-ingest", "doctor.examine")
    assert event["arguments"] == arguments
    assert event["requested_by"] == "tester"


async def test_an_unknown_server_is_refused_with_those_that_exist(api: RunningApi) -> None:
    answer = await api.http.post("/v1/examinations", json={"server": "pbx9"})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["field"], error["value"]) == ("server", "pbx9")
    assert "those that exist are pbx1, pbx2" in error["message"]
    assert await api.published("operator.requested.v1") == []


async def test_a_servers_file_that_cannot_be_used_is_the_reason(database: str) -> None:
    missing = ServersFile(Path("/nonexistent/servers.toml"))
    async with running_api(database, servers=missing) as api:
        answer = await api.http.post("/v1/examinations", json={"server": "pbx1"})
        assert "the servers file /nonexistent/servers.toml cannot be read" in answer.text
