"""`ringfence mode`: clients go live in waves, each confirmed before the next begins."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringfence_cli.clients import waves
from ringfence_cli.clients.clients import client
from ringfence_cli.clients.mode import mode
from ringfence_cli.clients.suspension import services
from ringfence_testing.wait import until
from tests.support.accounts import running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        operator = Operator(api)
        for number in range(1, 6):
            account, product = f"client-{number}", f"pbx-{number}"
            balance = -1_000_000 if number < 3 else 5_000_000
            await api.client(account, opening_balance=f"{balance // 1_000_000}.00")
            await operator.product(account, product)
            await operator.posted(account, balance)
            await api.put(f"clients/{account}/mode", {"mode": "shadow"})
            await operator.level(account, "exhausted" if balance < 0 else "ok", balance)
            would = "suspended" if balance < 0 else "active"
            await operator.service(account, product, "active", would=would, live=False)
        yield operator


async def without_posting(operator: Operator, account: str) -> None:
    """A client of an earlier version, without any posting."""
    await operator.api.client(account)
    await operator.api.database.execute(
        "update accounts.account set mode = 'shadow' where account_id = $1", account
    )
    await operator.api.database.execute(
        "delete from accounts.payment where account_id = $1", account
    )


async def obey(operator: Operator, *numbers: int) -> None:
    """Switch services off, as the suspender does, as soon as their clients are live."""
    for number in numbers:

        async def live(account: str = f"client-{number}") -> bool:
            found: str = await operator.api.database.fetchval(
                "select mode from accounts.account where account_id = $1", account
            )
            return found == "live"

        await until(live, timeout_s=20)
        await operator.service(f"client-{number}", f"pbx-{number}", "suspended")


async def test_the_status_counts_clients_and_names_those_that_cannot_go_live(
    operator: Operator,
) -> None:
    await without_posting(operator, "old-1")
    output = await operator.output(mode)
    assert "live 0 clients" in output
    assert "shadow 6 clients" in output
    assert "without opening balance 1 client" in output
    assert "old-1" in output
    assert (await operator.json(mode))["without_posting"] == 1


async def test_all_clients_go_live_in_waves_after_confirmation(operator: Operator) -> None:
    declined = await operator.run(mode, "live", "--all", typed="n\n", status=1)
    assert "5 clients in shadow will go live" in declined.stderr
    assert "Would be off: 2," in declined.stderr
    assert (await operator.json(mode))["live"] == 0
    obeying = asyncio.create_task(obey(operator, 1, 2))
    done = await operator.run(mode, "live", "--all", "--at-once", "2", typed="y\n")
    await obeying
    assert "wave 1 of 3: 2 off (2 of 5 clients" in done.stderr
    assert "wave 3 of 3: 1 on (5 of 5 clients" in done.stderr
    assert "5 of 5 clients live now" in done.stdout
    assert "2 off" in done.stdout
    assert "3 on" in done.stdout
    assert (await operator.json(mode))["live"] == 5


async def test_the_next_clients_are_shown_with_what_happens_and_go_live(
    operator: Operator,
) -> None:
    """Those who stay on come first; a client without posting is named and left in shadow."""
    await without_posting(operator, "old-1")
    declined = await operator.run(mode, "live", "--next", "4", typed="n\n", status=1)
    shown = " ".join(declined.stderr.split())
    assert shown.startswith("client-3: it stays on client-4: it stays on client-5: it stays on")
    assert "client-1: it is switched off: no credit" in shown
    assert "4 of 6 clients like that." in shown
    assert (await operator.json(mode))["live"] == 0
    done = await operator.json(mode, "live", "--next", "3", "--yes")
    assert [(each["account"], each["outcome"]) for each in done] == [
        ("client-3", "on"), ("client-4", "on"), ("client-5", "on"),
    ]  # fmt: skip
    asked = await operator.run(mode, "live", "--next", "3", "--search", "old", typed="y\n")
    assert "old-1: nothing was posted yet" in asked.stderr
    assert "Nobody to switch" in asked.stdout
    for wrong in (("--next", "3", "--all"), ("--all", "--search", "old"), ()):
        await operator.run(mode, "live", *wrong, status=2)


async def test_a_client_without_posting_is_refused_and_the_others_go_live(
    operator: Operator,
) -> None:
    await without_posting(operator, "old-1")
    done = await operator.run(mode, "live", "--clients", "old-1, client-3,nobody", status=1)
    assert "1 of 3 clients live now" in done.stdout
    assert "2 refused" in done.stdout
    assert "there is no client 'nobody'" in " ".join(done.stdout.split())
    states = {row["account_id"]: row["mode"] for row in await operator.json(client, "list")}
    assert (states["old-1"], states["client-3"]) == ("shadow", "live")


async def test_a_client_not_confirmed_in_time_is_named_and_the_others_go_on(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "WAVE_S", 0.2)
    done = await operator.json(mode, "live", "--clients", "client-1,client-3")
    assert [each["outcome"] for each in done] == ["waiting", "on"]
    assert "ringfence services client-1" in done[0]["why"]


async def test_while_the_brake_is_on_no_suspension_is_awaited(operator: Operator) -> None:
    await operator.api.database.execute(
        "update suspender.brake set on_since = now(), cause = 'rates of deck 12'"
    )
    asked = await operator.run(mode, "live", "--all", typed="n\n", status=1)
    assert "The brake is on" in asked.stderr
    (done,) = await operator.json(mode, "live", "--clients", "client-1")
    assert (done["outcome"], "brake" in done["why"]) == ("on", True)


async def test_into_shadow_what_was_off_is_switched_on_or_left(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "WAVE_S", 0.2)
    for number in (1, 2):
        await operator.api.put(f"clients/client-{number}/mode", {"mode": "live"})
        await operator.service(f"client-{number}", f"pbx-{number}", "suspended")
    (left,) = await operator.json(mode, "shadow", "--clients", "client-1", "--leave")
    assert left["outcome"] == "off"
    (still,) = await operator.json(mode, "shadow", "--clients", "client-2")
    assert still["outcome"] == "waiting"
    listed = await operator.output(client, "list")
    assert "would be off" in listed


async def test_clients_must_be_named_and_json_needs_yes(operator: Operator) -> None:
    assert "--clients" in await operator.output(mode, "live", status=2)
    assert "--yes" in await operator.output(mode, "live", "--all", "--json", status=2)
    assert (await operator.json(mode))["live"] == 0


async def test_no_client_to_switch_is_reported(operator: Operator) -> None:
    assert "every client is in shadow already" in await operator.output(
        mode, "shadow", "--all", "--yes"
    )


async def test_services_of_a_client_in_shadow_show_what_they_would_be(operator: Operator) -> None:
    await operator.service("client-1", "pbx-1", "active", would="suspended", live=False)
    await operator.service("client-1", "pbx-1b", "active")
    output = (await operator.run(services, "client-1")).stdout.splitlines()
    lines = [line for line in output if line.startswith("pbx-1")]
    assert ["would be off" in line for line in lines] == [True, False]
