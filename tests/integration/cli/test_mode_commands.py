"""`ringfence mode`: clients go live in waves, each confirmed before the next begins."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence_cli.clients import waves
from ringfence_cli.clients.clients import client
from ringfence_cli.clients.mode import mode
from ringfence_cli.clients.suspension import services
from ringfence_testing.wait import until
from tests.support.accounts import front_door
from tests.support.commands import Desk


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with front_door(database) as door:
        desk = Desk(door)
        for number in range(1, 6):
            account, product = f"client-{number}", f"pbx-{number}"
            balance = -1_000_000 if number < 3 else 5_000_000
            await door.client(account, opening_balance=f"{balance // 1_000_000}.00")
            await desk.product(account, product)
            await desk.posted(account, balance)
            await door.put(f"clients/{account}/mode", {"mode": "shadow"})
            await desk.level(account, "exhausted" if balance < 0 else "ok", balance)
            would = "suspended" if balance < 0 else "active"
            await desk.service(account, product, "active", would=would, live=False)
        yield desk


async def without_posting(desk: Desk, account: str) -> None:
    """A client of an earlier version, to whom nothing was ever posted."""
    await desk.door.client(account)
    await desk.door.database.execute(
        "update accounts.account set mode = 'shadow' where account_id = $1", account
    )
    await desk.door.database.execute("delete from accounts.payment where account_id = $1", account)


async def obey(desk: Desk, *numbers: int) -> None:
    """Switch off on the PBX, as soon as the client is live, what would be off."""
    for number in numbers:

        async def live(account: str = f"client-{number}") -> bool:
            found: str = await desk.door.database.fetchval(
                "select mode from accounts.account where account_id = $1", account
            )
            return found == "live"

        await until(live, timeout_s=20)
        await desk.service(f"client-{number}", f"pbx-{number}", "suspended")


async def test_the_status_counts_and_names_who_cannot_go_live(desk: Desk) -> None:
    await without_posting(desk, "old-1")
    said = await desk.said(mode)
    assert "live 0 clients" in said
    assert "shadow 6 clients" in said
    assert "without opening balance 1 client" in said
    assert "old-1" in said
    assert (await desk.json(mode))["without_posting"] == 1


async def test_all_go_live_in_waves_and_it_asks_first(desk: Desk) -> None:
    declined = await desk.run(mode, "live", "--all", typed="n\n", status=1)
    assert "5 clients in shadow will go live" in declined.stderr
    assert "Would be off: 2," in declined.stderr
    assert (await desk.json(mode))["live"] == 0
    obeying = asyncio.create_task(obey(desk, 1, 2))
    done = await desk.run(mode, "live", "--all", "--at-once", "2", typed="y\n")
    await obeying
    assert "wave 1 of 3: 2 off (2 of 5 clients" in done.stderr
    assert "wave 3 of 3: 1 on (5 of 5 clients" in done.stderr
    assert "5 of 5 clients live now" in done.stdout
    assert "2 off" in done.stdout
    assert "3 on" in done.stdout
    assert (await desk.json(mode))["live"] == 5


async def test_a_client_without_posting_is_refused_and_the_rest_goes_on(desk: Desk) -> None:
    await without_posting(desk, "old-1")
    done = await desk.run(mode, "live", "--clients", "old-1, client-3,nobody", status=1)
    assert "1 of 3 clients live now" in done.stdout
    assert "2 refused" in done.stdout
    assert "there is no client 'nobody'" in " ".join(done.stdout.split())
    states = {row["account_id"]: row["mode"] for row in await desk.json(client, "list")}
    assert (states["old-1"], states["client-3"]) == ("shadow", "live")


async def test_what_is_not_confirmed_in_time_is_named_and_the_rest_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "WAVE_S", 0.2)
    done = await desk.json(mode, "live", "--clients", "client-1,client-3")
    assert [each["outcome"] for each in done] == ["waiting", "on"]
    assert "ringfence services client-1" in done[0]["why"]


async def test_while_the_brake_is_on_nobody_is_waited_for(desk: Desk) -> None:
    await desk.door.database.execute(
        "update suspender.brake set on_since = now(), cause = 'rates of deck 12'"
    )
    asked = await desk.run(mode, "live", "--all", typed="n\n", status=1)
    assert "The brake is on" in asked.stderr
    (done,) = await desk.json(mode, "live", "--clients", "client-1")
    assert (done["outcome"], "brake" in done["why"]) == ("on", True)


async def test_back_into_shadow_what_was_off_is_awaited_on_or_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "WAVE_S", 0.2)
    for number in (1, 2):
        await desk.door.put(f"clients/client-{number}/mode", {"mode": "live"})
        await desk.service(f"client-{number}", f"pbx-{number}", "suspended")
    (left,) = await desk.json(mode, "shadow", "--clients", "client-1", "--leave")
    assert left["outcome"] == "off"
    (still,) = await desk.json(mode, "shadow", "--clients", "client-2")
    assert still["outcome"] == "waiting"
    listed = await desk.said(client, "list")
    assert "would be off" in listed


async def test_it_has_to_be_said_who_and_with_json_nothing_is_asked(desk: Desk) -> None:
    assert "--clients" in await desk.said(mode, "live", status=2)
    assert "--yes" in await desk.said(mode, "live", "--all", "--json", status=2)
    assert (await desk.json(mode))["live"] == 0


async def test_nobody_to_switch_is_said(desk: Desk) -> None:
    assert "every client is in shadow already" in await desk.said(mode, "shadow", "--all", "--yes")


async def test_the_services_of_a_client_in_shadow_show_what_would_be(desk: Desk) -> None:
    await desk.service("client-1", "pbx-1", "active", would="suspended", live=False)
    await desk.service("client-1", "pbx-1b", "active")
    said = (await desk.run(services, "client-1")).stdout.splitlines()
    lines = [line for line in said if line.startswith("pbx-1")]
    assert ["would be off" in line for line in lines] == [True, False]
