"""`ringfence verify`: I10 to I12 hold on a sound database, and name each kind of damage."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from rating.audit.command import verify as verify_command
from rating.audit.finding import lasting_rows
from rating.audit.loop import Audit
from rating.audit.store import AuditStore
from ringfence.observe.health import Progress
from ringfence.postgres.pool import open_pool
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outcome, Received
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_CHANGED
from ringfence_testing.records import NOON, account, call, from_outgoing, received
from tests.support.rating import Bench, open_bench, payment

UNIT = 1_000_000


class Installation:
    """Accounts' rows, rating and balance-watch as they run, and the suspender's own record."""

    def __init__(self, bench: Bench, watch: BalanceWatch) -> None:
        self.bench = bench
        self.watch = watch

    async def profile(self, account_id: str, version: int, owe: int = 0, **fields: Any) -> Received:
        """Accounts changes a client; rating and balance-watch hear of it."""
        changed = account(
            account_id,
            version=version,
            tenant=f"{account_id}.example",
            outstanding_micro=owe * UNIT,
            **fields,
        )
        await self.bench.sql(
            "insert into accounts.account (account_id, version, currency, time_zone, client,"
            " profile, changed_at, outstanding_micro, credit_limit_micro)"
            " values ($1, $2, 'CAD', 'UTC', '{}', '{}', now(), $3, $4)"
            " on conflict (account_id) do update set version = $2, outstanding_micro = $3,"
            " credit_limit_micro = $4",
            account_id, version, owe * UNIT, changed.credit_limit_micro,
        )  # fmt: skip
        await self.bench.save_accounts(changed)
        record = received(ACCOUNT_CHANGED, changed, derive("profile", account_id, version))
        await self.watch.handle([record])
        await self.copy()
        return record

    async def tell(self, outcome: Outcome) -> None:
        """Balance-watch reads what rating publishes."""
        changed = [from_outgoing(e) for e in outcome.publish if e.topic is BALANCE_CHANGED]
        await self.watch.handle(changed)
        await self.copy()

    async def pay(self, key: str, amount: int, account_id: str, **fields: Any) -> None:
        paid = payment(key, amount * UNIT, account_id, **fields)
        await self.tell(await self.bench.pay(paid))

    async def suspend(self) -> None:
        """The suspender's services, as they follow from balance-watch's record."""
        await self.copy()
        await self.bench.sql(
            "insert into suspender.service (account_id, service_id, server_id, kind, wanted, mode,"
            " would, holds) select account_id, 'svc-' || account_id, 'pbx1', 'fusionpbx', w,"
            " 'auto', w, case when held then '{funds}'::text[] else '{}' end"
            " from report.level,"
            " lateral (select case when held then 'suspended' else 'active' end as w) as state"
        )

    async def copy(self) -> None:
        """The suspender and the notifier read the last profiles and crossings."""
        await self.bench.sql(
            "insert into suspender.account (account_id, profile_version, held, hold, crossing)"
            " select account_id, profile_version, held, hold, coalesce(switching, 0)"
            " from report.level left join report.last_crossing using (account_id)"
            " on conflict (account_id) do update set profile_version = excluded.profile_version,"
            " crossing = excluded.crossing, held = excluded.held, hold = excluded.hold"
        )
        await self.bench.sql(
            "insert into notifier.account (account_id, version, first_name, last_name,"
            " company_name, email, wants_mail, low_balance_threshold)"
            " select account_id, version, '', '', '', '', true, '' from report.account"
            " on conflict (account_id) do update set version = excluded.version"
        )
        await self.bench.sql(
            "insert into notifier.level (account_id, crossing)"
            " select account_id, crossing from report.last_crossing"
            " on conflict (account_id) do update set crossing = excluded.crossing"
        )

    async def verify(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what the command prints."""
        result = await asyncio.to_thread(
            CliRunner().invoke, verify_command, ["--dsn", self.bench.dsn, *arguments]
        )
        return result.exit_code, result.output


@pytest.fixture
async def installation(database: str) -> AsyncIterator[Installation]:
    """1001 is held at -10.00; 1002 has 20.00; 1003 owes 5.00 of its 8.00; 1004 owes more."""
    async with (
        open_bench(database) as bench,
        await open_pool(database, service="balance-watch") as pool,
    ):
        made = Installation(bench, BalanceWatch(store=WatchStore(pool)))
        for account_id in ("1001", "1002", "1003", "1004"):
            await made.profile(account_id, 2)
        await made.pay("opening", 50, "1001", kind="adjustment")
        await made.profile("1001", 3, owe=60, accepted=1)
        await made.pay("credit applied", -60, "1001", kind="adjustment")
        await made.profile("1001", 4, owe=0, accepted=2)
        await made.pay("top-up", 20, "1002")
        await made.pay("top-up", 8, "1003")
        await made.profile("1003", 3, owe=5, accepted=1)
        await made.pay("top-up", 8, "1004")
        await made.profile("1004", 3, owe=20, accepted=1)
        await made.tell(await bench.rate(call(tenant="1002.example")))
        await made.suspend()
        yield made


async def test_a_correct_installation_passes(installation: Installation) -> None:
    code, output = await installation.verify("--wait=0", "--json")
    assert code == 0, output
    found = {check["name"]: check for check in orjson.loads(output)["checks"]}
    assert found["I10"]["counted"] == "5 payments"
    assert found["I11"]["counted"] == "4 accounts"
    held = await installation.bench.sql("select account_id from report.level where held order by 1")
    assert [row["account_id"] for row in held] == ["1001", "1004"]
    assert await installation.bench.value("select count(*) from report.funds_pair") > 6


OF_1001 = " where account_id = '1001'"
DAMAGES = {
    "I10 not in accounts": (
        "delete from accounts.payment where account_id = '1002'",
        "the ledger has it as a top-up of 20.00 CAD; right is none, as accounts has none",
    ),
    "I10 not posted": (
        "insert into accounts.payment values (gen_random_uuid(), '1002', 'k', 'top-up', 5000000,"
        " 'CAD', '', now(), 'test')",
        "the ledger does not have it; right is a top-up of 5.00 CAD",
    ),
    "I10 amount": (
        "update accounts.payment set amount_micro = 30000000 where account_id = '1002'",
        "the ledger has it as a top-up of 20.00 CAD; right is a top-up of 30.00 CAD",
    ),
    "I10 kind": (
        "update rating.ledger set kind = 'adjustment' where kind = 'top-up'"
        " and account_id = '1002'",
        "the ledger has it as an adjustment of 20.00 CAD; right is a top-up of 20.00 CAD",
    ),
    "I10 client": (
        "update accounts.payment set account_id = '1003', idempotency_key = 'x'"
        " where account_id = '1002'",
        "the ledger has it as a top-up of 20.00 CAD to account 1002; right is",
    ),
    "I10 settled": (
        "update rating.account set settled = 3 where account_id = '1002'",
        "account 1002: 3 payments are counted as settled; right is 1",
    ),
    "I11 held though free": (
        "update balance_watch.account set held = true where account_id = '1002'",
        "account 1002: balance-watch has it held with credit 19.99, debts 0.00; right is not held",
    ),
    "I11 not held though spent": (
        "update balance_watch.account set held = false" + OF_1001,
        "account 1001: balance-watch has it not held; right is held, by the ledger and accounts:"
        " credit -10.00, debts 0.00",
    ),
    "I11 between, and not as before": (
        "update balance_watch.account set held = true where account_id = '1003'",
        "account 1003: balance-watch has it held and between; right is not held and between",
    ),
    "I11 level": (
        "update balance_watch.account set level = 'ok'" + OF_1001,
        "account 1001: its level is not exhausted; right is exhausted, as it is held",
    ),
    "I11 history": (
        "update balance_watch.funds_pair set held = false where funds = 'spent' and number = 2"
        " and account_id = '1001'",
        "after pair 2 (credit 50.00, debts 60.00) it was not held; right is held",
    ),
    "I11 class": (
        "update balance_watch.funds_pair set funds = 'free' where number = 2"
        " and account_id = '1001'",
        "pair 2 (credit 50.00, debts 60.00) is recorded as free; right is spent",
    ),
    "I11 history lost": (
        "delete from balance_watch.funds_pair where account_id = '1004'",
        "account 1004: balance-watch has it held and spent; right is not held",
    ),
    "I11 debts changed behind the event": (
        "update accounts.account set outstanding_micro = 9000000 where account_id = '1003'",
        "account 1003: balance-watch has it not held; right is held, by the ledger and accounts:"
        " credit 8.00, debts 9.00",
    ),
    "I11 limit changed behind the event": (
        "update accounts.account set credit_limit_micro = 15000000" + OF_1001,
        "account 1001: balance-watch has it held; right is not held, by the ledger and accounts:"
        " credit -10.00, debts 0.00, limit 15.00",
    ),
    "I12 profile": (
        "update notifier.account set version = 1 where account_id = '1002'",
        "notifier, 1002 (account.changed.v1): it has version 1; right is 2",
    ),
    "I12 restored": (
        "update suspender.account set profile_version = 7 where account_id = '1002'",
        "suspender, 1002 (account.changed.v1): it has version 7; right is 2",
    ),
    "I12 balance": (
        "update balance_watch.account set balance_version = 1, settled = 1"
        " where account_id = '1002'",
        "balance-watch, 1002 (balance.changed.v1): it has version 1; right is 2",
    ),
    "I12 crossing": (
        "update suspender.account set crossing = 0" + OF_1001,
        "suspender, 1001 (balance.zero.v1): it has version 0; right is",
    ),
    "I12 service": (
        "with p as (insert into accounts.product values"
        " ('svc-1001', '1001', null, '{}', '{}', 0, 'test', now()))"
        " update suspender.service set confirmed = 'suspended', confirmed_at = now()" + OF_1001,
        "accounts, 1001/svc-1001 (service.suspended.v1): it is known as on; right is off",
    ),
    "I12 tariff": (
        "delete from rating.tariff where version_id = 1",
        "rating, 1 (tariff.published.v1): it is not known; right is that it is",
    ),
    "I11 suspender": (
        "update suspender.account set held = false" + OF_1001,
        "account 1001: the suspender has it not held; right is held, as balance-watch has it",
    ),
    "I11 desired": (
        "update suspender.service set would = 'active'" + OF_1001,
        "account 1001, product svc-1001: it is to be active; right is suspended, as holds are",
    ),
    "I11 desired without a hold": (
        "update suspender.service set would = 'suspended' where account_id = '1002'",
        "account 1002, product svc-1002: it is to be suspended; right is active, as no hold is",
    ),
    "I11 the hold does not hold": (
        "update suspender.service set would = 'active', holds = '{}'" + OF_1001,
        "product svc-1001: the funds hold does not apply to it; right is that it applies to it",
    ),
    "I11 a hold that is none": (
        "update suspender.service set would = 'suspended', holds = '{funds}'"
        " where account_id = '1002'",
        "product svc-1002: the funds hold applies to it; right is that it does not apply to it",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
async def test_each_kind_of_damage_is_named_and_fails(
    installation: Installation, damage: str, words: str
) -> None:
    await installation.bench.sql(damage)
    code, output = await installation.verify("--wait=0")
    assert code == 1
    assert words in output


async def test_exempt_and_metered_products_are_no_difference(installation: Installation) -> None:
    """Exempt, not prepaid, undone by the brake, left alone, in shadow: nothing differs."""
    bench = installation.bench
    exempt = {"manual_voip_suspend": "No", "voip_suspended": "No"}
    await installation.profile("1001", 5, accepted=2, profile=exempt)
    await installation.profile("1004", 4, owe=20, accepted=1, service={"prepaid": False})
    await bench.sql(
        "update suspender.account a set profile_version = p.version from rating.profile p"
        " where p.account_id = a.account_id"
    )
    await bench.sql(
        "update suspender.service set would = 'active', holds = '{}'"
        " where account_id in ('1001', '1004')"
    )
    assert (await installation.verify("--wait=0"))[0] == 0
    await installation.profile("1001", 6, accepted=2)
    await bench.sql(
        "update suspender.account set profile_version = 6, hold = 2, undone_hold = 2" + OF_1001
    )
    assert (await installation.verify("--wait=0"))[0] == 0
    await bench.sql("update suspender.service set would = 'leave'" + OF_1001)
    await bench.sql(
        "update suspender.service set live = false, would = 'suspended' where account_id = '1002'"
    )
    assert (await installation.verify("--wait=0"))[0] == 0


async def test_a_client_that_was_imported_as_suspended_is_held_without_a_posting(
    installation: Installation,
) -> None:
    off = {"voip_suspended": "Yes", "voip_suspended_by": "import"}
    await installation.profile("1005", 1, profile=off)
    assert await installation.bench.value(
        "select held and balance_version = 0 from report.level where account_id = '1005'"
    )
    assert (await installation.verify("--wait=0"))[0] == 0


async def test_a_first_pair_with_covered_debts_begins_no_hold(installation: Installation) -> None:
    """Debts that the first credit covers: nothing was held before."""
    await installation.profile("1007", 1, owe=5, accepted=1)
    await installation.pay("top-up", 8, "1007")
    pair = "select funds, held from report.funds_pair where account_id = '1007'"
    (row,) = await installation.bench.sql(pair)
    assert tuple(row) == ("between", False)
    assert (await installation.verify("--wait=0"))[0] == 0


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({}, 0),
        ({"service_id": "svc-1001"}, 0),
        ({"service_id": "another"}, 1),
        ({"until": NOON - timedelta(days=999)}, 1),
        ({"kind": "manual"}, 1),
    ],
)
async def test_only_an_exemption_in_force_lifts_the_funds_hold(
    installation: Installation, order: dict[str, Any], code: int
) -> None:
    exemption = {"kind": "exemption", "given_by": "olga", "since": NOON, **order}
    await installation.profile("1001", 5, accepted=2, orders=[exemption])
    await installation.bench.sql("update suspender.account set profile_version = 5" + OF_1001)
    await installation.bench.sql(
        "update suspender.service set would = 'active', holds = '{}'" + OF_1001
    )
    assert (await installation.verify("--wait=0"))[0] == code


async def test_an_account_without_a_posting_is_not_expected_to_be_held(
    installation: Installation,
) -> None:
    await installation.profile("1006", 1)
    assert (await installation.verify("--wait=0"))[0] == 0


async def test_a_credit_older_than_the_debts_is_not_compared(
    installation: Installation,
) -> None:
    """Debts of 60 come with a payment that the ledger does not have yet: no hold begins."""
    await installation.profile("1002", 3, owe=60, accepted=2)
    held = "select held from report.level where account_id = '1002'"
    assert await installation.bench.value(held) is False
    assert (await installation.verify("--wait=0"))[0] == 0


async def test_data_in_flight_gets_time_and_an_unprocessed_balance_is_remarked(
    installation: Installation,
) -> None:
    bench = installation.bench
    paid = payment("late", 5 * UNIT, "1002")
    await bench.hold(paid)
    assert (await installation.verify("--wait=0"))[0] == 1

    async def post() -> Outcome:
        await asyncio.sleep(0.7)
        return await bench.receive_payments(paid)

    (_, output), outcome = await asyncio.gather(installation.verify("--wait=3"), post())
    assert "I10 account" not in output
    code, output = await installation.verify("--wait=0")
    assert code == 1
    assert "has not processed the latest balance or profile of 1 accounts" in output
    assert "balance-watch, 1002 (balance.changed.v1): it has version 2; right is 3" in output
    await installation.tell(outcome)
    code, output = await installation.verify("--wait=0")
    assert code == 0
    assert "has not processed" not in output


async def test_an_unclaimed_payment_is_a_remark_and_no_difference(
    installation: Installation,
) -> None:
    forged = payment("forged", 90 * UNIT, "1002")
    await installation.bench.receive_payments(forged)
    code, output = await installation.verify("--wait=0")
    assert code == 0
    assert f"payment {forged.payment_id} of account 1002 is unclaimed since" in output
    held = forged.model_copy(update={"amount_micro": UNIT})
    await installation.bench.hold(held)
    code, output = await installation.verify("--wait=0")
    assert code == 1
    assert "the ledger does not have it, it waits unclaimed; right is a top-up of 1.00" in output


async def test_transient_differences_are_not_reported() -> None:
    looks = iter([[1, 2, 9], [2, 3, 9], [4, 9], [5, 9], [9, 6]])

    async def look() -> list[int]:
        return next(looks, [9])

    assert await lasting_rows(look, lambda row: row, 1.2) == [9]


async def test_the_metrics_count_only_lasting_differences(installation: Installation) -> None:
    audit = Audit(
        store=AuditStore(installation.bench.pool),
        every_s=300,
        progress=Progress("audit"),
        behind=lambda: False,
        lasting_s=2,
    )
    await installation.bench.sql("update suspender.account set held = not held")
    await installation.bench.sql("update rating.account set settled = 7" + OF_1001)

    async def repair() -> None:
        await asyncio.sleep(0.7)
        await installation.bench.sql("update suspender.account set held = not held")
        await installation.bench.sql("update suspender.account set held = false" + OF_1001)

    found, _ = await asyncio.gather(audit.audit_once(), repair())
    assert found is not None
    assert (found["I10"], found["I11"]) == (1, 2), "1001 by two rules; the others were repaired"
