"""accounts and the suspender together: the suspender does what the API responses say."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from accounts.installation.servers import ServersFile
from ringfence.clock import SystemClock
from ringfence.postgres.pool import open_pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.topics import ACCOUNT_CHANGED, BY_NAME, OPERATOR_REQUESTED
from ringfence_testing.records import received
from tests.support.accounts import FUSIONPBX, RunningApi, running_api
from tests.support.suspender import SuspenderHarness

SERVERS = """
[servers.pbx1]
kind = "fusionpbx"
url = "https://pbx.example.ca"
api_key = { env = "KEY" }
host = "pbx.example.ca"
all_tenants = true
"""
PRODUCT = "clients/anna/products/pbx-1"
EVENTS: dict[str, type[EventData]] = {
    ACCOUNT_CHANGED.name: AccountChanged,
    OPERATOR_REQUESTED.name: OperatorRequested,
}


@dataclass
class Town:
    """Both services on one database; `pass_on` is the broker between them."""

    api: RunningApi
    harness: SuspenderHarness
    passed: int = field(default=0)

    async def pass_on(self) -> None:
        """Deliver the events of accounts in their order; then switch everything that is due."""
        rows = await self.api.database.fetch(
            "select id, topic, value from accounts.outbox where id > $1 order by id", self.passed
        )
        for row in rows:
            self.passed = row["id"]
            if row["topic"] in EVENTS:
                event = EVENTS[row["topic"]].model_validate_json(bytes(row["value"]))
                await self.harness.send(received(BY_NAME[row["topic"]], event))
        await self.harness.work_done()

    async def product(self, extensions: str, release: bool = False, **changes: Any) -> Any:
        """Put anna's product; returns the response."""
        body = {**FUSIONPBX, "server_id": "pbx1", "extensions": extensions, **changes}
        params = {"release": "true"} if release else {}
        answer = await self.api.http.put(f"/v1/{PRODUCT}", json=body, params=params)
        assert answer.status_code in (200, 201), answer.text
        await self.pass_on()
        return answer.json()

    async def answer_to(self, request_id: str) -> tuple[str, str]:
        """The state of a command, as the API shows it."""
        found = (await self.api.http.get(f"/v1/commands/{request_id}")).json()
        return found["state"], found["answer"]

    async def asked(self, path: str, body: dict[str, str] | None = None) -> tuple[str, str]:
        """Post a command, deliver it, and return its state."""
        answer = await self.api.http.post(f"/v1/{path}", json=body or {})
        assert answer.status_code == 202, answer.text
        await self.pass_on()
        return await self.answer_to(answer.json()["request_id"])


@pytest.fixture
async def town(database: str, tmp_path: Path) -> AsyncIterator[Town]:
    """Anna is off for lack of credit, by her extensions 101 and 102."""
    file = tmp_path / "servers.toml"
    file.write_text(SERVERS)
    pool = await open_pool(database, service="suspender", size=8)
    try:
        async with running_api(database, servers=ServersFile(file)) as api:
            town = Town(api, SuspenderHarness(database, pool, clock=SystemClock()))
            await api.client("anna")
            await town.product("101 | 102")
            await town.harness.zero("anna")
            await town.pass_on()
            assert town.harness.fake_pbx.off == {"101", "102"}
            yield town
    finally:
        await pool.close()


async def test_elements_that_left_a_product_do_what_the_response_said(town: Town) -> None:
    narrowed = await town.product("101")
    assert [each["element"] for each in narrowed["stays_off"]] == ["102"]
    assert town.harness.fake_pbx.off == {"101", "102"}
    added = await town.product("101 | 103")
    assert [each["element"] for each in added["stays_off"]] == ["102"]
    assert town.harness.fake_pbx.off == {"101", "102", "103"}
    released = await town.product("101 | 103", release=True)
    assert town.harness.fake_pbx.off == {"101", "103"}
    state, words = await town.answer_to(released["release_request"])
    assert (state, "1 elements are released: 102" in words) == ("done", True)
    await town.harness.restored("anna")
    await town.pass_on()
    assert town.harness.fake_pbx.off == set()


async def test_a_release_is_part_of_the_change(town: Town) -> None:
    narrowed = await town.product("101", release=True)
    assert "102: switched on within seconds" in narrowed["words"]
    assert town.harness.fake_pbx.off == {"101"}


async def test_a_removed_product_stays_off_until_it_is_released(town: Town) -> None:
    removed = (await town.api.http.delete(f"/v1/{PRODUCT}")).json()
    assert len(removed["stays_off"]) == 2
    await town.pass_on()
    assert town.harness.fake_pbx.off == {"101", "102"}
    shown = (await town.api.http.get("/v1/clients/anna")).json()
    assert [each["product"] for each in shown["departed"]] == ["pbx-1"]
    answer = await town.api.http.delete(f"/v1/{PRODUCT}", params={"release": "true"})
    await town.pass_on()
    assert town.harness.fake_pbx.off == set()
    assert (await town.answer_to(answer.json()["release_request"]))[0] == "done"
    shown = (await town.api.http.get("/v1/clients/anna")).json()
    assert shown["departed"] == []


async def test_a_change_of_the_way_releases_the_old_elements_as_the_response_said(
    town: Town,
) -> None:
    changed = await town.product("101 | 102", suspend_by="outbound")
    assert "until the product is confirmed off by outbound on pbx1" in changed["words"]
    elements = (await town.api.http.get("/v1/clients/anna/elements")).json()["items"]
    assert {(each["way"], each["element"]) for each in elements} == {
        ("outbound", "101"), ("outbound", "102"),
    }  # fmt: skip


async def test_a_paused_server_is_not_switched_until_it_is_resumed(town: Town) -> None:
    state, words = await town.asked("servers/pbx1/pause", {"reason": "upgrade"})
    assert (state, "pbx1 is paused" in words) == ("done", True)
    (server,) = (await town.api.http.get("/v1/servers")).json()["items"]
    assert (server["paused"], server["paused_by"], server["pause_reason"]) == (
        True, "tester", "upgrade",
    )  # fmt: skip
    assert server["elements_off"] == 2
    await town.harness.restored("anna")
    await town.pass_on()
    assert town.harness.fake_pbx.off == {"101", "102"}
    assert (await town.asked("servers/pbx1/resume"))[0] == "done"
    assert town.harness.fake_pbx.off == set()
    assert (await town.asked("servers/pbx1/resume"))[0] == "refused"


async def test_a_product_is_reapplied_and_a_server_read_on_command(town: Town) -> None:
    state, words = await town.asked(f"{PRODUCT}/reapply", {"reason": "restored"})
    assert (state, "is to be off" in words) == ("done", True)
    await town.api.database.execute(
        "insert into suspender.inventory_read (server_id, next_at) values ('pbx1', now())"
    )
    assert (await town.asked("servers/pbx1/inventory"))[0] == "done"


async def test_calls_are_ended_by_lack_of_credit_and_by_an_order(town: Town) -> None:
    ended = town.harness.fake_pbx.hung_up
    assert [set(extensions) for _, extensions in ended] == [{"101", "102"}]
    await town.harness.restored("anna")
    await town.pass_on()
    await town.api.http.post("/v1/clients/anna/suspend", json={})
    await town.pass_on()
    assert (town.harness.fake_pbx.off, len(ended)) == ({"101", "102"}, 1)
    await town.api.http.post("/v1/clients/anna/unsuspend")
    await town.pass_on()
    await town.api.http.post("/v1/clients/anna/suspend", json={"hang_up": True})
    await town.pass_on()
    assert (town.harness.fake_pbx.off, len(ended)) == ({"101", "102"}, 2)
