"""The previous release and these sources side by side, replaced one by one, while calls come in."""

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from ringfence.secret_files import SERVICES
from ringfence_contracts.topics import dead_letter_topics
from ringfence_local.demo.sample import SampleApi, SampleClient, add_client, load_sample
from ringfence_local.errors import StackError
from ringfence_testing.wait import until
from tests.support.mixed_stack import CannotInstall, MixedStack, unpack
from tests.support.previous_release import NotHere, previous, same_major
from tests.support.stack_harness import StackHarness

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

MINUTE = 1_800_000  # to a satellite: 1.50, and 20 % on it
SPENT_BY = 12  # such calls end the 20.00 that each client begins with
TOP_UP = 100_000_000
TALKER = SampleClient(
    "8000", "Tess", "Talks", "", "tess.up.example", "5195558000", ("2112",), "900.00"
)


def spender(number: int) -> SampleClient:
    """A client that ends its credit while a service is replaced, and pays while the next one is."""
    return SampleClient(
        f"8{number:03d}", "Sid", "Spends", "", f"s{number}.up.example", f"519556{number:04d}",
        ("2112",), "20.00",
    )  # fmt: skip


FORTH = {service: spender(100 + n) for n, service in enumerate(SERVICES)}
BACK = {service: spender(200 + n) for n, service in enumerate(SERVICES)}
"""In the same order both times: of any two services, each is once the older and once the newer."""

AccountFacts = dict[str, tuple[int, int, str, bool, int]]


class MixedTown(StackHarness):
    """Counts the actions on each client, and computes their expected effect."""

    stack: MixedStack

    def __init__(self, stack: MixedStack, door: SampleApi) -> None:
        super().__init__(stack, door)
        self.calls: Counter[SampleClient] = Counter()
        self.paid: Counter[SampleClient] = Counter()
        self.changed: set[SampleClient] = set()

    async def call(self, client: SampleClient, times: int = 1) -> None:
        """Minutes to a satellite, on record at the PBX."""
        call = {
            "domain_name": client.tenant,
            "extension": "2112",
            "direction": "outbound",
            "destination_number": "01188165501000",
            "billsec": 60,
        }
        await self.door.pbx("calls", [call] * times)
        self.calls[client] += times

    async def pay(self, client: SampleClient) -> None:
        """One payment."""
        key = f"upgrade-{client.account_id}-{self.paid[client]}"
        await _taken(lambda: self.door.top_up(client.account_id, "100.00", key))
        self.paid[client] += 1

    async def change(self, client: SampleClient) -> None:
        """Change the threshold, which every service reads."""
        path, body = f"/clients/{client.account_id}", {"low_balance_threshold": "16"}
        await _taken(lambda: self.door.patch(path, body))
        self.changed.add(client)

    @contextlib.asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Within this, calls and payments of one client arrive, some of each every second."""
        over = asyncio.Event()

        async def talk() -> None:
            while not over.is_set():
                await self.call(TALKER, 2)
                if self.calls[TALKER] % 10 == 0:
                    await self.pay(TALKER)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.2)

        task = asyncio.create_task(talk())
        try:
            yield
        finally:
            over.set()
            await task

    async def off(self, client: SampleClient) -> bool:
        """Whether its trunk is off, in the database of the PBX and at its switch."""
        return await self.trunk(client) == (False, False)

    async def known_as_off(self, client: SampleClient) -> bool:
        """Whether accounts has read that its product is off."""
        rows = await self.sql("select account_id from report.service_copy where suspended")
        return client.account_id in {row["account_id"] for row in rows}

    async def account_facts(self) -> AccountFacts:
        """Of each client: charges, balance, level, whether its funds hold it off, threshold."""
        rows = await self.sql(
            "select l.*, (select count(*) from rating.ledger e"
            " where e.account_id = l.account_id and e.kind = 'charge') as charges"
            " from report.level l"
        )
        names = ("charges", "balance_micro", "level", "held", "threshold_micro")
        return {row["account_id"]: tuple(row[name] for name in names) for row in rows}

    def expected_account_facts(self) -> AccountFacts:
        """The same by what was called, paid and changed; all who spent their credit have paid."""
        return {
            client.account_id: (
                self.calls[client],
                round(float(client.opening) * 1_000_000)
                + self.paid[client] * TOP_UP
                - self.calls[client] * MINUTE,
                "ok",
                False,
                16_000_000 if client in self.changed else 15_000_000,
            )
            for client in (TALKER, *FORTH.values(), *BACK.values())
        }

    async def switched(self) -> dict[str, list[bool]]:
        """What was ever done to each client's trunk, by its uuid."""
        found: dict[str, list[bool]] = {}
        changes = (await self.door._pbx.get("/_sim/changes")).json()
        for change in changes:
            if change["what"] == "enabled":
                found.setdefault(change["uuid"], []).append(change["value"])
        return found

    async def dead_letters(self) -> dict[str, int]:
        """How many records were put aside, by topic."""
        consumer = AIOKafkaConsumer(*dead_letter_topics(), bootstrap_servers=self.stack.bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
        finally:
            await consumer.stop()
        assert {partition.topic for partition in ends} == set(dead_letter_topics())
        return {partition.topic: end for partition, end in ends.items() if end}


async def _taken(request: Callable[[], Awaitable[object]]) -> None:
    """Ask the front door until it has taken a request: it may be away for a moment."""

    async def taken() -> bool:
        try:
            await request()
        except (httpx.TransportError, StackError):
            return False
        return True

    await until(taken, timeout_s=60, what="the front door takes a request")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MixedTown]:
    """Everything as released, with clients that have called and paid already."""
    release = previous()
    if not same_major(release):
        pytest.skip(f"release {release.version} is another major, and need not run beside this one")
    try:
        released = unpack(release, tmp_path_factory.mktemp("released"))
    except (NotHere, CannotInstall) as why:
        pytest.skip(f"release {release.version} cannot run beside these sources: {why}")
    stack = MixedStack(tmp_path_factory.mktemp("stack"), released)
    async with stack, SampleApi(stack) as door:
        town = MixedTown(stack, door)
        await _taken(lambda: door.ask("/packages"))  # it listens a moment after /health answers
        await load_sample(door, [])
        clients = (TALKER, *FORTH.values(), *BACK.values())
        await asyncio.gather(*(add_client(door, client) for client in clients))
        await town.call(TALKER, 20)
        await town.pay(TALKER)
        await until(lambda: all_posted(town), timeout_s=60, what="the released services work")
        yield town


async def test_services_are_replaced_one_by_one_beside_the_old_ones(town: MixedTown) -> None:
    """As in a cluster: the new one starts before the old one ends, on one database and broker.

    The front door's port can be held by one only.
    """
    assert set(town.stack.old.values()) == {True}
    async with town.talking():
        await town.stack.upgrade_database()
        for service, client in FORTH.items():
            await spend_during(town, client, service, old=False, together=service != "accounts")
    await all_is_right(town, FORTH.values())


async def test_services_are_put_back_one_by_one(town: MixedTown) -> None:
    """As by systemd or compose: the new one ends, then the old one starts, the schema stays."""
    for service in SERVICES:
        if town.stack.old[service]:
            await town.stack.replace(service, old=False)
    await town.stack.upgrade_database()
    await town.stack.repeat_old_migrations()
    async with town.talking():
        for service, client in BACK.items():
            await spend_during(town, client, service, old=True, together=False)
    await all_is_right(town, BACK.values())


async def spend_during(
    town: MixedTown, client: SampleClient, service: str, *, old: bool, together: bool
) -> None:
    """A client uses its credit up while a service is replaced, is off, gets a mail, and pays.

    A client that paid earlier would get no mail that credit is used up.
    """
    await town.call(client, SPENT_BY)
    await town.stack.replace(service, old=old, together=together)
    await town.change(client)
    what = f"{client.tenant} is off and has its mail while {service} is replaced"
    await until(lambda: town.off(client), timeout_s=60, what=what)
    await until(lambda: "VoIP Zero Balance" in town.mails(client), timeout_s=60, what=what)
    what = f"accounts knows that {client.tenant} is off"  # releases mistake off for newer than on
    await until(lambda: town.known_as_off(client), timeout_s=60, what=what)
    await town.pay(client)


async def all_is_right(town: MixedTown, spent: Iterable[SampleClient]) -> None:
    """Each call is charged, each payment posted, each client switched and mailed once."""
    assert town.stack.crashes() == []
    await until(lambda: all_posted(town), timeout_s=60, what="all is posted")
    assert await town.account_facts() == town.expected_account_facts()
    for client in spent:
        await until(partial(mails_sent, town, client), timeout_s=60, what="each has its mails")
        assert await town.trunk(client) == (True, True)
    clients = [c for c in (*FORTH.values(), *BACK.values()) if town.paid[c]]
    assert await town.switched() == {c.gateway_id: [False, True] for c in clients}
    assert town.mails(TALKER) == []
    assert await town.dead_letters() == {}
    assert await town.one("select count(*) from rating.dead_call") == 0
    assert await town.one("select count(*) from cdr_ingest.record where disposition = 'dead'") == 0
    verify(town)


async def all_posted(town: MixedTown) -> bool:
    """Whether every call and payment is posted, and every level follows from it."""
    return await town.account_facts() == town.expected_account_facts()


async def mails_sent(town: MixedTown, client: SampleClient) -> bool:
    """One mail at the end of its credit, one when it is on again; none of them twice.

    The warning may be overtaken by the end.
    """
    mails = Counter(town.mails(client))
    assert max(mails.values(), default=1) == 1, mails
    return mails.keys() - {"Low Balance Alert"} == {"VoIP Zero Balance", "VoIP Restored"}


def verify(town: MixedTown) -> None:
    """Check balances and funds holds against a recomputation from their causes."""
    done = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", "database", "verify", "--dsn", town.stack.dsn],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
