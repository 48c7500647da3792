"""`ringfence server`, `adopt`, `service`: pauses, inventories, comparison, adoption."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accounts.installation.servers import ServersFile
from ringfence_cli import service_commands
from ringfence_cli.clients.mode import mode
from ringfence_cli.operations.service import service
from ringfence_cli.servers import inventory as inventory_module
from ringfence_cli.servers.adopt import adopt
from ringfence_cli.servers.server import server, servers
from tests.support.accounts import FUSIONPBX, running_api
from tests.support.commands import Operator

SERVERS = """
[servers.wat5]
kind = "fusionpbx"
url = "https://pbx-with-a-rather-long-name.of-a-provider.example.ca:8443"
api_key = { env = "KEY" }
host = "pbx.example.ca"
all_tenants = true
"""
TENANT = "mcon.wat5.ictvoip.ca"


@pytest.fixture
async def operator(database: str, tmp_path: Path) -> AsyncIterator[Operator]:
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    async with running_api(database, servers=ServersFile(file)) as api:
        await api.client("anna")
        await api.put("clients/anna/products/pbx-1", {**FUSIONPBX, "extensions": "101 | 102"})
        yield Operator(api)


async def test_a_server_is_paused_shown_and_resumed(operator: Operator) -> None:
    answering = asyncio.create_task(operator.answered("done", "wat5 is left alone until 06:00"))
    output = await operator.output(
        server, "pause", "wat5", "--until", "2099-12-01T06:00", "--reason", "upgrade", "--utc"
    )
    request = await answering
    assert output == "done: wat5 is left alone until 06:00"
    assert request["arguments"] == {"server_id": "wat5", "until": "2099-12-01T06:00:00+00:00"}
    await operator.api.database.execute(
        "insert into suspender.server_pause"
        " values ('wat5', '2026-11-01T05:00Z', '2099-12-01T06:00Z', 'olga', 'upgrade')"
    )
    await operator.switched_off("anna", "pbx-1", "extensions", "101", tenant=TENANT)
    await operator.read("wat5", "the login was refused")
    shown = await operator.output(server, "list", "--utc")
    assert "PAUSED since 2026-11-01 05:00:00 UTC until 2099-12-01 06:00:00 UTC by olga" in shown
    assert "upgrade; inventory not read: the login was refused" in shown
    assert shown == await operator.output(servers, "--utc")
    (listed,) = await operator.json(server, "list")
    assert (listed["elements_off"], listed["paused"]) == (1, True)
    answering = asyncio.create_task(operator.answered("refused", "it is not paused"))
    refused = await operator.output(server, "resume", "wat5", status=1)
    assert (await answering)["command"] == "server.resume"
    assert refused == "refused: it is not paused"
    assert "there is no server 'wat9'" in await operator.output(server, "pause", "wat9", status=2)


async def test_without_an_answer_of_the_suspender_resume_exits_1(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_commands, "ANSWER_S", 0.1)
    output = await operator.output(server, "resume", "wat5", status=1)
    assert "when the suspender runs again; `ringfence server list` shows it" in output


async def test_the_inventory_is_shown_as_last_read_or_refreshed(operator: Operator) -> None:
    unread = await operator.output(server, "inventory", "wat5")
    assert "not read yet" in unread
    assert "ringfence server inventory wat5 --refresh" in unread
    await operator.has("wat5", "tenant", TENANT, TENANT, label="Machine Consulting " * 8)
    await operator.has("wat5", "extension", TENANT, "101", enabled=False)
    await operator.has("wat5", "did", TENANT, "5192229000", enabled=None, leads_to="101")
    gateway = "7b3c1f6e-1f0a-4a57-9d7e-2f1f3a0d5c11"
    await operator.has("wat5", "gateway", TENANT, "carrier", uuid=gateway)
    await operator.read("wat5", "", "destinations: no right")
    shown = await operator.output(server, "inventory", "wat5")
    assert "4 items." in shown
    assert gateway in shown
    assert "rings extension 101" in shown
    assert "not read: destinations: no right" in shown
    not_ours = await operator.json(server, "inventory", "wat5", "--not-ours")
    assert [item["name"] for item in not_ours["items"]] == ["101"]
    assert "1 thing off that ringfence did not switch off" in await operator.output(server, "list")
    only = await operator.json(server, "inventory", "wat5", "--kind", "extension")
    assert [(item["name"], item["enabled"]) for item in only["items"]] == [("101", False)]

    async def reads(error: str) -> None:
        await operator.answered("done", "wat5 is read")
        await operator.read("wat5", error)

    reading = asyncio.create_task(reads(""))
    assert "5192229000" in await operator.output(server, "inventory", "wat5", "--refresh")
    await reading
    reading = asyncio.create_task(reads("no answer"))
    failed = await operator.output(server, "inventory", "wat5", "--refresh", status=1)
    await reading
    assert "wat5 was not read: no answer" in failed


async def test_a_reading_that_takes_too_long_is_reported(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_module, "READ_S", 0.1)
    await operator.read("wat5")
    answering = asyncio.create_task(operator.answered())
    output = await operator.output(server, "inventory", "wat5", "--refresh", status=1)
    await answering
    assert "`ringfence server inventory wat5` shows it when it is" in output


async def test_differences_are_shown_both_ways_and_products_proposed(operator: Operator) -> None:
    assert "not read yet" in await operator.output(server, "compare", "wat5")
    await operator.has("wat5", "tenant", TENANT, TENANT)
    await operator.has("wat5", "extension", TENANT, "101")
    await operator.has("wat5", "extension", TENANT, "1020", label="reception")
    await operator.has("wat5", "did", TENANT, "5192229000")
    await operator.has("wat5", "tenant", "new.example.com", "new.example.com")
    await operator.has("wat5", "extension", "new.example.com", "200")
    await operator.has("wat5", "did", "new.example.com", "4165550100")
    shown = await operator.output(server, "compare", "wat5")
    assert "anna pbx-1 extension 102 is not on wat5; perhaps 1020 (extension 1020" in shown
    assert "new.example.com tenant" in shown
    assert "ringfence server propose wat5" in shown
    found = await operator.json(server, "compare", "wat5")
    assert [each["name"] for each in found["missing"]] == ["102"]
    proposed = (await operator.run(server, "propose", "wat5")).stdout
    assert "ringfence product set ACCOUNT new \\\n" in proposed
    assert '--field domain_tenant_and_main_dids="new.example.com | 4165550100"' in proposed
    assert '--field extensions="200"' in proposed
    assert [each["product"] for each in await operator.json(server, "propose", "wat5")] == ["new"]
    assert '--field suspend_by="extensions"' in proposed
    await operator.api.database.execute(
        "update suspender.inventory_read set tests_toll_allow = true"
    )
    proposed = (await operator.run(server, "propose", "wat5")).stdout
    assert '--field suspend_by="outbound"' in proposed


async def test_no_difference_is_reported(operator: Operator) -> None:
    await operator.has("wat5", "tenant", TENANT, TENANT)
    for extension in ("101", "102"):
        await operator.has("wat5", "extension", TENANT, extension)
    await operator.has("wat5", "did", TENANT, "5192229000")
    output = await operator.output(server, "compare", "wat5")
    assert "All that products name is on wat5." in output
    assert "All that wat5 has is in a product." in output
    assert "Every tenant of wat5 is in a product." in await operator.output(
        server, "propose", "wat5"
    )


async def test_a_product_is_reapplied(operator: Operator) -> None:
    answering = asyncio.create_task(operator.answered("done", "pbx-1 is brought to off again"))
    output = await operator.output(service, "reapply", "anna", "pbx-1", "--reason", "restored")
    request = await answering
    assert output == "done: pbx-1 is brought to off again"
    assert (request["command"], request["reason"]) == ("service.reapply", "restored")
    assert "pbx-9" in await operator.output(service, "reapply", "anna", "pbx-9", status=2)


async def test_adopted_elements_are_listed_before_clients_go_live(
    operator: Operator,
) -> None:
    assert "Nothing" in await operator.output(adopt, "list")
    await operator.api.client(
        "carl", written_by="import", voip_suspended="Yes", opening_balance="0"
    )
    await operator.api.put("clients/carl/products/pbx-3", {**FUSIONPBX, "extensions": "301"})
    await operator.api.put("clients/carl/mode", {"mode": "shadow"})
    await operator.posted("carl", 0)
    assert "wat5 was never read" in await operator.output(adopt, "list")
    await operator.api.database.execute(
        "insert into suspender.account (account_id, profile) values ('carl', $1::text::json)",
        '{"profile": {"voip_suspended": "Yes", "voip_suspended_by": "import"}}',
    )
    await operator.api.database.execute(
        "insert into suspender.named_element"
        " values ('carl', 'pbx-3', 'wat5', 'extensions', $1, '301')",
        TENANT,
    )
    await operator.has("wat5", "extension", TENANT, "301", enabled=False, label="Carl's desk")
    shown = await operator.output(adopt, "list", "--server", "wat5")
    assert f"carl pbx-3 wat5 extensions Carl's desk 301 of {TENANT}" in shown
    assert "1 element." in shown
    assert [each["element"] for each in await operator.json(adopt, "list")] == ["301"]
    asked = await operator.run(mode, "live", "--all", typed="n\n", status=1)
    assert "Adopted: 1 element of 1 client" in " ".join(asked.stderr.split())
