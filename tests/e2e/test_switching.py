"""Whatever happens to clients and to the services, each element on the PBX ends as it must.

A stateful property over the real services, broker, database and a simulated PBX: top-ups, charges,
debts, orders, products that come, change, move and go, a person's hand on the PBX, while services
are stopped, killed and given old events again. At rest each gateway and extension is what the
references `may_be_off` and `may_stay_off` allow (invariant I11), what a person switched off stays
off, nobody was switched more often than the recorded holds and orders explain, and `ringfence
verify` holds.

RINGFENCE_SWITCHING_EXAMPLES sets how many random stories are played (6 unless it is set).
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ringfence_contracts.money import format_micro
from ringfence_local.demo.sample import BILL_FROM, PACKAGE, SampleClient, pbx_seed
from ringfence_local.demo.scene import PBX_ID
from tests.support.switching_harness import SwitchingHarness
from tests.support.switching_reference import (
    EXTENSIONS,
    Left,
    Part,
    ReferenceAccount,
    ReferenceProduct,
    all_parts,
)

pytestmark = pytest.mark.timeout(1800)

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


class Switching(RuleBasedStateMachine):
    """Clients of one telephone company, and a person who does all that can be done."""

    town: SwitchingHarness

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[ReferenceAccount] = []
        self.free: list[SampleClient] = []
        self.frozen: set[str] = set()
        self.by_hand: set[Part] = set()
        self.switched_on: set[Part] = set()
        self.moved: set[Part] = set()

    @initialize(openings=st.tuples(*[st.sampled_from([0, 5, 20, 60])] * CLIENTS))
    def clients(self, openings: tuple[int, int]) -> None:
        for opening in openings:
            account = ReferenceAccount(f"sw-{uuid4().hex[:10]}", opening * UNIT)
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
            self._enter(account, _sample(account.account_id), "gateway")

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

        `late`: rating is stopped during it, so that it is known first that nothing is owed.
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

    def _owe(self, account: ReferenceAccount, amount: int) -> None:
        path = f"/clients/{account.account_id}/outstanding"
        self.town.ask("PUT", path, {"amount": str(amount)})
        account.debts = amount * UNIT

    @rule(who=WHO, minutes=st.integers(1, 5), rest=REST)
    def call(self, who: int, minutes: int, rest: bool) -> None:
        account = self.accounts[who]
        if not account.products:
            return
        product = next(iter(account.products.values()))
        self.town.pbx(
            "calls",
            {
                "domain_name": product.sample.tenant,
                "extension": product.extensions[0],
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

    @rule(who=WHO, by=st.sampled_from(["gateway", "extensions"]))
    def add_product(self, who: int, by: str) -> None:
        """A new one, or one that was another client's: moved."""
        account = self.accounts[who]
        if len(account.products) < 3:
            sample = self.free.pop() if self.free else _sample(account.account_id)
            if sample.account_id != account.account_id:
                self.moved |= all_parts(sample)  # for whose hold a part is off, is open now
            self._enter(account, sample, by)

    @rule(who=WHO, prepaid=st.booleans())
    def change_product(self, who: int, prepaid: bool) -> None:
        account = self.accounts[who]
        for service_id, product in list(account.products.items())[:1]:
            self._put(account, service_id, replace(product, prepaid=prepaid))

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO)
    def switch_otherwise(self, who: int) -> None:
        """By extensions what was by gateway, or the reverse."""
        self.wait_at_rest()
        account = self.accounts[who]
        for service_id, product in list(account.products.items())[-1:]:
            by = "extensions" if product.by == "gateway" else "gateway"
            self._put(account, service_id, replace(product, by=by))
            for part in replace(product, by=by).parts:
                account.left.pop(part, None)

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO, numbers=st.sampled_from([EXTENSIONS, EXTENSIONS[:1], EXTENSIONS[1:]]))
    def change_extensions(self, who: int, numbers: tuple[str, ...]) -> None:
        """Fewer extensions, or more."""
        self.wait_at_rest()
        account, off = self.accounts[who], self._off()
        for service_id, product in list(account.products.items())[-1:]:
            changed = replace(product, extensions=numbers)
            self._put(account, service_id, changed)
            self._leave(account, service_id, product, product.parts - changed.parts, off)
            for part in changed.parts:
                account.left.pop(part, None)

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO)
    def remove_product(self, who: int) -> None:
        """Also one that is off: its parts stay off as long as the client is held."""
        self.wait_at_rest()
        account, off = self.accounts[who], self._off()
        if len(account.products) < 2:
            return
        service_id, product = next(iter(account.products.items()))
        self.town.ask("DELETE", f"/clients/{account.account_id}/products/{service_id}", also=(404,))
        del account.products[service_id]
        account.orders = {(kind, scope) for kind, scope in account.orders if scope != service_id}
        account.changes += 1
        self._leave(account, service_id, product, product.parts, off)
        self.free.append(product.sample)

    def _leave(
        self,
        account: ReferenceAccount,
        service_id: str,
        product: ReferenceProduct,
        parts: set[Part],
        off: set[Part],
    ) -> None:
        for part in parts - self.by_hand:
            unsure = part in self.moved
            account.left[part] = Left(service_id, product.prepaid, part in off, unsure)

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO)
    def switch_off_by_hand(self, who: int) -> None:
        """An employee left: his extension is disabled at the PBX, and is to stay so."""
        self.wait_at_rest()
        account, off = self.accounts[who], self._off()
        for service_id, product in account.products.items():
            allowed = account.may_be_off(service_id, prepaid=product.prepaid)
            last = (product.sample.tenant, EXTENSIONS[-1])
            if allowed == {False} and len(product.parts) > 1 and last not in off:
                self._toggle(last)
                self.by_hand.add(last)
                return

    @precondition(lambda self: not self.frozen)
    @rule(who=WHO)
    def switch_on_by_hand(self, who: int) -> None:
        """A person switches on what was switched off for the money: that is not to last."""
        self.wait_at_rest()
        account, off = self.accounts[who], self._off()
        for service_id, product in account.products.items():
            if account.may_be_off(service_id, prepaid=product.prepaid) != {True}:
                continue
            for part in sorted((product.parts & off) - self.by_hand - self.switched_on):
                self._toggle(part)
                self.switched_on.add(part)
                return

    def _toggle(self, part: Part) -> None:
        kind, uuid = "gateways", part[1]
        if part[0] != "gateway":
            kind = "extensions"
            (uuid,) = (
                e["uuid"]
                for e in self.town.pbx_state()["extensions"]
                if (e["domain"], e["number"]) == part
            )
        self.town.pbx("toggle", {"kind": kind, "uuid": uuid})

    @rule(service=st.sampled_from(SERVICES))
    def kill(self, service: str) -> None:
        self.town.kill(service)
        self.frozen.discard(service)

    @rule(service=st.sampled_from(FROZEN))
    def delay(self, service: str) -> None:
        if service not in self.frozen:
            self.town.freeze(service)
            self.frozen.add(service)

    @rule(count=st.integers(5, 40), seed=st.integers(0, 2**32), rest=REST)
    def repeat(self, count: int, seed: int, rest: bool) -> None:
        """Old records once more, in another order: the holds that they tell of are over."""
        self._maybe_rest(True)
        ids = {account.account_id for account in self.accounts}
        note(f"{self.town.repeat(ids, count, random.Random(seed))} records again")
        self._maybe_rest(rest)

    @rule()
    def wait_at_rest(self) -> None:
        """All go on; soon the PBX is as it must be."""
        self.town.thaw()
        self.frozen.clear()
        self.town.until(self._objection)
        off = self._off()
        for account in self.accounts:
            for part, left in account.left.items():
                left.off, left.unsure = part in off, part in self.moved

    def _maybe_rest(self, rest: bool) -> None:
        if rest and not self.frozen:
            self.wait_at_rest()

    @invariant()
    def holds_that_ended_are_remembered(self) -> None:
        for account in self.accounts:
            for left in account.left.values():
                left.unsure = left.unsure or account.may_stay_off(left) != {True}

    def teardown(self) -> None:
        if self.accounts:
            self.wait_at_rest()
            for account in self.accounts:
                self._no_switch_too_many(account)

    def _enter(self, account: ReferenceAccount, sample: SampleClient, by: str) -> None:
        self.town.pbx("seed", pbx_seed(sample))
        product = ReferenceProduct(sample, by)
        self._put(account, f"p-{uuid4().hex[:10]}", product)
        for each in self.accounts:
            for part in product.parts:
                each.left.pop(part, None)

    def _put(self, account: ReferenceAccount, service_id: str, product: ReferenceProduct) -> None:
        sample = product.sample
        self.town.ask(
            "PUT",
            f"/clients/{account.account_id}/products/{service_id}",
            {
                "kind": "fusionpbx",
                "server_id": PBX_ID,
                "prepaid": product.prepaid,
                "package": PACKAGE,
                "bill_from": BILL_FROM,
                "domain_tenant_and_main_dids": f"{sample.tenant} | {sample.did}",
                "extensions": " | ".join(product.extensions),
                "suspend_by": product.by,
                "gateway_ids": sample.gateway_id,
            },
        )
        account.products[service_id] = product
        account.changes += 1

    def _objection(self) -> str:
        """What is not yet as it must be at rest; empty when all is."""
        off = self._off()
        for account in self.accounts:
            objection = self._unknown(account) or self._wrong(account, off)
            if objection:
                return f"{account.account_id}: {objection}"
        if missing := self.by_hand - off:
            return f"switched off by hand, and on: {missing}"
        owned = {part for account in self.accounts for part in account.left}
        idle = {part for sample in self.free for part in all_parts(sample)} - owned
        wrong = (idle & off) - self.by_hand
        return f"off, and nobody's: {wrong}" if wrong else ""

    def _unknown(self, account: ReferenceAccount) -> str:
        (row,) = self.town.rows(_AT_REST, account.account_id) or (None,)
        if row is None:
            return "nothing is known yet"
        if row["balance_micro"] != account.credit:
            return f"balance {row['balance_micro']}, not {account.credit}"
        return ", ".join(name for name in row.keys() if row[name] is False)  # noqa: SIM118

    def _wrong(self, account: ReferenceAccount, off: set[Part]) -> str:
        """A part of the client's that is otherwise than the references allow."""
        for service_id, product in account.products.items():
            allowed = account.may_be_off(service_id, prepaid=product.prepaid)
            states = {part in off for part in product.parts - self.by_hand}
            if len(states) > 1 or not states <= allowed:
                return f"{service_id}: off {states}; allowed {allowed}"
            others = all_parts(product.sample) - product.parts - account.left.keys()
            if released := (others & off) - self.by_hand:
                return f"{service_id}: {released} off, and no longer named"
        for part, left in account.left.items():
            allowed = account.may_stay_off(left)
            if (part in off) not in allowed:
                return f"{part} left {left.service_id}: off {part in off}; allowed {allowed}"
        return ""

    def _off(self) -> set[Part]:
        """All that is off on the PBX, its flag or what the switch runs."""
        state = self.town.pbx_state()
        gateways = {
            ("gateway", g["uuid"]) for g in state["gateways"] if not (g["enabled"] and g["live"])
        }
        return gateways | {
            (e["domain"], e["number"]) for e in state["extensions"] if not e["enabled"]
        }

    def _no_switch_too_many(self, account: ReferenceAccount) -> None:
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
        = (select count(*) from report.service_state s
            where s.account_id = a.account_id and not s.departed)
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


def _sample(account_id: str) -> SampleClient:
    name, did = uuid4().hex[:10], f"519{uuid4().int % 10**7:07d}"
    return SampleClient(
        account_id, "Sam", "Switch", "", f"{name}.sw.example", did, EXTENSIONS, "0"
    )  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingHarness]:
    environment = {
        "RINGFENCE_SUSPENDER_BRAKE_CLIENTS": "0",
        "RINGFENCE_SUSPENDER_DRIFT_S": "0.5",
    }
    with SwitchingHarness(tmp_path_factory.mktemp("switching"), environment) as town:
        yield town


def test_at_rest_every_element_is_what_the_reference_allows(town: SwitchingHarness) -> None:
    machine = type("SwitchingHere", (Switching,), {"town": town})
    plan = settings(
        max_examples=int(os.environ.get("RINGFENCE_SWITCHING_EXAMPLES", "6")),
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    try:
        run_state_machine_as_test(machine, settings=plan)
    except Flaky as error:  # a story that failed is played once more, and may end otherwise
        raise AssertionError("\n".join(town.objections) or str(error)) from error
    done = subprocess.run(
        [sys.executable, "-m", "ringfence_cli.main", "database", "verify", "--dsn", town.stack.dsn],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
