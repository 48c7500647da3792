"""`ringfence topup` and `payments`: postings, refunds, and claims of lost payments."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer

from ringfence_cli.payments import posting
from ringfence_cli.payments.payments import payments
from ringfence_cli.payments.topup import topup
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.topics import PAYMENT_RECEIVED
from ringfence_testing.wait import until
from tests.support.accounts import TOKEN, running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        operator = Operator(api)
        await api.client(opening_balance="-3.60")
        await operator.product("anna", "pbx-1")
        await operator.posted("anna", -3_600_000)
        await operator.level("anna", "exhausted", -3_600_000)
        await operator.service("anna", "pbx-1", "suspended")
        yield operator


async def accepted(operator: Operator, number: int) -> None:
    """Wait until accounts has this number of payments of anna."""

    async def enough() -> bool:
        found: int = await operator.api.database.fetchval(
            "select count(*) from accounts.payment where account_id = 'anna'"
        )
        return found >= number

    await until(enough, timeout_s=10)


async def post_and_restore(operator: Operator) -> None:
    """Do what rating, balance-watch and the suspender do for a top-up of 20.00."""
    await accepted(operator, 2)
    await operator.posted("anna", 16_400_000)
    await operator.level("anna", "ok", 16_400_000)
    await operator.service("anna", "pbx-1", "active")


async def test_a_top_up_shows_the_new_balance_and_what_is_on_again(operator: Operator) -> None:
    others = asyncio.create_task(post_and_restore(operator))
    output = await operator.run(topup, "anna", "20.00")
    await others
    posted, service = output.stdout.splitlines()
    assert posted == "20.00 CAD posted to anna. New balance: 16.40 CAD."
    assert service.startswith("service pbx-1 on again after ")


async def test_a_top_up_that_is_too_small_shows_what_stays_off(operator: Operator) -> None:
    async def post() -> None:
        await accepted(operator, 2)
        await operator.posted("anna", -2_600_000)
        await operator.level("anna", "exhausted", -2_600_000)

    others = asyncio.create_task(post())
    output = await operator.run(topup, "anna", "1.00")
    await others
    assert "New balance: -2.60 CAD." in output.stdout
    assert "service pbx-1 stays off: no credit" in output.stdout
    assert "brought back by a payment of more than 2.60" in " ".join(output.stdout.split())


async def test_a_top_up_of_a_client_held_by_an_order_names_the_order(operator: Operator) -> None:
    await operator.api.put("clients/anna/orders/manual", {"reason": "fraud"})

    async def post() -> None:
        await accepted(operator, 2)
        await operator.posted("anna", 16_400_000)
        await operator.level("anna", "ok", 16_400_000)

    others = asyncio.create_task(post())
    output = await operator.run(topup, "anna", "20.00")
    await others
    assert "service pbx-1 stays off: manual order by tester: fraud" in output.stdout


async def test_a_service_not_on_in_time_is_still_switching(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WAIT_S", 1.0)

    async def post() -> None:
        await accepted(operator, 2)
        await operator.posted("anna", 16_400_000)
        await operator.level("anna", "ok", 16_400_000)

    others = asyncio.create_task(post())
    found = await operator.json(topup, "anna", "20.00")
    await others
    assert (found["posted"], found["balance_after"]) == (True, "16.40")
    assert found["switched"] == ["service pbx-1 still switching after 1 s"]


async def test_a_payment_not_posted_in_time_is_reported_as_accepted(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WAIT_S", 0.2)
    output = await operator.output(topup, "anna", "20.00")
    assert "20.00 CAD accepted for anna, not posted after" in output
    listed = await operator.output(payments, "list", "anna")
    assert "20.00 CAD not posted" in listed


async def test_the_same_key_posts_nothing_again_and_says_when_it_was_posted(
    operator: Operator,
) -> None:
    await operator.run(topup, "anna", "20.00", "--no-wait", "--key", "receipt-1")
    await operator.posted("anna", 16_400_000)
    await operator.level("anna", "ok", 16_400_000)
    await operator.service("anna", "pbx-1", "active")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    again = await operator.output(topup, "anna", "20", "--key", "receipt-1", "--utc")
    assert "Nothing was posted again: 20.00 CAD was posted to anna under key receipt-1" in again
    assert f"already, at {today}" in again
    assert "The balance after it was 16.40 CAD." in again
    not_awaited = await operator.output(topup, "anna", "20", "--key", "receipt-1", "--no-wait")
    assert not_awaited.startswith("Nothing was accepted again: 20.00 CAD was accepted to anna")
    listed = await operator.output(payments, "list", "anna")
    assert "2 payments." in listed


async def test_the_same_top_up_within_two_minutes_warns(operator: Operator) -> None:
    first = await operator.run(topup, "anna", "20.00", "--no-wait")
    assert "warning" not in first.stderr
    key = first.stderr.split()[1]
    again = await operator.run(topup, "anna", "20", "--no-wait")
    warning = " ".join(again.stderr.split())
    assert "warning: 20.00 CAD was posted 0 s ago under key" in warning.replace(
        "1 s ago", "0 s ago"
    )
    assert f"under key {key}; it is posted again. With --key it is not." in warning
    other = await operator.run(topup, "anna", "20", "--no-wait", "--reference", "another")
    assert "warning" not in other.stderr
    keyed = await operator.run(topup, "anna", "20", "--no-wait", "--key", "mine")
    assert "warning" not in keyed.stderr
    await operator.api.database.execute(
        "update accounts.payment set received_at = received_at - interval '2 minutes'"
    )
    later = await operator.run(topup, "anna", "20", "--no-wait")
    assert "warning" not in later.stderr


async def test_on_a_terminal_a_repeated_amount_needs_confirmation(operator: Operator) -> None:
    await operator.run(topup, "anna", "20.00", "--no-wait")
    assert "; post again? [y/N]" in await asyncio.to_thread(type_no, operator.api.url)
    events = await operator.api.published("payment.received.v1")
    assert [each["amount_micro"] for each in events] == [-3_600_000, 20_000_000]


def type_no(url: str) -> str:
    """Run the same top-up on a terminal and type n; returns the output."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ringfence_cli.main", "topup", "anna", "20.00", "--no-wait"],
        env={**os.environ, "RINGFENCE_API": url, "RINGFENCE_TOKEN": TOKEN},
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    ) as command:
        os.write(terminal, b"n\n")
        assert command.wait(timeout=30) == 1
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    os.close(other_end)
    return shown


async def test_a_payment_is_refunded_by_its_key_up_to_its_amount(operator: Operator) -> None:
    await operator.run(topup, "anna", "20.00", "--key", "receipt-1", "--no-wait")
    await operator.posted("anna", 16_400_000)

    async def post() -> None:
        await accepted(operator, 3)
        await operator.posted("anna", 11_400_000)

    others = asyncio.create_task(post())
    output = await operator.output(
        payments, "refund", "anna", "receipt-1", "5.00", "--key", "refund-1"
    )
    await others
    assert output == "-5.00 CAD posted to anna. New balance: 11.40 CAD."
    beyond = await operator.output(
        payments, "refund", "anna", "receipt-1", "15.01", "--key", "refund-2", status=2
    )
    assert "15.00" in beyond
    listed = await operator.output(payments, "list", "anna")
    assert "3 payments." in listed
    assert "refund -5.00 CAD 11.40" in listed


async def lose(operator: Operator, account: str, micro: int, payment_id: UUID) -> None:
    """Insert a payment that rating read from the topic and that accounts does not have."""
    await operator.api.database.execute(
        "insert into rating.unclaimed (payment_id, account_id, kind, amount_micro, currency,"
        "     reference, received_at, correlation_id, reason, record)"
        " values ($1, $2, 'top-up', $3, 'CAD', 'receipt', now(), '', 'accounts lacks it', '')",
        payment_id,
        account,
        micro,
    )


async def test_unclaimed_payments_are_listed_and_claimed_by_id(operator: Operator) -> None:
    assert await operator.output(payments, "unclaimed") == "No payment waits to be claimed."
    first, second = uuid4(), uuid4()
    await lose(operator, "anna", 20_000_000, first)
    await lose(operator, "anna", 7_500_000, second)
    listed = await operator.output(payments, "unclaimed")
    assert str(first)[:8] in listed
    assert "2 payments." in listed
    claim = ("claim", "--reason", "restored")
    assert "which payments?" in await operator.output(payments, *claim, status=2)
    unknown = await operator.output(payments, *claim, str(uuid4()), status=2)
    assert "ringfence payments unclaimed" in unknown
    short = str(first)[:8]
    declined = await operator.run(payments, *claim, short, typed="n\n", status=1)
    assert "1 payment to enter, 20.00 CAD." in declined.stderr
    done = await operator.run(payments, *claim, short, typed="y\n")
    assert "1 payment entered, 20.00 CAD: rating posts them within seconds." in done.stdout
    assert short in await operator.output(payments, "list", "anna")


async def test_digits_that_fit_several_payments_are_answered_with_the_candidates(
    operator: Operator,
) -> None:
    first, second = UUID(int=0x1234567800 << 88), UUID(int=0x1234567801 << 88)
    await lose(operator, "anna", 20_000_000, first)
    await lose(operator, "anna", 7_500_000, second)
    claim = ("claim", "--reason", "restored", "--yes")
    several = await operator.output(payments, *claim, "12345678", status=2)
    assert f"12345678: several begin like that, type more: {first}, {second}" in several
    assert "not waiting to be claimed: 123." in await operator.output(
        payments, *claim, "123", status=2
    )
    await operator.run(payments, *claim, str(first), str(second))
    await operator.posted("anna", 23_900_000)
    refund = ("refund", "anna")
    twice = await operator.output(payments, *refund, "12345678", "5", "--key", "r-1", status=2)
    assert f"PAYMENT: got '12345678', but several begin like that, type more: {first}" in twice
    one = await operator.run(payments, *refund, "1234567801", "7.51", "--key", "r-2", status=2)
    assert "7.50 of the payment of 7.50 CAD are left to refund" in " ".join(one.output.split())


async def test_a_payment_of_an_unknown_client_is_refused_and_exits_1(operator: Operator) -> None:
    known, unknown = uuid4(), uuid4()
    await lose(operator, "anna", 20_000_000, known)
    await lose(operator, "nobody", 7_500_000, unknown)
    assert "--yes" in await operator.output(
        payments, "claim", "--all", "--json", "--reason", "restored", status=2
    )
    done = await operator.run(payments, "claim", "--all", "--yes", "--reason", "restored", status=1)
    assert "1 payment entered, 20.00 CAD: rating posts them within seconds." in done.stdout
    assert str(unknown)[:8] in done.stdout


async def test_payments_that_accounts_lost_are_entered_from_the_topic(
    operator: Operator, kafka_bootstrap: str
) -> None:
    lost, wrong = uuid4(), uuid4()
    account = f"cara-{uuid4().hex[:8]}"
    await operator.api.client(account, opening_balance="10")
    await operator.run(topup, account, "1.00", "--key", "kept", "--no-wait")
    kept = [
        PaymentReceived.model_validate(each)
        for each in await operator.api.published("payment.received.v1")
        if each["account_id"] == account
    ]
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        for payment in (*kept, of(account, lost, "CAD"), of(account, wrong, "USD")):
            await producer.send_and_wait(
                PAYMENT_RECEIVED.name, payment.to_json(), key=account.encode()
            )
    claim = ("claim", "--from-topic", "--bootstrap", kafka_bootstrap, "--reason", "restored")
    asked = await operator.run(payments, *claim, typed="n\n", status=1)
    assert "payments to enter" in asked.stderr
    done = await operator.json(payments, *claim, "--yes", status=1)
    outcomes = {item["payment_id"]: item["outcome"] for item in done}
    assert (outcomes[str(lost)], outcomes[str(wrong)]) == ("claimed", "refused")
    assert all(str(payment.payment_id) not in outcomes for payment in kept)
    listed = await operator.json(payments, "list", account)
    assert {each["payment_id"] for each in listed} == {
        *(str(payment.payment_id) for payment in kept),
        str(lost),
    }


def of(account: str, payment_id: UUID, currency: str) -> PaymentReceived:
    return PaymentReceived(
        payment_id=payment_id,
        account_id=account,
        kind="top-up",
        amount_micro=20_000_000,
        currency=currency,
        reference="receipt",
        received_at=datetime(2026, 11, 1, 12, 0, tzinfo=UTC),
    )
