"""Servers: state, pauses, inventory, comparison with products, adoption."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.installation.servers import ServersFile
from tests.support.accounts import FUSIONPBX, RunningApi, running_api
from tests.support.commands import Operator

REQUESTED = "operator.requested.v1"
SERVERS = """
[servers.wat5]
kind = "fusionpbx"
url = "https://pbx.example.ca"
api_key = { env = "KEY" }
host = "pbx.example.ca"
all_tenants = true

[servers.wat6]
kind = "fusionpbx"
url = "https://pbx6.example.ca"
api_key = { env = "KEY" }
host = "pbx6.example.ca"
all_tenants = true
"""
TENANT = "mcon.wat5.ictvoip.ca"


@pytest.fixture
def servers_file(tmp_path: Path) -> Path:
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    return file


@pytest.fixture
async def operator(database: str, servers_file: Path) -> AsyncIterator[Operator]:
    async with running_api(database, servers=ServersFile(servers_file)) as api:
        await api.client("anna")
        await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "extensions": "101 | 102"})
        yield Operator(api)


async def get(api: RunningApi, path: str, **params: object) -> dict[str, Any]:
    """The response to GET."""
    answer = await api.http.get(f"/v1/{path}", params=params)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rename_server(servers_file: Path) -> None:
    """Replace wat5 by wat7 in the servers file."""
    servers_file.write_text(SERVERS.replace("servers.wat5", "servers.wat7"))
    os.utime(servers_file, ns=(1, 1))


async def paused(operator: Operator, server: str, until: datetime | None) -> None:
    """Insert a pause of a server."""
    await operator.api.database.execute(
        "insert into suspender.server_pause values ($1, now(), $2, 'olga', 'upgrade')",
        server,
        until,
    )


async def test_servers_are_listed_with_pauses_elements_off_and_failures(
    operator: Operator, servers_file: Path
) -> None:
    fresh, other = (await get(operator.api, "servers"))["items"]
    assert (fresh["server_id"], fresh["products"], fresh["paused"]) == ("wat5", 1, False)
    assert (fresh["elements_off"], fresh["failing"], fresh["inventory_read_at"]) == (0, 0, None)
    assert (other["server_id"], other["products"]) == ("wat6", 0)
    await operator.switched_off("anna", "pbx-1", "extensions", "101", tenant=TENANT)
    await operator.switched_off("anna", "pbx-1", "extensions", "102", tenant=TENANT, was_on=False)
    await operator.service("anna", "pbx-1", "suspended")
    await operator.api.database.execute(
        "update suspender.service set wanted_seq = 2, attempts = 3, last_error = 'no answer'"
    )
    until = datetime.now(UTC) + timedelta(hours=1)
    await paused(operator, "wat5", until)
    await paused(operator, "wat6", datetime.now(UTC) - timedelta(hours=1))
    await operator.read("wat5", "the login was refused")
    shown, other = (await get(operator.api, "servers"))["items"]
    assert (shown["paused"], shown["paused_by"]) == (True, "olga")
    assert datetime.fromisoformat(shown["paused_until"]) == until
    assert (shown["elements_off"], shown["failing"], shown["last_error"]) == (1, 1, "no answer")
    assert (shown["inventory_read_at"], shown["inventory_error"]) == (None, "the login was refused")
    assert other["paused"] is False, "its pause has ended"
    # A server that was removed from the file is listed while something on it is off.
    rename_server(servers_file)
    items = {item["server_id"]: item for item in (await get(operator.api, "servers"))["items"]}
    assert (items["wat5"]["listed"], items["wat5"]["kind"]) == (False, None)
    assert items["wat5"]["elements_off"] == 1
    assert items["wat7"]["listed"] is True


async def test_a_pause_and_its_end_are_commands_to_the_suspender(
    operator: Operator, servers_file: Path
) -> None:
    until = "2099-12-01T06:00:00+00:00"
    body = {"until": until, "reason": "upgrade"}
    answer = await operator.api.http.post("/v1/servers/wat5/pause", json=body)
    assert answer.status_code == 202
    await operator.api.http.post("/v1/servers/wat5/pause")
    await operator.api.http.post("/v1/servers/wat5/resume", json={"reason": "done"})
    first, forever, resumed = await operator.api.published(REQUESTED)
    assert first["request_id"] == answer.json()["request_id"]
    assert (first["command"], first["reason"]) == ("server.pause", "upgrade")
    assert first["arguments"] == {"server_id": "wat5", "until": until}
    assert forever["arguments"] == {"server_id": "wat5"}
    assert (resumed["command"], resumed["reason"]) == ("server.resume", "done")
    past = await operator.api.http.post(
        "/v1/servers/wat5/pause", json={"until": "2020-01-01T00:00:00Z"}
    )
    assert (past.status_code, past.json()["error"]["field"]) == (422, "until")
    for what in ("pause", "resume", "inventory"):
        answer = await operator.api.http.post(f"/v1/servers/wat9/{what}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (404, "server")
    assert len(await operator.api.published(REQUESTED)) == 3
    # A paused server that was removed from the file can be resumed.
    await paused(operator, "wat9", None)
    assert (await operator.api.http.post("/v1/servers/wat9/resume")).status_code == 202


async def test_the_inventory_is_paged_by_kind_and_has_its_time(operator: Operator) -> None:
    never = await get(operator.api, "servers/wat5/inventory")
    assert (never["read_at"], never["items"], never["count"]) == (None, [], 0)
    for number in ("101", "102", "103"):
        await operator.has("wat5", "extension", TENANT, number, label=f"desk {number}")
    await operator.has("wat5", "gateway", "", "carrier", uuid="u-1", enabled=False)
    await operator.has("wat6", "extension", "six", "900")
    await operator.read("wat5", "", "destinations: no right")
    page = await get(operator.api, "servers/wat5/inventory", kind="extension", limit=2)
    assert [item["name"] for item in page["items"]] == ["101", "102"]
    assert (page["count"], page["gaps"]) == (3, ["destinations: no right"])
    rest = await get(
        operator.api, "servers/wat5/inventory", kind="extension", limit=2, cursor=page["next"]
    )
    assert [item["name"] for item in rest["items"]] == ["103"]
    assert rest["next"] is None
    (gateway,) = (await get(operator.api, "servers/wat5/inventory", kind="gateway"))["items"]
    assert (gateway["uuid"], gateway["enabled"]) == ("u-1", False)
    assert (await operator.api.http.get("/v1/servers/wat9/inventory")).status_code == 404
    bad = await operator.api.http.get("/v1/servers/wat5/inventory", params={"cursor": "x"})
    assert (bad.status_code, bad.json()["error"]["field"]) == (422, "cursor")
    await operator.api.http.post("/v1/servers/wat5/inventory")
    (request,) = await operator.api.published(REQUESTED)
    assert (request["command"], request["arguments"]) == ("inventory.read", {"server_id": "wat5"})


async def test_products_are_compared_with_their_server_both_ways(operator: Operator) -> None:
    unread = await get(operator.api, "servers/wat5/comparison")
    assert (unread["read_at"], unread["missing"], unread["unowned"]) == (None, [], [])
    await operator.has("wat5", "tenant", TENANT, TENANT)
    await operator.has("wat5", "extension", TENANT, "101")
    await operator.has("wat5", "extension", TENANT, "103", label="reception")
    await operator.has("wat5", "did", TENANT, "5192229000")
    await operator.has("wat5", "tenant", "new.example.com", "new.example.com")
    await operator.has("wat5", "extension", "new.example.com", "200")
    await operator.has("wat5", "did", "new.example.com", "4165550100")
    found = await get(operator.api, "servers/wat5/comparison")
    (missing,) = found["missing"]
    assert (missing["account_id"], missing["product"], missing["kind"], missing["name"]) == (
        "anna", "pbx-1", "extension", "102",
    )  # fmt: skip
    assert [(each["kind"], each["name"]) for each in found["unowned"]] == [
        ("tenant", "new.example.com"),
        ("extension", "103"),
    ]
    (proposal,) = found["proposals"]
    assert (proposal["product"], proposal["tenant"]) == ("new", "new.example.com")
    # The proposed product is accepted unchanged.
    body = {"kind": proposal["kind"], "server_id": proposal["server_id"], **proposal["fields"]}
    await operator.api.client("bert")
    made = await operator.api.put(f"clients/bert/products/{proposal['product']}", body)
    assert made["service"]["extensions"] == ["200"]
    after = await get(operator.api, "servers/wat5/comparison")
    assert after["proposals"] == []
    assert [each["name"] for each in after["unowned"]] == ["103"]


async def test_a_tenant_on_another_server_is_suggested(operator: Operator) -> None:
    await operator.has("wat5", "tenant", "other.example.com", "other.example.com")
    await operator.has("wat6", "tenant", TENANT, TENANT)
    (missing,) = (await get(operator.api, "servers/wat5/comparison"))["missing"]
    assert (missing["kind"], "wat6" in missing["hint"]) == ("tenant", True)
    other = await get(operator.api, "servers/wat6/comparison")
    assert (other["missing"], len(other["unowned"])) == ([], 0)


async def adoptable(operator: Operator) -> None:
    """Carl, in shadow mode, was imported while off; one of his extensions is off."""
    await operator.api.client(
        "carl", written_by="import", voip_suspended="Yes", opening_balance="0"
    )
    body = {**FUSIONPBX, "extensions": "301 | 302", "name": "Carl"}
    await operator.api.put("clients/carl/products/pbx-3", body)
    await operator.api.put("clients/carl/mode", {"mode": "shadow"})
    await operator.posted("carl", 0)
    await operator.api.database.execute(
        "insert into suspender.account (account_id, profile) values ('carl', $1::text::json)",
        '{"profile": {"voip_suspended": "Yes", "voip_suspended_by": "import"}}',
    )
    for extension in ("301", "302"):
        await operator.api.database.execute(
            "insert into suspender.named_element values"
            " ('carl', 'pbx-3', 'wat5', 'extensions', $1, $2)",
            TENANT,
            extension,
        )


async def test_elements_to_be_adopted_are_listed_before_the_client_goes_live(
    operator: Operator,
) -> None:
    await adoptable(operator)
    unread = await get(operator.api, "adoptions")
    assert unread["items"] == []
    assert "wat5 was never read" in unread["warnings"][0]
    await operator.has("wat5", "extension", TENANT, "301", enabled=False, label="Carl's desk")
    await operator.has("wat5", "extension", TENANT, "302")
    await operator.has("wat5", "extension", TENANT, "101", enabled=False)
    found = await get(operator.api, "adoptions")
    (item,) = found["items"]
    assert (item["account_id"], item["element"], item["label"]) == ("carl", "301", "Carl's desk")
    assert (found["count"], found["warnings"]) == (1, [])
    assert (await get(operator.api, "adoptions", server="wat6"))["items"] == []
    assert (await get(operator.api, "adoptions", account="anna"))["count"] == 0
    live = await operator.api.put("clients/carl/mode", {"mode": "live"})
    assert live["adopts"] == 1
    assert "1 element that is off on the PBX counts as switched off by us" in live["what_happens"]
    back = await operator.api.put("clients/carl/mode", {"mode": "shadow"})
    assert back["adopts"] == 0
