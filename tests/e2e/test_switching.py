"""Whatever happens to clients and to the services, each element on the PBX ends as it must.

A stateful property over the real services, broker, database and a simulated PBX: top-ups, charges,
debts, orders, products that come, change and go, while services are stopped, killed and given old
events again. At rest the PBX is what the reference `may_be_off` allows (invariant I11), nobody was
switched more often than the recorded holds and orders explain, and `ringfence verify` holds.

RINGFENCE_SWITCHING_EXAMPLES sets how many random stories are played (6 unless it is set).
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from switching_town import SwitchingTown

from ringfence.money import format_micro
from ringfence_local.sample import BILL_FROM, PACKAGE, SampleClient, pbx_seed
from ringfence_local.scene import PBX_ID

pytestmark = pytest.mark.timeout(900)

UNIT = 1_000_000
A_MINUTE = 1_800_000  # to a satellite: 1.50, and 20 % on it
SERVICES = ("cdr-ingest", "rating", "balance-watch", "suspender", "accounts")
FROZEN = ("rating", "balance-watch", "suspender")
CLIENTS = 4
WHO = st.integers(0, CLIENTS - 1)
TOP_UPS = st.sampled_from([1, 5, 20, 50, 100])
TAKEN_BACK = st.sampled_from([1, 5, 5, 20])
DEBTS = st.sampled_from(["none", "none", "part", "all", "beyond"])
REST = st.sampled_from([True, False, False])
"""Whether all comes to rest after a step: otherwise most stories end with the client cut."""
ORDERS = st.sampled_from(["manual", "forced", "whmcs", "exemption"])


@dataclass
class Product:
    """A product: its tenant and trunk on the PBX, by gateway or by its extension."""

    sample: SampleClient
    prepaid: bool = True


@dataclass
class Account:
    """What the reference knows of a client: what was asked, in the order in which it was."""

    account_id: str
    credit: int
    debts: int = 0
    orders: set[tuple[str, str | None]] = field(default_factory=set)
    products: dict[str, Product] = field(default_factory=dict)
    changes: int = 0

    def may_be_off(self, service_id: str) -> set[bool]:
        """The reference: whether the element may be off. Both, where debts are within credit."""
        scopes = (None, service_id)
        if any((kind, s) in self.orders for kind in ("manual", "forced", "whmcs") for s in scopes):
            return {True}
        if not self.products[service_id].prepaid:
            return {False}
        if any(("exemption", scope) in self.orders for scope in scopes):
            return {False}
        if self.credit <= 0 or self.debts > self.credit:
            return {True}
        return {False} if self.debts == 0 else {True, False}


class Switching(RuleBasedStateMachine):
    """Clients of one telephone company, and a person who does all that can be done."""

    town: SwitchingTown

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[Account] = []
        self.free: list[SampleClient] = []
        self.frozen: set[str] = set()

    @initialize(openings=st.tuples(*[st.sampled_from([0, 5, 20, 60])] * CLIENTS))
    def clients(self, openings: tuple[int, int]) -> None:
        for opening in openings:
            account = Account(f"sw-{uuid4().hex[:10]}", opening * UNIT)
            self.town.ask(
                "PUT",
                f"/clients/{account.account_id}",
                {
                    "first_name": "Sam",
                    "email": f"sam@{account.account_id}.example",
                    "currency": "CAD",
                    "has_voip_service": "yes",
                    "low_balance_threshold": "15",
                    "opening_balance": format_micro(account.credit),
                },
            )
            self.accounts.append(account)
            self._enter(account, _sample(account.account_id))

    @rule(who=WHO, amount=TOP_UPS, rest=REST)
    def top_up(self, who: int, amount: int, rest: bool) -> None:
        self._pay(who, amount, "top-up")
        self._maybe_rest(rest)

    @rule(who=WHO, amount=TAKEN_BACK, rest=REST)
    def take_back(self, who: int, amount: int, rest: bool) -> None:
        self._pay(who, -amount, "adjustment")
        self._maybe_rest(rest)

    @rule(who=WHO, late=st.booleans())
    def pay_the_debts_from_the_credit(self, who: int, late: bool) -> None:
        """The usual way of WHMCS: the credit is applied to the invoice, then nothing is owed.

        `late`: rating is stopped meanwhile, so that it is known first that nothing is owed.
        """
        account = self.accounts[who]
        if not account.debts:
            self._owe(account, max(account.credit // UNIT, 2) + 1)
            self._maybe_rest(True)
        if late:
            self.delay("rating")
        self._pay(who, -account.debts // UNIT, "adjustment")
        self._owe(account, 0)

    def _pay(self, who: int, amount: int, kind: str) -> None:
        account = self.accounts[who]
        body = {"amount": str(amount), "kind": kind}
        path = f"/clients/{account.account_id}/payments"
        self.town.ask("POST", path, body, key=uuid4().hex)
        account.credit += amount * UNIT

    @rule(who=WHO, how_much=DEBTS, rest=REST)
    def owe(self, who: int, how_much: str, rest: bool) -> None:
        """Debts as they lie to the credit: within it, as large, beyond it."""
        account = self.accounts[who]
        credit = max(account.credit // UNIT, 2)
        amounts = {"none": 0, "part": credit // 2, "all": credit, "beyond": credit + 1}
        self._owe(account, amounts[how_much])
        self._maybe_rest(rest)

    def _owe(self, account: Account, amount: int) -> None:
        path = f"/clients/{account.account_id}/outstanding"
        self.town.ask("PUT", path, {"amount": str(amount)})
        account.debts = amount * UNIT

    @rule(who=WHO, minutes=st.integers(1, 5), rest=REST)
    def call(self, who: int, minutes: int, rest: bool) -> None:
        account = self.accounts[who]
        if not account.products:
            return
        sample = next(iter(account.products.values())).sample
        self.town.pbx(
            "calls",
            {
                "domain_name": sample.tenant,
                "extension": sample.extensions[0],
                "direction": "outbound",
                "destination_number": "01188165501000",
                "billsec": minutes * 60,
            },
        )
        account.credit -= minutes * A_MINUTE
        self._maybe_rest(rest)

    @rule(who=WHO, kind=ORDERS, narrow=st.booleans(), rest=REST)
    def order(self, who: int, kind: str, narrow: bool, rest: bool) -> None:
        account = self.accounts[who]
        product = min(account.products, default=None) if narrow and kind != "forced" else None
        body = {"product": product, "reason": "a test"} if product else {"reason": "a test"}
        self.town.ask("PUT", f"/clients/{account.account_id}/orders/{kind}", body)
        account.orders.add((kind, product))
        account.changes += 1
        self._maybe_rest(rest)

    @rule(who=WHO, which=st.integers(0, 10))
    def end_order(self, who: int, which: int) -> None:
        account = self.accounts[who]
        if not account.orders:
            return
        given = sorted(account.orders, key=str)
        kind, product = given[which % len(given)]
        query = f"?product={product}" if product else ""
        path = f"/clients/{account.account_id}/orders/{kind}{query}"
        self.town.ask("DELETE", path, also=(404,))
        account.orders.discard((kind, product))
        account.changes += 1

    @rule(who=WHO, suspend_by=st.sampled_from(["gateway", "extensions"]))
    def add_product(self, who: int, suspend_by: str) -> None:
        """A new one, or one that was another client's: moved."""
        account = self.accounts[who]
        if len(account.products) < 3:
            fresh = _sample(account.account_id, suspend_by)
            self._enter(account, self.free.pop() if self.free else fresh)

    @rule(who=WHO, prepaid=st.booleans())
    def change_product(self, who: int, prepaid: bool) -> None:
        account = self.accounts[who]
        for service_id in list(account.products)[:1]:
            self._put(account, service_id, account.products[service_id].sample, prepaid)

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO)
    def remove_product(self, who: int) -> None:
        """Only one that is on: what is removed while it is off stays off (a known limit)."""
        self.at_rest()
        account = self.accounts[who]
        on = [p for p in account.products if not self._is_off(account.products[p].sample)]
        if len(account.products) < 2 or not on:
            return
        self.town.ask("DELETE", f"/clients/{account.account_id}/products/{on[0]}", also=(404,))
        self.free.append(account.products.pop(on[0]).sample)
        account.orders = {(kind, scope) for kind, scope in account.orders if scope != on[0]}

    @rule(service=st.sampled_from(SERVICES))
    def kill(self, service: str) -> None:
        self.town.kill(service)
        self.frozen.discard(service)

    @rule(service=st.sampled_from(FROZEN))
    def delay(self, service: str) -> None:
        if service not in self.frozen:
            self.town.freeze(service)
            self.frozen.add(service)

    @rule(count=st.integers(1, 20), seed=st.integers(0, 2**32))
    def repeat(self, count: int, seed: int) -> None:
        ids = {account.account_id for account in self.accounts}
        note(f"{self.town.repeat(ids, count, random.Random(seed))} records again")

    @rule()
    def at_rest(self) -> None:
        """All go on; soon the PBX is as it must be."""
        self.town.thaw()
        self.frozen.clear()
        self.town.until(self._objection)

    def _maybe_rest(self, rest: bool) -> None:
        if rest and not self.frozen:
            self.at_rest()

    @invariant()
    def the_reference_is_bounded(self) -> None:
        assert all(len(account.products) <= 3 for account in self.accounts)

    def teardown(self) -> None:
        if self.accounts:
            self.at_rest()
            for account in self.accounts:
                self._no_switch_too_many(account)

    def _enter(self, account: Account, sample: SampleClient) -> None:
        self.town.pbx("seed", pbx_seed(sample))
        self._put(account, f"p-{uuid4().hex[:10]}", sample, prepaid=True)

    def _put(self, account: Account, service_id: str, sample: SampleClient, prepaid: bool) -> None:
        self.town.ask(
            "PUT",
            f"/clients/{account.account_id}/products/{service_id}",
            {
                "kind": "fusionpbx",
                "server_id": PBX_ID,
                "prepaid": prepaid,
                "package": PACKAGE,
                "bill_from": BILL_FROM,
                "domain_tenant_and_main_dids": f"{sample.tenant} | {sample.did}",
                "extensions": " | ".join(sample.extensions),
                "suspend_by": sample.suspend_by,
                "gateway_ids": sample.gateway_id,
            },
        )
        account.products[service_id] = Product(sample, prepaid)
        account.changes += 1

    def _objection(self) -> str:
        """What is not yet as it must be at rest; empty when all is."""
        for account in self.accounts:
            (row,) = self.town.rows(_AT_REST, account.account_id) or (None,)
            if row is None:
                return f"{account.account_id}: nothing is known yet"
            if row["balance_micro"] != account.credit:
                return f"{account.account_id}: balance {row['balance_micro']}, not {account.credit}"
            behind = [name for name in row.keys() if row[name] is False]  # noqa: SIM118
            if behind:
                return f"{account.account_id}: {', '.join(behind)}"
            for service_id, product in account.products.items():
                off, allowed = self._is_off(product.sample), account.may_be_off(service_id)
                if off not in allowed:
                    return f"{account.account_id}/{service_id}: off {off}; allowed {allowed}"
        off = [sample.tenant for sample in self.free if self._is_off(sample)]
        return f"off, and nobody's: {off}" if off else ""

    def _is_off(self, sample: SampleClient) -> bool:
        state = self.town.pbx_state()
        if sample.suspend_by == "gateway":
            found = [g for g in state["gateways"] if g["uuid"] == sample.gateway_id]
            return not (found[0]["enabled"] and found[0]["live"])
        return not all(e["enabled"] for e in state["extensions"] if e["domain"] == sample.tenant)

    def _no_switch_too_many(self, account: Account) -> None:
        """Each change of what is wanted has a hold that began or ended, or a request, for cause."""
        (row,) = self.town.rows(_SWITCHES, account.account_id)
        explained = row["flips"] + account.changes
        assert (row["most"] or 0) <= explained, f"switched {row['most']} times, not {explained}"


_AT_REST = """
select b.balance_micro, l.balance_version = b.version as "balance-watch has the balance",
    l.profile_version = a.version as "balance-watch has the profile",
    l.settled >= l.accepted as "all payments are settled",
    h.profile_version = a.version as "the suspender has the profile",
    h.held = l.held as "the suspender has the hold",
    not exists (select from report.service_state s where s.account_id = a.account_id and s.open)
        as "nothing is being switched",
    (select count(*) from accounts.product p where p.account_id = a.account_id)
        = (select count(*) from report.service_state s where s.account_id = a.account_id)
        as "all products are known"
from report.account a
join report.balance b using (account_id)
join report.level l using (account_id)
join report.hold h using (account_id)
where a.account_id = $1
"""
_SWITCHES = """
select
    (select max(wanted_seq) from suspender.service where account_id = $1) as most,
    (select count(*) from (
        select held, lag(held, 1, false) over (order by number) as before
        from report.funds_pair where account_id = $1
    ) as pairs where held <> before) as flips
"""


def _sample(account_id: str, suspend_by: str = "gateway") -> SampleClient:
    name, did = uuid4().hex[:10], f"519{uuid4().int % 10**7:07d}"
    return SampleClient(
        account_id, "Sam", "Switch", "", f"{name}.sw.example", did, ("2112",), "0",
        suspend_by=suspend_by,
    )  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingTown]:
    brake_off = {"RINGFENCE_SUSPENDER_BRAKE_CLIENTS": "0"}
    with SwitchingTown(tmp_path_factory.mktemp("switching"), brake_off) as town:
        yield town


def test_at_rest_every_element_is_what_the_reference_allows(town: SwitchingTown) -> None:
    machine = type("SwitchingHere", (Switching,), {"town": town})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("RINGFENCE_SWITCHING_EXAMPLES", "6")),
            stateful_step_count=40,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    done = subprocess.run(
        [sys.executable, "-m", "ringfence.cli", "verify", "--dsn", town.stack.dsn],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
