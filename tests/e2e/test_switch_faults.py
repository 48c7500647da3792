"""A switch in trouble: the suspender killed half way, the PBX at its worst, a day of flapping.

Whatever happens, at rest each element is as it should be, what we switched off is on record with
its state before, and nothing was touched that is not ours.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from ringfence_local.demo.sample import BILL_FROM, PACKAGE, SampleClient, pbx_seed
from ringfence_local.demo.scene import PBX_ID
from tests.support.switching_harness import SwitchingHarness

pytestmark = pytest.mark.timeout(1800)

EXTENSIONS = ("2112", "2113")
STATUS = "/app/sip_status/"
LISTS = {"gateway": "/app/gateways/", "extensions": "/app/extensions/"}
# Where a release is read back: a few gateways in their list alone. Each request there is late, so
# that there is time between the toggle and the proof.
RELEASE_PROOFS = {
    "gateway": {"kind": "slow", "value": "5", "path": LISTS["gateway"], "times": 1000},
    "extensions": {"kind": "slow", "value": "20", "path": STATUS, "times": 1000},
}
TROUBLE = (
    {"kind": "status", "value": "500"},
    {"kind": "status", "value": "429 1"},
    {"kind": "drop"},
    {"kind": "cut"},
    {"kind": "forget"},
    {"kind": "slow", "value": "0.3"},
    {"kind": "html", "value": "<html><b>Fatal error</b>: Uncaught PDOException</html>"},
    {"kind": "header", "value": "Set-Cookie: PHPSESSID=caf\xe9; path=/"},
    {"kind": "raw", "value": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xff\xfe\x00\x01\x02"},
)


@dataclass
class Client:
    """A client with one product of two extensions and a trunk of its own."""

    town: SwitchingHarness
    sample: SampleClient
    credit: int

    @classmethod
    def enter(cls, town: SwitchingHarness, by: str, credit: int = 5) -> "Client":
        account_id, name = f"sf-{uuid4().hex[:10]}", uuid4().hex[:10]
        sample = SampleClient(
            account_id, "Fay", "Fault", "", f"{name}.sf.example",
            f"519{uuid4().int % 10**7:07d}", EXTENSIONS, str(credit), suspend_by=by,
        )  # fmt: skip
        town.pbx("seed", pbx_seed(sample))
        town.ask(
            "PUT",
            f"/clients/{account_id}",
            {
                "first_name": "Fay",
                "email": f"fay@{sample.tenant}",
                "currency": "CAD",
                "has_voip_service": "yes",
                "opening_balance": str(credit),
            },
        )
        town.ask(
            "PUT",
            f"/clients/{account_id}/products/{sample.service_id}",
            {
                "kind": "fusionpbx",
                "server_id": PBX_ID,
                "package": PACKAGE,
                "bill_from": BILL_FROM,
                "domain_tenant_and_main_dids": f"{sample.tenant} | {sample.did}",
                "extensions": " | ".join(EXTENSIONS),
                "suspend_by": by,
                "gateway_ids": sample.gateway_id,
            },
        )
        return cls(town, sample, credit)

    def pay(self, amount: int) -> None:
        """A top-up, or a negative adjustment."""
        path = f"/clients/{self.sample.account_id}/payments"
        body = {"amount": str(amount), "kind": "top-up" if amount > 0 else "adjustment"}
        self.town.ask("POST", path, body, key=uuid4().hex)
        self.credit += amount

    @property
    def by(self) -> str:
        return self.sample.suspend_by

    def off(self) -> set[str]:
        """Which of its elements are off on the PBX now."""
        state = self.town.pbx_state()
        if self.by == "gateway":
            found = [g for g in state["gateways"] if g["uuid"] == self.sample.gateway_id]
            return {g["uuid"] for g in found if not (g["enabled"] and g["live"])}
        own = [e for e in state["extensions"] if e["domain"] == self.sample.tenant]
        return {e["number"] for e in own if not e["enabled"]}

    @property
    def elements(self) -> set[str]:
        return {self.sample.gateway_id} if self.by == "gateway" else set(EXTENSIONS)

    def records(self) -> list[Any]:
        """The elements that are recorded as switched off by us."""
        return self.town.rows(
            "select element, was_on from report.switched_off where account_id = $1",
            self.sample.account_id,
        )

    def confirmed(self) -> str:
        (row,) = self.town.rows(
            "select confirmed, open from report.service_state where account_id = $1",
            self.sample.account_id,
        ) or ({"confirmed": None, "open": True},)
        return "open" if row["open"] else str(row["confirmed"])

    def wait_until(self, state: str, off: set[str]) -> None:
        """Until the service is confirmed as `state`, and just these elements are off."""
        self.town.until(lambda: "" if self.confirmed() == state else f"{self.confirmed()}")
        self.wait_until_off(off)

    def wait_until_off(self, off: set[str]) -> None:
        """Until nothing is being switched, and just these elements are off."""

        def objection() -> str:
            found = self.confirmed(), self.off()
            return "" if found[0] != "open" and found[1] == off else f"{found}, not {off} off"

        self.town.until(objection)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingHarness]:
    environment = {
        "RINGFENCE_SUSPENDER_BRAKE_CLIENTS": "0",
        "RINGFENCE_SUSPENDER_BACKOFF_MAX_S": "1",
        "RINGFENCE_SUSPENDER_BREAKER_S": "1",
    }
    with SwitchingHarness(tmp_path_factory.mktemp("faults"), environment) as town:
        yield town


@pytest.mark.parametrize("by", ["gateway", "extensions"])
def test_a_kill_between_record_and_toggle_is_recovered(town: SwitchingHarness, by: str) -> None:
    client = Client.enter(town, by)
    town.pbx("faults", {"kind": "toggle-lies", "times": 1000})
    client.pay(-5)
    town.until(lambda: "" if client.records() else "nothing is on record yet")
    assert not _stored_off(client)
    town.kill("suspender")
    town.forget_faults()
    client.wait_until("suspended", client.elements)
    assert {(r["element"], r["was_on"]) for r in client.records()} == {
        (element, True) for element in client.elements
    }
    client.pay(10)
    client.wait_until("active", set())
    assert client.records() == []


@pytest.mark.parametrize("by", ["gateway", "extensions"])
def test_a_kill_between_toggle_and_read_back_is_recovered(town: SwitchingHarness, by: str) -> None:
    client = Client.enter(town, by)
    town.pbx("faults", {"kind": "slow", "value": "20", "path": STATUS, "times": 1000})
    client.pay(-5)
    town.until(lambda: "" if client.off() else "not toggled yet")
    town.kill("suspender")
    town.forget_faults()
    client.wait_until("suspended", client.elements)
    assert all(record["was_on"] for record in client.records())

    town.pbx("faults", RELEASE_PROOFS[by])
    client.pay(10)
    town.until(lambda: "" if not _stored_off(client) else "not toggled on yet")
    assert client.records(), "the record goes only when the release is confirmed"
    town.kill("suspender")
    town.forget_faults()
    client.wait_until("active", set())
    assert client.records() == []


def _stored_off(client: Client) -> bool:
    state = client.town.pbx_state()
    if client.by == "gateway":
        found = [g for g in state["gateways"] if g["uuid"] == client.sample.gateway_id]
    else:
        found = [e for e in state["extensions"] if e["domain"] == client.sample.tenant]
    return not all(each["enabled"] for each in found)


def test_a_day_of_flapping_with_faults_ends_as_desired_and_touches_nothing_else(
    town: SwitchingHarness,
) -> None:
    clients = [Client.enter(town, by) for by in ("gateway", "extensions") * 6]
    left_employees = [client for client in clients if client.by == "extensions"][:3]
    for client in left_employees:
        town.pbx("toggle", {"kind": "extensions", "uuid": _uuid(client, "2113")})
    bystander = Client.enter(town, "gateway", credit=1_000)
    written = _toggles(town)
    choose = random.Random(20261126)
    for step in range(160):
        client = choose.choice(clients)
        client.pay(choose.choice([-1, 1]) * choose.choice([1, 5, 20]))
        if step % 4 == 0:
            path = choose.choice([STATUS, *LISTS.values(), "/"])
            trouble = choose.choice(TROUBLE)
            town.pbx("faults", {**trouble, "path": path, "times": choose.randint(1, 3)})
        if step % 40 == 39:
            town.kill("suspender")
    town.forget_faults()
    for client in clients:
        hand = {"2113"} if client in left_employees else set()
        client.wait_until_off(client.elements if client.credit <= 0 else hand)
    assert bystander.off() == set()
    ours = {uuid for client in clients for uuid in _uuids(client)}
    hands = {_uuid(client, "2113") for client in left_employees}
    assert {entry["uuid"] for entry in _toggles(town)[len(written) :]} <= ours - hands


def _uuid(client: Client, number: str) -> str:
    state = client.town.pbx_state()
    (found,) = (
        e["uuid"]
        for e in state["extensions"]
        if (e["domain"], e["number"]) == (client.sample.tenant, number)
    )
    return str(found)


def _uuids(client: Client) -> set[str]:
    if client.by == "gateway":
        return {client.sample.gateway_id}
    return {_uuid(client, number) for number in EXTENSIONS}


def _toggles(town: SwitchingHarness) -> list[dict[str, Any]]:
    """The toggles on the simulated PBX so far, by us or by hand."""
    (journal,) = town.stack.folder.rglob("*.journal")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    return [entry for entry in entries if entry["kind"] in ("gateways", "extensions")]
