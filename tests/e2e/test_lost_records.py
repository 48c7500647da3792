"""Records that Kafka lost, and databases that were restored: everything converges by itself.

One stack of its own: its topics lose records.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ringfence.secret_files import SERVICES
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    ALL_TOPICS,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    PAYMENT_RECEIVED,
)
from ringfence_local.demo.sample import SampleApi, SampleClient
from ringfence_local.stack import Stack
from ringfence_testing.wait import until
from tests.support.lost_records import (
    dump,
    lose_records,
    lose_topics,
    relayed,
    restore_schema,
    set_back,
    stopped,
)
from tests.support.stack_harness import StackHarness

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1800)]

LOOKS = {"RINGFENCE_ANTI_ENTROPY_S": "2"}
HEALED_S = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lossy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackHarness]:
    folder = tmp_path_factory.mktemp("lossy")
    async with (
        Stack(folder, wanted_ports={}, environment=LOOKS) as stack,
        SampleApi(stack) as door,
    ):
        yield StackHarness(stack, door)


def client_of(number: int, opening: str = "20.00") -> SampleClient:
    return SampleClient(
        f"7{number:03d}", f"Client{number}", "Lost", "", f"c{number}.lost.example",
        f"519666{number:04d}", ("2112",), opening, threshold="",
    )  # fmt: skip


async def settled(town: StackHarness, client: SampleClient, micro: int) -> None:
    """Wait until the ledger has this balance, and the payments of the client each once."""

    async def is_right() -> bool:
        return await town.balance(client) == micro

    await until(is_right, timeout_s=HEALED_S, what=f"{client.account_id} has {micro}")


async def known_everywhere(town: StackHarness, client: SampleClient) -> None:
    """Wait until every reader has the version of the client that accounts has."""

    async def is_known() -> bool:
        return bool(
            await town.one(
                "select count(*) = 4 from report.profile_copy c join accounts.account a"
                " using (account_id) where a.account_id = $1 and c.version = a.version",
                client.account_id,
            )
        )

    await until(is_known, timeout_s=HEALED_S, what="every reader has the profile")


async def move_in(town: StackHarness, client: SampleClient) -> None:
    await town.move_in(client)
    await settled(town, client, round(float(client.opening) * 1_000_000))
    await known_everywhere(town, client)


async def test_a_top_up_whose_record_is_lost_reaches_the_ledger_once(lossy: StackHarness) -> None:
    client = client_of(1)
    await move_in(lossy, client)
    async with stopped(lossy, "rating"):
        await lossy.door.top_up(client.account_id, "5.00", "lost-1")
        await relayed(lossy, "accounts")
        assert await lose_records(lossy.stack.bootstrap, PAYMENT_RECEIVED) > 0
    await settled(lossy, client, 25_000_000)
    posted = "select count(*) from rating.ledger where account_id = $1 and kind = 'top-up'"
    assert await lossy.one(posted, client.account_id) == 1
    await until(
        lambda: lossy.one("select count(*) = 0 from accounts.missing_copy"), timeout_s=HEALED_S
    )


async def test_a_profile_change_whose_record_is_lost_reaches_every_reader(
    lossy: StackHarness,
) -> None:
    client = client_of(2)
    await move_in(lossy, client)
    readers = ("rating", "balance-watch", "suspender", "notifier")
    async with stopped(lossy, *readers):
        await lossy.door.patch(f"/clients/{client.account_id}", {"low_balance_threshold": "3.50"})
        await relayed(lossy, "accounts")
        await lose_topics(lossy.stack.bootstrap, ACCOUNT_CHANGED)
    await known_everywhere(lossy, client)
    threshold = "select threshold_micro from balance_watch.account where account_id = $1"
    assert await lossy.one(threshold, client.account_id) == 3_500_000


async def test_a_lost_crossing_switches_and_mails_once(lossy: StackHarness) -> None:
    client = client_of(3, "0.10")
    await move_in(lossy, client)
    await until(lambda: is_on(lossy, client), timeout_s=HEALED_S)
    async with stopped(lossy, "suspender", "notifier"):
        await place_call(lossy, client, 10)
        await until(lambda: has_crossed(lossy, client), timeout_s=HEALED_S)
        topics = (BALANCE_LOW, BALANCE_ZERO, BALANCE_RESTORED)
        assert await lose_records(lossy.stack.bootstrap, *topics) > 0
    await until(lambda: is_off(lossy, client), timeout_s=HEALED_S, what="the trunk is off")
    await until(lambda: lossy.mails(client) == ["VoIP Zero Balance"], timeout_s=HEALED_S)
    await until(lambda: accounts_has_it_off(lossy, client), timeout_s=HEALED_S)


async def test_offsets_that_are_set_back_change_nothing(lossy: StackHarness) -> None:
    client = client_of(4, "0.10")
    await move_in(lossy, client)
    await place_call(lossy, client, 10)
    await until(lambda: is_off(lossy, client), timeout_s=HEALED_S, what="the trunk is off")
    await until(lambda: lossy.mails(client) == ["VoIP Zero Balance"], timeout_s=HEALED_S)
    before = await ledger(lossy)
    async with stopped(lossy, *SERVICES):
        for service in SERVICES:
            read = [topic for topic in ALL_TOPICS if service in topic.readers]
            if read:
                await set_back(lossy.stack.bootstrap, service, *read)
    late = client_of(5)
    await move_in(lossy, late)  # everything before it was read again
    assert [row for row in await ledger(lossy) if row["account_id"] != late.account_id] == before
    assert lossy.mails(client) == ["VoIP Zero Balance"]
    assert await is_off(lossy, client)


async def test_a_restored_schema_of_rating_gets_its_payments_and_calls_again(
    lossy: StackHarness, tmp_path: Path
) -> None:
    client, file = client_of(6), tmp_path / "rating.dump"
    await move_in(lossy, client)
    await asyncio.to_thread(dump, lossy.stack.dsn, file, "-nrating")
    await lossy.door.top_up(client.account_id, "5.00", "restored-1")
    await place_call(lossy, client, 10)
    await settled(lossy, client, 24_856_000)
    watched = "select balance_version from balance_watch.account where account_id = $1"
    await until(lambda: is_watched(lossy, client, 24_856_000), timeout_s=HEALED_S)
    version = await lossy.one(watched, client.account_id)
    async with stopped(lossy, "rating"):
        await restore_schema(lossy.stack.dsn, file, "rating")
        assert await lossy.balance(client) == 20_000_000
    await settled(lossy, client, 24_856_000)
    await until(lambda: is_watched(lossy, client, 24_856_000), timeout_s=HEALED_S)
    assert await lossy.one(watched, client.account_id) > version
    kinds = "select kind from rating.ledger where account_id = $1 order by kind"
    entries = [row["kind"] for row in await lossy.sql(kinds, client.account_id)]
    assert entries == ["adjustment", "charge", "top-up"]
    assert "rating" in await restored_alarms(lossy)
    await verified(lossy)


async def test_a_database_of_last_night_continues_above_and_payments_are_claimed(
    lossy: StackHarness, tmp_path: Path
) -> None:
    """By the commands: `backup`, and `restore --into`."""
    client, folder = client_of(7), str(tmp_path / "backup")
    await move_in(lossy, client)
    await command(lossy, "backup", folder)
    await lossy.door.top_up(client.account_id, "5.00", "last-night-1")
    await lossy.door.patch(f"/clients/{client.account_id}", {"low_balance_threshold": "3.50"})
    await place_call(lossy, client, 10)
    await settled(lossy, client, 24_856_000)
    await known_everywhere(lossy, client)
    published = await lossy.one(VERSION, client.account_id)
    async with stopped(lossy, *SERVICES):
        await command(lossy, "restore", folder, "--into", lossy.stack.dsn, "--yes")
        for service in SERVICES:
            schema = service.replace("-", "_")
            await lossy.sql(f"update {schema}.look set looked_at = looked_at - interval '1 day'")
        assert await lossy.one(VERSION, client.account_id) < published
    await until(lambda: continues_above(lossy, client, published), timeout_s=HEALED_S)
    await settled(lossy, client, 19_856_000)
    assert {"accounts", "rating"} <= await restored_alarms(lossy)
    await until(lambda: is_unclaimed(lossy, client), timeout_s=HEALED_S)
    await command(lossy, "payments", "claim", "--from-topic", "--reason", "restored", "--yes")
    await settled(lossy, client, 24_856_000)
    await known_everywhere(lossy, client)
    await until(lambda: is_watched(lossy, client, 24_856_000), timeout_s=HEALED_S)
    await verified(lossy)


VERSION = "select version from accounts.account where account_id = $1"


async def ledger(town: StackHarness) -> list[dict[str, Any]]:
    """All entries, with what makes their sums."""
    rows = await town.sql(
        "select account_id, version, entry_id, amount_micro from rating.ledger"
        " order by account_id, version"
    )
    return [dict(row) for row in rows]


async def is_watched(town: StackHarness, client: SampleClient, micro: int) -> bool:
    found = "select balance_micro from balance_watch.account where account_id = $1"
    return bool(await town.one(found, client.account_id) == micro)


async def restored_alarms(town: StackHarness) -> set[str]:
    rows = await town.sql("select service from report.alarm where key = 'restored'")
    return {row["service"] for row in rows}


async def continues_above(town: StackHarness, client: SampleClient, version: int) -> bool:
    return bool(await town.one(VERSION, client.account_id) > version)


async def is_unclaimed(town: StackHarness, client: SampleClient) -> bool:
    found = "select count(*) = 1 from report.unclaimed_payment where account_id = $1"
    return bool(await town.one(found, client.account_id))


def ringfence(town: StackHarness, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command on the stack."""
    environment = {
        **os.environ,
        "RINGFENCE_API": town.stack.api_url,
        "RINGFENCE_TOKEN": town.stack.api_token,
        "RINGFENCE_KAFKA_BOOTSTRAP": town.stack.bootstrap,
        "RINGFENCE_POSTGRES_DSN": town.stack.dsn,
    }
    return subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip


async def command(town: StackHarness, *arguments: str) -> None:
    """Run a command, which must succeed."""
    done = await asyncio.to_thread(ringfence, town, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


async def verified(town: StackHarness) -> None:
    """Wait until no copy differs, and all other checks of `ringfence verify` hold."""
    await until(lambda: town.one("select count(*) = 0 from rating.drift_i12"), timeout_s=HEALED_S)
    await command(town, "verify", "--wait", "30")


async def place_call(town: StackHarness, client: SampleClient, minutes: int) -> None:
    """A call to Toronto; a minute costs 0.0144."""
    call = {
        "domain_name": client.tenant,
        "extension": client.extensions[0],
        "direction": "outbound",
        "destination_number": "14165550100",
        "billsec": 60 * minutes,
    }
    await town.door.pbx("calls", [call])


async def is_off(town: StackHarness, client: SampleClient) -> bool:
    return await town.trunk(client) == (False, False)


async def is_on(town: StackHarness, client: SampleClient) -> bool:
    return await town.trunk(client) == (True, True)


async def has_crossed(town: StackHarness, client: SampleClient) -> bool:
    held = "select coalesce(bool_or(held), false) from balance_watch.account where account_id = $1"
    return bool(await town.one(held, client.account_id))


async def accounts_has_it_off(town: StackHarness, client: SampleClient) -> bool:
    found = (
        "select coalesce(bool_or(suspended), false) from accounts.service_state"
        " where account_id = $1"
    )
    return bool(await town.one(found, client.account_id))
