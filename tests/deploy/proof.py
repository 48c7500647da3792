"""What must be true of a deployed stack after calls were ingested during kills and restarts."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from ringfence_local.demo.sample import SampleApi, SampleClient, add_client
from ringfence_testing.wait import until
from tests.deploy.calls_coming import CallsComing
from tests.deploy.deployed import DeployedStack

MICRO = 1_000_000
COST_MICRO = 14_400
"""The cost of a minute to Toronto: 0.012 plus a markup of 20 %."""


async def eventually(condition: Callable[[], Any], what: str, bound_s: float = 120.0) -> Any:
    """Wait for a condition that runs the engine's command, in a thread."""
    return await until(
        lambda: asyncio.to_thread(condition), timeout_s=bound_s, every_s=0.5, what=what
    )


async def balance(api: SampleApi, client: SampleClient) -> int:
    return int((await api.ask(f"/clients/{client.account_id}/balance"))["balance_micro"])


def opening_micro(client: SampleClient) -> int:
    whole, _, cents = client.opening.partition(".")
    return int(whole + cents) * MICRO // 100


def minute_call(client: SampleClient) -> dict[str, Any]:
    return {
        "domain_name": client.tenant,
        "extension": client.extensions[0],
        "direction": "outbound",
        "destination_number": "14165550100",
        "billsec": 60,
    }


async def has_balance(api: SampleApi, client: SampleClient, micro: int) -> bool:
    return await balance(api, client) == micro


def clients_near_zero(prefix: str, surname: str) -> list[SampleClient]:
    """Five clients; 75 calls of a minute use up the credit of three of them, the others keep some.

    `prefix` is two digits, with which ids and numbers begin.
    """
    tenant = f"{surname.lower()}.example"
    return [
        SampleClient(
            f"{prefix}{n:02d}", f"Client{n}", surname, "", f"c{n}.{tenant}",
            f"519555{prefix}{n:02d}", ("2112",), opening,
        )
        for n, opening in enumerate(("60.00", "17.00", "0.36", "0.72", "1.08"))
    ]  # fmt: skip


async def enter_clients(api: SampleApi, clients: list[SampleClient]) -> None:
    """Enter clients, and wait until each has its opening balance."""
    for client in clients:
        await add_client(api, client)
    for client in clients:
        opening = opening_micro(client)
        await until(partial(has_balance, api, client, opening), timeout_s=60)


async def charged_once_each(
    api: SampleApi,
    clients: list[SampleClient],
    calls: CallsComing,
    paid_micro: dict[str, int],
) -> None:
    """Check that the ledgers have each placed call once and nothing else, to the micro-unit."""
    for client in clients:
        due = opening_micro(client) + paid_micro.get(client.account_id, 0)
        due -= calls.placed * COST_MICRO
        await until(
            partial(has_balance, api, client, due),
            timeout_s=180,
            what=f"{client.account_id} has {due}",
        )
    for client in clients:
        path = f"/clients/{client.account_id}"
        rated = [row["call_id"] for row in await everything(api, f"{path}/calls")]
        assert sorted(rated) == sorted(calls.call_ids(client))
        entries = await everything(api, f"{path}/ledger")
        charges = [entry["amount_micro"] for entry in entries if entry["kind"] == "charge"]
        assert charges == [-COST_MICRO] * calls.placed


async def everything(api: SampleApi, path: str) -> list[dict[str, Any]]:
    """The items of all pages of a list."""
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await api.ask(f"{path}?limit=200{cursor}")
        rows += page["items"]
        if page["next"] is None:
            return rows
        cursor = f"&cursor={page['next']}"


async def switched_once_each(
    stack: DeployedStack, api: SampleApi, clients: list[SampleClient]
) -> None:
    """Check that clients without credit were switched off by one change, and on again by one."""
    broke = [client for client in clients if await balance(api, client) <= 0]
    assert len(broke) == 3
    for client in broke:
        await until(partial(confirmed, api, client, "suspended"), timeout_s=60, what="all are off")
    assert await changes(stack, clients) == {client.tenant: [False] for client in broke}
    await api.top_up(broke[0].account_id, "100.00", "storm-recovery")
    await until(lambda: confirmed(api, broke[0], "active"), timeout_s=60, what="it is on")
    expected = {client.tenant: [False] for client in broke} | {broke[0].tenant: [False, True]}
    assert await changes(stack, clients) == expected


async def confirmed(api: SampleApi, client: SampleClient, state: str) -> bool:
    services = await api.ask(f"/clients/{client.account_id}/services")
    return [service["confirmed"] for service in services["items"]] == [state]


async def changes(stack: DeployedStack, clients: list[SampleClient]) -> dict[str, list[bool]]:
    """The changes of each trunk's flag at the simulated PBX, in order."""
    async with httpx.AsyncClient(base_url=stack.pbx_url, trust_env=False) as pbx:
        found = (await pbx.get("/_sim/changes")).json()
    tenants = {client.gateway_id: client.tenant for client in clients}
    seen: dict[str, list[bool]] = {}
    for change in found:
        if change["uuid"] in tenants and change["what"] == "enabled":
            seen.setdefault(tenants[change["uuid"]], []).append(change["value"])
    return seen


def assert_no_mail_twice(stack: DeployedStack, clients: list[SampleClient]) -> None:
    mails = [
        (mail["To"], str(mail["Subject"]))
        for mail in stack.inbox.messages()
        if any(client.tenant in str(mail["To"]) for client in clients)
    ]
    assert sorted(set(mails)) == sorted(mails)
    assert len(mails) >= 3
