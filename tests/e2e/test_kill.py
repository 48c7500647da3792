"""kill -9 of each service in the middle of 2,000 calls: sums exact, nothing lost, one mail each."""

import asyncio
import os
import signal
import subprocess
import sys

import httpx
import pytest

from ringfence.secret_files import SERVICES
from ringfence_local.demo.sample import SampleClient
from ringfence_local.errors import StackError
from ringfence_testing.wait import until
from tests.support.stack_harness import StackHarness

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

CALLS_EACH = 400
COST_MICRO = 14_400  # a minute to Toronto: 0.012, and 20 % on it
TOP_UP = 3_000_000


def clients_of(number: int) -> list[SampleClient]:
    """Two that stay above the threshold, two that become low, one that ends at exactly 0."""
    openings = ("60.00", "20.77", "20.00", "16.00", "5.76")  # each spends 5.76
    return [
        SampleClient(
            f"6{number}{n:02d}", f"Client{n}", "Kill", "", f"c{n}.k{number}.example",
            f"519555{number}{n:03d}"[:10], ("2112",), opening,
        )
        for n, opening in enumerate(openings)
    ]  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_loses_and_repeats_nothing(town: StackHarness, service: str) -> None:
    clients = clients_of(SERVICES.index(service))
    for client in clients:
        await town.move_in(client)
    paid = asyncio.create_task(keep_paying(town, clients[0], f"kill-{service}"))
    await place_calls(town, clients, 160)
    await until(lambda: town_accepted(town, clients, 200), timeout_s=60, what="calls come in")
    os.kill(town.stack.supervisor.pid(service), signal.SIGKILL)
    await place_calls(town, clients, CALLS_EACH - 160)
    await paid
    await until(lambda: all_charged(town, clients), timeout_s=120, what="all calls are charged")
    for client in clients:
        spent = CALLS_EACH * COST_MICRO
        extra = TOP_UP if client is clients[0] else 0
        opening = round(float(client.opening) * 1_000_000)
        assert await town.balance(client) == opening + extra - spent
    await until(lambda: all_mails_sent(town, clients, service), timeout_s=60, what="one mail each")
    await until(lambda: switched_off(town, clients[4]), timeout_s=60, what="the trunk is off")
    assert town.stack.supervisor.restart_count(service) >= 1
    verify(town)


async def place_calls(town: StackHarness, clients: list[SampleClient], each: int) -> None:
    for client in clients:
        call = {
            "domain_name": client.tenant,
            "extension": "2112",
            "direction": "outbound",
            "destination_number": "14165550100",
            "billsec": 60,
        }
        await town.door.pbx("calls", [call] * each)


async def keep_paying(town: StackHarness, client: SampleClient, key: str) -> None:
    """Post one payment, by one key, and retry while accounts may be down."""

    async def taken() -> bool:
        try:
            await town.door.top_up(client.account_id, "3.00", key)
        except (httpx.TransportError, StackError):
            return False
        return True

    for _ in range(20):
        await until(taken, timeout_s=60)


async def town_accepted(town: StackHarness, clients: list[SampleClient], count: int) -> bool:
    tenants = [client.tenant for client in clients]
    return bool(
        await town.one(
            "select count(*) >= $2 from cdr_ingest.record where tenant = any($1)", tenants, count
        )
    )


async def all_charged(town: StackHarness, clients: list[SampleClient]) -> bool:
    accounts = [client.account_id for client in clients]
    return bool(
        await town.one(
            "select count(*) = $2 from rating.ledger"
            " where account_id = any($1) and kind = 'charge'",
            accounts,
            CALLS_EACH * len(clients),
        )
    )


async def all_mails_sent(town: StackHarness, clients: list[SampleClient], service: str) -> bool:
    """Each crossing has one mail; one that the killed notifier was sending may be in doubt."""
    low, zero = ["Low Balance Alert"], ["VoIP Zero Balance"]
    allowed = [([],), ([],), (low,), (low,), (zero, low + zero)]  # a low alert may be overtaken
    doubtful = {
        row["account_id"]
        for row in await town.sql(
            "select account_id from notifier.message where state = 'in-doubt'"
        )
    }
    assert not doubtful or service == "notifier"
    sent = [town.mails(client) for client in clients]
    for mails in sent:
        assert len(mails) == len(set(mails)), f"a mail came twice: {mails}"
    return all(
        mails in due or (client.account_id in doubtful and len(mails) < len(due[-1]))
        for client, mails, due in zip(clients, sent, allowed, strict=True)
    )


async def switched_off(town: StackHarness, client: SampleClient) -> bool:
    return await town.trunk(client) == (False, False)


def verify(town: StackHarness) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", "database", "verify", "--dsn", town.stack.dsn],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
