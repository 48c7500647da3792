"""Servers that products may name, commands to services, alarms, the OpenAPI document."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from accounts.installation.servers import ServersFile
from tests.support.accounts import FUSIONPBX, RunningApi, running_api

ACCOUNT = "account.changed.v1"
REQUESTED = "operator.requested.v1"
SERVERS = """
[servers.wat5]
kind = "fusionpbx"
url = "https://operator:hunter2@pbx.example.ca:8443/app?key=hunter2"
api_key = { env = "KEY" }
host = "pbx.example.ca"
all_tenants = true
"""
ANOTHER = """
[servers.vodia-1]
kind = "vodia"
url = "https://vodia.example.ca"
user = "admin"
password = { env = "PASSWORD" }
"""


def replace_file(file: Path, text: str | None) -> None:
    """Write the file, or remove it."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


@pytest.fixture
def servers_file(tmp_path: Path) -> Path:
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    return file


@pytest.fixture
async def api(database: str, servers_file: Path) -> AsyncIterator[RunningApi]:
    async with running_api(database, servers=ServersFile(servers_file)) as opened:
        await opened.client()
        yield opened


# A product on a server that does not exist would never be billed or suspended.


async def test_a_product_on_an_unknown_server_is_refused(
    api: RunningApi, servers_file: Path
) -> None:
    error = await api.refused("clients/anna/products/pbx-1", {**FUSIONPBX, "server_id": "wat6"})
    assert error["field"] == "server_id"
    assert "wat5" in error["message"]
    assert len(await api.published(ACCOUNT)) == 1
    await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    moved = {**FUSIONPBX, "server_id": "wat6"}
    assert (await api.refused("clients/anna/products/pbx-1", moved))["field"] == "server_id"
    replace_file(servers_file, ANOTHER)
    renamed = await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "name": "Renamed"})
    assert renamed["name"] == "Renamed", "a product keeps a server that was removed from the file"


async def test_the_servers_are_listed_without_secrets_and_read_again_when_they_change(
    api: RunningApi, servers_file: Path
) -> None:
    first = await api.http.get("/v1/servers")
    (listed,) = first.json()["items"]
    assert (listed["server_id"], listed["kind"], listed["listed"]) == ("wat5", "fusionpbx", True)
    assert listed["address"] == "https://pbx.example.ca:8443"
    assert first.json()["warnings"] == []
    assert "hunter2" not in first.text
    replace_file(servers_file, SERVERS + ANOTHER)
    os.utime(servers_file, ns=(1, 1))
    items = (await api.http.get("/v1/servers")).json()["items"]
    assert [item["server_id"] for item in items] == ["vodia-1", "wat5"]


@pytest.mark.parametrize("text", [None, "not toml [", "[servers.x]\nkind = 'asterisk'\n"])
async def test_an_unusable_servers_file_gives_no_servers_and_a_warning(
    api: RunningApi, servers_file: Path, text: str | None
) -> None:
    replace_file(servers_file, text)
    answer = (await api.http.get("/v1/servers")).json()
    assert answer["items"] == []
    assert "servers.toml" in answer["warnings"][0]
    error = await api.refused("clients/anna/products/pbx-1", FUSIONPBX)
    assert "servers file" in error["expected"]


async def test_a_product_is_billed_from_its_creation_or_from_the_instant_that_is_given(
    api: RunningApi,
) -> None:
    made = await api.put("clients/anna/products/pbx-1", FUSIONPBX)
    again = await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "name": "Renamed"})
    assert made["bill_from"] == again["bill_from"] != ""
    event = (await api.published(ACCOUNT))[-1]["services"][0]
    assert event["bill_from"] == made["bill_from"]
    body = {**FUSIONPBX, "bill_from": "2026-12-01T00:00:00-05:00"}
    moved = await api.put("clients/anna/products/pbx-1", body)
    assert moved["bill_from"] == "2026-12-01T05:00:00Z"
    body["bill_from"] = "2026-12-01"
    assert (await api.refused("clients/anna/products/pbx-1", body))["field"] == "bill_from"
    body["bill_from"] = "0001-01-01T00:00:00+14:00"
    assert (await api.refused("clients/anna/products/pbx-1", body))["field"] == "bill_from"


async def test_a_command_is_published_and_its_answer_is_read(
    api: RunningApi,
) -> None:
    body = {"service": "suspender", "command": "brake.release", "reason": "rightly cut"}
    answer = await api.http.post("/v1/commands", json=body)
    assert answer.status_code == 202
    request_id = answer.json()["request_id"]
    (event,) = await api.published(REQUESTED)
    assert (event["request_id"], event["command"]) == (request_id, "brake.release")
    assert (event["requested_by"], event["reason"]) == ("tester", "rightly cut")
    waiting = (await api.http.get(f"/v1/commands/{request_id}")).json()
    assert (waiting["state"], waiting["answer"]) == ("waiting", "")
    await api.database.execute(
        "insert into suspender.command (request_id, command, arguments, requested_by, reason,"
        " requested_at, state, answer) values ($1, 'brake.release', '{}', 'tester', '', now(),"
        " 'done', 'brake released')",
        UUID(request_id),
    )
    done = (await api.http.get(f"/v1/commands/{request_id}")).json()
    assert (done["state"], done["answer"]) == ("done", "brake released")
    await api.http.post("/v1/commands", json={**body, "command": "brake.undo"})
    listed = (await api.http.get("/v1/commands", params={"limit": 1})).json()
    assert [item["command"] for item in listed["items"]] == ["brake.undo"]
    params = {"limit": 1, "cursor": listed["next"]}
    assert (await api.http.get("/v1/commands", params=params)).json()["items"] == [done]
    assert (await api.http.get(f"/v1/commands/{uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    ("service", "command", "field"),
    [("suspender", "drop.tables", "command"), ("rating", "brake.undo", "service")],
)
async def test_an_unknown_command_is_refused(
    api: RunningApi, service: str, command: str, field: str
) -> None:
    answer = await api.http.post("/v1/commands", json={"service": service, "command": command})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert await api.published(REQUESTED) == []


async def test_alarms_of_all_services_are_listed_newest_first(api: RunningApi) -> None:
    for minute, (service, ended) in enumerate(
        [("rating", False), ("suspender", True), ("suspender", False)]
    ):
        await api.database.execute(
            f"insert into {service}.alarm (alarm_id, key, subject, severity, message, what_to_do,"
            " raised_at, ended_at) values ($1, 'brake', $2, 'critical', 'm', 'w',"
            " timestamptz '2026-11-01T10:00:00Z' + make_interval(mins => $3),"
            " case when $4 then now() end)",
            uuid4(),
            str(minute),
            minute,
            ended,
        )
    open_ones = (await api.http.get("/v1/alarms")).json()["items"]
    assert [(alarm["service"], alarm["subject"]) for alarm in open_ones] == [
        ("suspender", "2"),
        ("rating", "0"),
    ]
    page = (await api.http.get("/v1/alarms", params={"state": "all", "limit": 2})).json()
    assert [alarm["state"] for alarm in page["items"]] == ["open", "ended"]
    params = {"state": "all", "limit": 2, "cursor": page["next"]}
    rest = (await api.http.get("/v1/alarms", params=params)).json()
    assert [alarm["subject"] for alarm in rest["items"]] == ["0"]


async def test_the_brake_is_off_by_default(api: RunningApi) -> None:
    brake = (await api.http.get("/v1/brake")).json()
    assert (brake["on"], brake["on_since"], brake["paused"]) == (False, None, 0)


async def test_the_openapi_document_describes_every_route(api: RunningApi) -> None:
    document = (await api.http.get("/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    for path, methods in (
        ("/v1/clients", "get"), ("/v1/clients/{account_id}", "get put patch"),
        ("/v1/clients/{account_id}/explanation", "get"), ("/v1/clients/{account_id}/audit", "get"),
        ("/v1/clients/{account_id}/outstanding", "put"), ("/v1/clients/{account_id}/mode", "put"),
        ("/v1/clients/{account_id}/orders", "get"),
        ("/v1/clients/{account_id}/orders/{kind}", "put delete"),
        ("/v1/clients/{account_id}/suspend", "post"),
        ("/v1/clients/{account_id}/unsuspend", "post"),
        ("/v1/clients/{account_id}/payments", "get post"), ("/v1/payments/unclaimed", "get"),
        ("/v1/payments/claims", "post"), ("/v1/commands", "get post"),
        ("/v1/commands/{request_id}", "get"), ("/v1/brake", "get"), ("/v1/alarms", "get"),
        ("/v1/servers", "get"), ("/v1/mode", "get"),
        ("/v1/servers/{server_id}/pause", "post"), ("/v1/servers/{server_id}/resume", "post"),
        ("/v1/servers/{server_id}/inventory", "get post"),
        ("/v1/servers/{server_id}/comparison", "get"), ("/v1/adoptions", "get"),
        ("/v1/clients/{account_id}/elements", "get"),
        ("/v1/clients/{account_id}/products/{service_id}", "get put delete"),
        ("/v1/clients/{account_id}/products/{service_id}/reapply", "post"),
    ):  # fmt: skip
        assert set(paths[path]) == set(methods.split()), path
    operations = [op["operationId"] for item in paths.values() for op in item.values()]
    assert len(operations) == len(set(operations))
    names = {p["name"].lower() for p in paths["/v1/clients/{account_id}"]["put"]["parameters"]}
    assert "if-match" in names
    for item in paths.values():
        for operation in item.values():
            assert all("$ref" not in p or p["$ref"].startswith("#/") for p in
                       operation.get("parameters", []))  # fmt: skip


async def test_refusals_have_no_paths_and_no_library_messages(api: RunningApi) -> None:
    answers = [
        await api.http.get("/v1/clients/nobody"),
        await api.http.get("/v1/nothing"),
        await api.http.delete("/v1/clients"),
        await api.http.get("/v1/clients/anna/products/none"),
        await api.http.get("/v1/packages/none"),
        await api.http.get("/v1/tariffs/none/version?version=1"),
        await api.http.post("/v1/tariffs/none/rollback", json={"version": 1}),
        await api.http.put("/v1/clients/anna/products/p", json={**FUSIONPBX, "package": "none"}),
        await api.http.put("/v1/clients/anna", content=b"{"),
        await api.http.put("/v1/clients/a b", json={}),
        await api.http.get("/v1/clients?limit=x"),
    ]
    for answer in answers:
        message = answer.json()["error"]["message"]
        assert answer.status_code >= 400
        for words in ("/v1/", "Input should", "should match", "Not Found", "PUT ", "GET "):
            assert words not in message, message
