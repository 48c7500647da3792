"""The jobs of rating: what each results in, how it is refused, and that it can be begun again."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from rating.jobs.wiring import job_handlers
from ringfence.postgres.jobs import Job
from ringfence_contracts.errors import BadInput, Conflict
from ringfence_contracts.ids import derive
from ringfence_testing.records import NOON, account, call
from tests.support.rating import Bench, open_bench, payment

DEARER = ("1", "North America", "0.03", 60, 60, 1)
ORDER = {"tariff": "north", "version": "2", "from": "2026-11-01", "to": "2026-12-01"}


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    async with open_bench(database) as bench:
        yield bench


class Progressed:
    """What a handler reported."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int | None, int | None]] = []

    def __call__(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self.reports.append((text, done, total))


def job(command: str, **arguments: str) -> Job:
    return Job(uuid4(), command, arguments, "jane", NOON, NOON, 1)


async def run(bench: Bench, asked: Job, progressed: Progressed | None = None) -> dict[str, Any]:
    """The result of a job."""
    handlers = job_handlers(bench.pool, "127.0.0.1:9", bench.clock)
    return dict(await handlers[asked.command](asked, progressed or Progressed()))


async def test_a_sound_ledger_is_verified_with_its_sums(bench: Bench) -> None:
    await bench.pay(payment("k", 5_000_000))
    await bench.rate(call(1), call(2))
    progressed = Progressed()
    found = await run(bench, job("verify", wait_s="0"), progressed)
    assert [check["name"] for check in found["checks"]] == [
        "I1", "I2", "I3", "I4", "I8", "I10", "I11", "I12",
    ]  # fmt: skip
    assert {check["name"] for check in found["checks"] if not check["holds"]} <= {"I3", "I12"}
    assert found["sums"] == [
        {
            "currency": "CAD",
            "accounts": 1,
            "entries": 3,
            "charges_micro": 20_000,
            "paid_micro": 5_000_000,
            "balance_micro": 4_980_000,
        }
    ]
    assert ("ledger", 0, 3) in progressed.reports


async def test_a_difference_is_found(bench: Bench) -> None:
    await bench.rate(call())
    await bench.sql("update rating.account set balance_micro = 5")
    found = await run(bench, job("verify", wait_s="0"))
    assert not found["holds"]
    (line,) = found["checks"][0]["differences"]
    assert "account 1001: balance 5, entries sum to -10000" in line


async def test_a_verification_lets_other_work_of_the_process_have_its_turn(bench: Bench) -> None:
    """The worker rates beside it: a page of 5,000 charges must not be one step."""
    await bench.rate(*(call(n) for n in range(3000)))
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(beside())
    progressed = Progressed()
    before: list[int] = []

    def report(text: str, done: int | None = None, total: int | None = None) -> None:
        progressed(text, done, total)
        if text == "costs":
            before.append(turns)

    handlers = job_handlers(bench.pool, "127.0.0.1:9", bench.clock)
    await handlers["verify"](job("verify", wait_s="0", full="yes"), report)
    other.cancel()
    costs = [done for text, done, _ in progressed.reports if text == "costs" and done is not None]
    assert costs == list(range(0, 3001, 200))[: len(costs)]
    assert len(costs) == 15
    assert all(b > a for a, b in pairwise(before))


@pytest.mark.parametrize("wait", ["-1", "soon", "601", "nan"])
async def test_a_wait_that_is_no_bounded_time_is_refused(bench: Bench, wait: str) -> None:
    with pytest.raises(BadInput, match="expected a number of seconds from 0 to 600"):
        await run(bench, job("verify", wait_s=wait))


def total(examined: int, charged_micro: int, difference_micro: int) -> dict[str, object]:
    return {
        "currency": "CAD",
        "examined": examined,
        "charged_micro": charged_micro,
        "difference_micro": difference_micro,
    }


async def test_a_dry_run_names_each_client_that_differs_and_writes_nothing(bench: Bench) -> None:
    await bench.save_accounts(account("1002", tenant="south.example"))
    await bench.rate(call(1), call(2, tenant="south.example"), call(3, tenant="south.example"))
    await bench.publish_tariff(DEARER, version=2)
    progressed = Progressed()
    found = await run(bench, job("rerate.dry_run", **ORDER), progressed)
    assert found == {
        "run_id": None,
        "accounts": [
            {
                "account_id": "1001",
                "currency": "CAD",
                "examined": 1,
                "charged_micro": 10_000,
                "differ": 1,
                "difference_micro": -20_000,
            },
            {
                "account_id": "1002",
                "currency": "CAD",
                "examined": 2,
                "charged_micro": 20_000,
                "differ": 2,
                "difference_micro": -40_000,
            },
        ],
        "totals": [total(3, 30_000, -60_000)],
        "unchanged": [],
    }
    assert progressed.reports == [("clients", 1, 2), ("clients", 2, 2)]
    assert await bench.sql("select * from report.rerate_run") == []


async def test_a_run_that_is_begun_again_after_it_ended_says_the_same_and_posts_nothing(
    bench: Bench,
) -> None:
    """The worker was killed between the last account and the stored result."""
    await bench.rate(call(1), call(2))
    await bench.publish_tariff(DEARER, version=2)
    apply = job("rerate.apply", **ORDER)
    first = await run(bench, apply)
    entries = await bench.entries()
    assert first["run_id"] == str(derive("rerate-run", apply.request_id))
    assert [each["differ"] for each in first["accounts"]] == [2]
    assert await run(bench, apply) == first
    assert await bench.entries() == entries
    assert await bench.balance() == -60_000
    undo = job("rerate.undo", run=first["run_id"])
    undone = await run(bench, undo)
    assert undone["totals"] == [total(2, 60_000, 40_000)]
    assert await run(bench, undo) == undone
    assert await bench.balance() == -20_000


async def test_a_run_that_is_begun_again_in_the_middle_is_completed(bench: Bench) -> None:
    await bench.save_accounts(account("1002", tenant="south.example"))
    await bench.rate(call(1), call(2, tenant="south.example"))
    await bench.publish_tariff(DEARER, version=2)
    apply = job("rerate.apply", **ORDER)

    def killed(text: str, done: int | None = None, total: int | None = None) -> None:
        raise asyncio.CancelledError

    handlers = job_handlers(bench.pool, "127.0.0.1:9", bench.clock)
    with pytest.raises(asyncio.CancelledError):
        await handlers["rerate.apply"](apply, killed)
    assert [await bench.balance("1001"), await bench.balance("1002")] == [-30_000, -10_000]
    found = await run(bench, apply)
    assert [each["account_id"] for each in found["accounts"]] == ["1001", "1002"]
    assert found["totals"] == [total(2, 20_000, -40_000)]
    (listed,) = await bench.sql("select * from report.rerate_run")
    assert (listed["state"], listed["calls"], listed["difference_micro"]) == ("applied", 2, -40_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "9"}, "version: got 9, expected a version of north: 1"),
        ({"version": "two"}, "version: got 'two', expected the number of a version"),
        ({"tariff": " "}, "tariff: got '', expected the id of a tariff"),
        ({"from": "May"}, "from: got 'May', expected a day such as 2026-11-01"),
        ({"account": "nobody"}, "account: got 'nobody', expected an account with a ledger"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_in_words(
    bench: Bench, arguments: dict[str, str], message: str
) -> None:
    await bench.rate(call())
    given = ORDER | {"version": "1"} | arguments
    with pytest.raises(BadInput, match=message):
        await run(bench, job("rerate.dry_run", **given))


async def test_an_undo_of_an_unknown_or_a_built_upon_run_is_refused(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(DEARER, version=2)
    await bench.publish_tariff(("1", "North America", "0.05", 60, 60, 1), version=3)
    first = await run(bench, job("rerate.apply", **ORDER))
    await run(bench, job("rerate.apply", **ORDER | {"version": "3"}))
    with pytest.raises(Conflict, match="were re-rated again: undo first"):
        await run(bench, job("rerate.undo", run=first["run_id"]))
    with pytest.raises(BadInput, match="expected a run that `ringfence rerate --list` names"):
        await run(bench, job("rerate.undo", run=str(uuid4())))
    with pytest.raises(BadInput, match="run: got 'it', expected the id of a run"):
        await run(bench, job("rerate.undo", run="it"))


async def _rate_marked(bench: Bench, taken: int) -> None:
    """Rate marked calls, as the replayer does, until it were `taken`."""
    while taken > 0:
        taken -= await bench.worker.replay()
        await asyncio.sleep(0)


async def test_a_replay_settles_what_can_be_rated_and_says_why_others_wait(bench: Bench) -> None:
    await bench.rate(
        call(1, extension="2999", billsec=30),
        call(2, extension="2998"),
        call(3, destination_number="0115599", tenant="NORTH.example"),
    )
    await bench.save_accounts(account(version=2, extensions=("2112", "2999")))
    await bench.sql("update rating.unrated set replay_requested_at = null")
    progressed = Progressed()
    found, _ = await asyncio.gather(
        run(bench, job("unrated.replay", reason="unknown-product"), progressed),
        _rate_marked(bench, 2),
    )
    assert found == {
        "marked": 2,
        "settled": 1,
        "not_tried": 0,
        "waiting": [{"reason": "unknown-product", "calls": 1}],
    }
    assert progressed.reports[-1] == ("calls", 2, 2)
    assert await bench.balance() == -10_000


async def test_a_replay_that_nobody_carries_out_says_so(bench: Bench) -> None:
    await bench.rate(call(1, extension="2999"), call(2, tenant="NORTH.example", extension="2998"))
    first = str(call(1).call_id)
    by_tenant = await run(bench, job("unrated.replay", tenant="north.EXAMPLE", wait_s="0"))
    assert by_tenant == {"marked": 2, "settled": 0, "not_tried": 2, "waiting": []}
    by_id = await run(bench, job("unrated.replay", calls=f"{first[:8]},ffffffff", wait_s="0"))
    assert (by_id["marked"], by_id["not_tried"]) == (1, 1)
    none = await run(bench, job("unrated.replay", reason="no-tariff-in-force", wait_s="0"))
    assert none == {"marked": 0, "settled": 0, "not_tried": 0, "waiting": []}


async def test_a_replay_waits_no_longer_than_it_may(bench: Bench) -> None:
    await bench.rate(call(1, extension="2999"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await run(bench, job("unrated.replay", wait_s="1"))
    assert found["not_tried"] == 1
    assert 1 <= loop.time() - began < 10
