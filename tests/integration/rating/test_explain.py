"""`ringfence explain`, `account` and `replay`: what the tables contain, in words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rating.explain.account_command import account as account_command
from rating.explain.command import explain as explain_command
from rating.rerating.command import rerate as rerate_command
from rating.rerating.plan import RerateOrder
from rating.unrated.command import replay as replay_command
from ringfence_contracts.errors import BadInput
from ringfence_contracts.records import Received
from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_testing.records import NOON, account, call, from_bytes
from tests.support.rating import Bench, open_bench, payment

Say = Callable[..., Any]


@pytest.fixture
async def bench(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setenv("RINGFENCE_POSTGRES_DSN", database)
    monkeypatch.setenv("COLUMNS", "160")
    async with open_bench(database) as bench:
        yield bench


async def run(command: Any, *arguments: str, status: int = 0) -> str:
    """What a command says; the loop that it runs is its own."""
    result: Result = await asyncio.to_thread(CliRunner().invoke, command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


async def test_a_charge_is_explained_to_the_last_digit(bench: Bench) -> None:
    await bench.save_accounts(
        account(
            version=2,
            package={"markup_percent": "120", "connection_fee": "0.05", "free_minutes": 1},
        )
    )
    await bench.rate(call(billsec=130, destination_number="011442079460000"), call(2, billsec=130))
    says = await run(explain_command, str(call().call_id))
    for part in (
        "number 442079460000, dialled as 011442079460000, abroad",
        "prefix 44 (United Kingdom) of tariff north, version 1",
        "rate 0.02 per minute × 120 % = 0.024",
        "130 s of talk: the first 60 s, then every 60 s = 180 s",
        "180 s × 0.024 / 60 + 0.05 for the connection = 0.122, so 0.122 CAD",
        "rounding once per call, half up, to 0.000001",
        "balance after -0.122 CAD",
    ):
        assert part in says
    says = await run(explain_command, "call-2@pbx1")
    assert "60 s by the month's free minutes; 120 s are paid for" in says
    assert "120 s × 0.012 / 60 + 0.05 for the connection = 0.074, so 0.074 CAD" in says


async def test_a_call_is_found_by_entry_id_by_first_digits_and_by_the_id_of_its_pbx(
    bench: Bench,
) -> None:
    await bench.rate(call())
    entry_id = str(await bench.value("select entry_id from rating.ledger"))
    whole = await run(explain_command, str(call().call_id))
    for name in (entry_id, entry_id[:8], "call-1@pbx1"):
        assert await run(explain_command, name) == whole
    with pytest.raises(BadInput, match="first 8 digits"):
        await run(explain_command, "nonsense")


async def test_a_call_is_explained_with_and_without_its_word(bench: Bench) -> None:
    await bench.save_accounts(account(version=2))
    await bench.rate(call())
    said = await run(explain_command, str(call().call_id))
    assert "charged" in said
    assert await run(explain_command, "call", str(call().call_id)) == said
    assert "{" in await run(explain_command, "--json", str(call().call_id))
    help_text = await run(explain_command, "--help")
    assert "explain client" in help_text
    assert "why a client is on or off" in help_text


async def test_unrated_dead_and_not_billed_calls_are_explained_with_a_remedy(
    bench: Bench,
) -> None:
    await bench.rate(call(1, extension="2999"), call(2, billsec=0))
    bad = from_bytes(CALL_COMPLETED, b'{"billsec": -1}', call(3).call_id)
    assert isinstance(bad, Received)
    await bench.worker.handle([bad])
    says = await run(explain_command, str(call(1).call_id))
    assert "not rated yet: unknown-product" in says
    assert f"then: ringfence unrated replay {call(1).call_id}" in says
    assert "not billed: it was not answered" in await run(explain_command, "call-2@pbx1")
    assert "dead: this record can never be rated" in await run(explain_command, "call-3@pbx1")


async def test_a_call_before_its_product_is_billed_names_the_bill_from_instant(
    bench: Bench,
) -> None:
    await bench.save_accounts(
        account(version=2, service={"bill_from": NOON + timedelta(seconds=60)})
    )
    await bench.rate(call(1, billsec=59), call(2, billsec=60))
    says = await run(explain_command, "call-1@pbx1")
    assert "not billed: it ended before its product's bill-from instant" in says
    assert "billed from 2026-11-21T12:01:00+00:00" in says
    assert await bench.entries() == [("charge", -10_000)]
    assert await bench.value("select reason from rating.not_billed") == "before-bill-from"


async def test_a_replayed_call_is_rated_by_the_bill_from_instant_of_its_new_product(
    bench: Bench,
) -> None:
    """A product for a tenant whose calls were queued: what was before it is not billed."""
    await bench.rate(call(1, tenant="south.example"))
    late: dict[str, object] = {"bill_from": NOON + timedelta(days=1)}
    await bench.save_accounts(account("1002", tenant="south.example", service=late))
    assert await bench.replay() == 1
    assert await bench.sql("select * from rating.unrated") == []
    assert await bench.value("select reason from rating.not_billed") == "before-bill-from"
    assert await bench.drift() == []


async def test_a_refund_names_the_refunded_payment(bench: Bench) -> None:
    paid = payment("k", 5_000_000)
    refund = payment("r", -2_000_000, kind="adjustment", refunds=paid.payment_id)
    await bench.pay(paid, refund)
    says = await run(explain_command, str(refund.payment_id))
    assert f"refunds payment {paid.payment_id}" in says


async def test_a_rerated_call_shows_both_charges(bench: Bench) -> None:
    await bench.rate(call())
    await bench.publish_tariff(("1", "North America", "0.03", 60, 60, 1), version=2)
    arguments = ["--tariff=north", "--version=2", "--from=2026-11-01", "--to=2026-12-01"]
    assert "1 charges; difference -0.02 CAD" in await run(rerate_command, *arguments)
    says = await run(rerate_command, *arguments, "--apply")
    assert "Applied as run" in says
    says = await run(explain_command, "call-1@pbx1")
    assert "charged 0.01 CAD, and given back since" in says
    assert "charged 0.03 CAD account" in says
    listed = await run(rerate_command, "--list")
    assert "applied" in listed
    run_id = await bench.value("select run_id from rating.rerate_run")
    assert "is undone" in await run(rerate_command, "--undo", str(run_id))
    assert "undone" in await run(rerate_command, "--list")


async def test_a_balance_is_shown_with_its_entries(bench: Bench) -> None:
    await bench.pay(payment("k", 5_000_000, reference="receipt 7"))
    await bench.rate(call(1), call(2))
    says = await run(account_command, "1001")
    assert "receipt 7 5.00 5.00" in says
    assert "closing 4.98 4.98 They add up. Balance now: 4.98 CAD" in says
    says = await run(account_command, "1001", "--limit=1", "--kind=charge")
    assert "opening 0.00" in says
    assert "1 of 3 entries are shown; the sums count all." in says
    assert "opening 4.98" in await run(account_command, "1001", "--since=2100-01-01")


async def test_a_balance_that_differs_from_its_entries_is_reported_and_fails(bench: Bench) -> None:
    await bench.rate(call())
    await bench.sql("update rating.account set balance_micro = 5")
    says = await run(account_command, "1001", status=1)
    assert "all entries come to -0.01, the balance is 0.000005" in says


async def test_replay_shows_what_waits_and_rates_what_can_be_rated(bench: Bench) -> None:
    await bench.rate(
        call(1, extension="2999", billsec=30),
        call(2, extension="2998"),
        call(3, destination_number="0115599", tenant="NORTH.example"),
    )
    says = await run(replay_command)
    assert "unknown-product 2 90" in says
    assert "all 3 150" in says
    await bench.save_accounts(account(version=2, extensions=("2112", "2999")))
    await bench.sql("update rating.unrated set replay_requested_at = null")
    says, _ = await asyncio.gather(
        run(replay_command, "--reason=unknown-product"), _replay_until(bench, 2)
    )
    assert says == "1 of 2 calls are settled. 1 still wait: unknown-product"
    assert await bench.balance() == -10_000
    says = await run(replay_command, "--tenant=north.EXAMPLE", "--wait=0")
    assert says == "2 of 2 calls are marked; rating takes them up when it runs."
    assert await run(replay_command, str(call(1).call_id)) == "No such call waits to be rated."


async def _replay_until(bench: Bench, taken: int) -> None:
    while taken > 0:
        taken -= await bench.worker.replay()
        await asyncio.sleep(0.01)


async def test_a_replayed_call_is_charged_once_by_any_number_of_attempts(
    bench: Bench,
) -> None:
    calls = [call(n, extension="2999") for n in range(30)]
    await bench.rate(*calls)
    await bench.save_accounts(account(version=2, extensions=("2112", "2999")))
    workers = [bench.new_worker() for _ in range(3)]
    await asyncio.gather(
        *(worker.replay() for worker in workers for _ in range(3)),
        bench.rate(*calls, worker=bench.new_worker()),
    )
    await bench.replay()
    assert await bench.balance() == -300_000
    assert await bench.sql("select * from rating.unrated") == []
    assert await bench.drift() == []


async def test_a_replayed_call_that_still_cannot_be_rated_gets_its_new_reason(bench: Bench) -> None:
    await bench.rate(call(tenant="south.example", destination_number="011999"))
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert await bench.replay() == 1
    (row,) = await bench.sql("select reason, account_id, replay_requested_at from rating.unrated")
    assert tuple(row) == ("invalid-number", "1002", None)
    assert await bench.replay() == 0


async def test_a_call_that_waited_too_long_is_left_to_the_operator(bench: Bench) -> None:
    await bench.rate(call(tenant="south.example"))
    long_ago = NOON - timedelta(days=365 * 50)
    await bench.sql("update rating.unrated set queued_at = $1", long_ago)
    await bench.save_accounts(account("1002", tenant="south.example"))
    assert await bench.replay() == 0


def test_the_days_of_a_rerating_are_in_the_account_s_time_zone() -> None:
    start, end = RerateOrder("t", 1, "2026-03-08", "2026-03-09").span("America/Toronto")
    assert end - start == timedelta(hours=23)
