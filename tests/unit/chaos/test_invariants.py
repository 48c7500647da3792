"""The independent check of the chaos suite finds each kind of damage: a check of the check."""

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from ringfence_contracts.ids import charge_id, derive
from tests.chaos.invariants import Leniency, check
from tests.chaos.planned import ROUTES, PlannedCall, Wave, plan_wave
from tests.chaos.readings import InboxMail, Readings, TopicReadings
from tests.chaos.town import Sent

CALLS = 60
Damage = Callable[[Readings], object]


def wave() -> Wave:
    return plan_wave(0, CALLS, random.Random(7), each=1)


def sent_of(planned: Wave) -> Sent:
    return Sent(list(planned.clients), list(planned.calls), list(planned.payments))


def readings_of(planned: Wave) -> Readings:
    """What is there if nothing went wrong."""
    tables: dict[str, list[Any]] = {
        name: []
        for name in (
            "ledger", "balances", "gaps", "not_billed", "unrated", "dead", "unclaimed", "records",
            "payments", "owners", "rating_profiles", "watched", "suspended", "notified",
            "crossings", "services", "service_copies", "mails", "outboxes",
        )
    }  # fmt: skip
    readings = Readings(tables, TopicReadings(), {}, [], [])
    for one in planned.clients:
        account_id = one.client.account_id
        post(readings, account_id, "adjustment", "opening", one.opening_micro)
        for payment in planned.payments:
            if payment.account_id == account_id:
                post(readings, account_id, "top-up", payment.key, payment.amount_micro)
        for call in planned.calls:
            if call.account_id == account_id:
                place(readings, call)
        add_state(readings, account_id, one.balance_micro, one.client.gateway_id)
    return readings


def post(readings: Readings, account_id: str, kind: str, key: str, amount_micro: int) -> None:
    payment_id = str(derive("payment", account_id, key))
    add_entry(readings, account_id, kind, payment_id, payment_id, amount_micro)
    payment = {"payment_id": payment_id, "account_id": account_id, "amount_micro": amount_micro}
    rows(readings, "payments").append({**payment, "idempotency_key": key, "kind": kind})
    readings.topics.payments.append(payment)


def place(readings: Readings, call: PlannedCall) -> None:
    name = str(call.call_id)
    rows(readings, "records").append({"record_id": name, "disposition": "published"})
    if call.route.outcome == "unrated":
        rows(readings, "unrated").append({"call_id": name})
    elif call.route.outcome == "not-billed":
        rows(readings, "not_billed").append({"call_id": name})
    else:
        entry_id = str(charge_id(name))
        add_entry(readings, call.account_id, "charge", entry_id, name, -call.cost_micro)
        readings.topics.rated.append(
            {
                "call_id": name, "account_id": call.account_id, "outcome": "rated",
                "entry_id": entry_id, "cost_micro": call.cost_micro,
            }
        )  # fmt: skip


def add_entry(
    readings: Readings, account_id: str, kind: str, entry_id: str, cause_id: str, amount: int
) -> None:
    own = [row for row in rows(readings, "ledger") if row["account_id"] == account_id]
    after = (own[-1]["balance_after_micro"] if own else 0) + amount
    rows(readings, "ledger").append(
        {
            "account_id": account_id, "version": len(own) + 1, "entry_id": entry_id, "kind": kind,
            "amount_micro": amount, "balance_after_micro": after, "cause_id": cause_id,
            "reverses": None,
        }
    )  # fmt: skip


def add_state(readings: Readings, account_id: str, balance: int, gateway_id: str) -> None:
    version = sum(row["account_id"] == account_id for row in rows(readings, "ledger"))
    is_off = balance <= 0
    name = {"account_id": account_id}
    owner = {"version": 2, "outstanding_micro": 0, "credit_limit_micro": 0}
    watched = {"balance_version": version, "balance_micro": balance, "held": is_off, "holds": 1}
    state = "suspended" if is_off else "active"
    service = {"service_id": f"pbx-{account_id}", "wanted": state, "confirmed": state}
    added = {
        "balances": {"balance_micro": balance, "version": version},
        "owners": owner,
        "rating_profiles": {"version": 2},
        "notified": {"version": 2},
        "watched": {"profile_version": 2, **watched},
        "suspended": {"profile_version": 2, "held": is_off, "hold": 1},
        "services": {**service, "wanted_seq": 1, "confirmed_seq": 1, "last_error": ""},
        "service_copies": {"service_id": f"pbx-{account_id}", "suspended": is_off},
    }
    for table, row in added.items():
        rows(readings, table).append({**name, **row})
    readings.gateways[gateway_id] = (not is_off, not is_off)
    if is_off:
        add_mail(readings, account_id)


def add_mail(readings: Readings, account_id: str) -> None:
    recipient, subject = f"{account_id}@chaos.example", "VoIP Zero Balance"
    rows(readings, "crossings").append(
        {
            "account_id": account_id, "topic": "balance.zero.v1",
            "value": orjson.dumps({"hold": 1, "mail_owed": True}),
        }
    )  # fmt: skip
    rows(readings, "mails").append(
        {
            "message_id": account_id, "account_id": account_id, "kind": "zero", "number": 1,
            "day": 0, "state": "sent", "recipient": recipient, "subject": subject,
            "last_error": "", "shadow": False,
        }
    )  # fmt: skip
    readings.inbox.append(InboxMail(recipient, subject, f"<{account_id}>"))


def rows(readings: Readings, table: str) -> list[Any]:
    found = readings.tables[table]
    assert isinstance(found, list)
    return found


def first_charge(readings: Readings) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in rows(readings, "ledger") if r["kind"] == "charge")
    return found


def charge_twice(readings: Readings) -> None:
    row = first_charge(readings)
    rows(readings, "ledger").append({**row, "entry_id": str(derive("again", row["cause_id"]))})


def lose_a_call(readings: Readings) -> None:
    rows(readings, "ledger").remove(first_charge(readings))


DAMAGES: tuple[tuple[str, Damage], ...] = (
    ("I1", lambda r: rows(r, "balances")[0].update(balance_micro=1)),
    ("I1", lambda r: first_charge(r).update(balance_after_micro=7)),
    ("I2", lambda r: r.topics.rated.append({**r.topics.rated[0], "cost_micro": 1})),
    ("I3", lose_a_call),
    ("I3", lambda r: rows(r, "dead").append({"call_id": first_charge(r)["cause_id"]})),
    ("I4", charge_twice),
    ("I5", lambda r: r.inbox.append(r.inbox[0])),
    ("I5", lambda r: r.inbox.clear()),
    ("I5", lambda r: rows(r, "mails").clear()),
    ("I6", lambda r: rows(r, "services")[0].update(wanted_seq=2)),
    ("I6", lambda r: r.gateways.update(dict.fromkeys(r.gateways, (True, False)))),
    ("I7", lambda r: r.topics.payments.pop()),
    ("I8", lambda r: first_charge(r).update(amount_micro=-1)),
    ("I8", lose_a_call),
    ("I9", lambda r: r.leaks.append("rating.log: postgres-password")),
    ("I10", lambda r: rows(r, "payments").pop()),
    ("I11", lambda r: [row.update(held=False) for row in rows(r, "watched")]),
    ("I11", lambda r: [row.update(held=False) for row in rows(r, "suspended")]),
    ("I12", lambda r: rows(r, "notified")[0].update(version=1)),
    ("I12", lambda r: r.topics.dead_letters.append("call.completed.v1.dlq.rating: bad")),
)


def found_in(readings: Readings, before: dict[str, tuple[Any, ...]] | None = None) -> set[str]:
    findings = check(readings, sent_of(wave()), before=before or {}, leniency=Leniency())
    return {name for name, lines in findings.differences.items() if lines}


def ledger(readings: Readings) -> dict[str, tuple[Any, ...]]:
    return {row["entry_id"]: tuple(row.values()) for row in rows(readings, "ledger")}


class Row(dict[str, Any]):
    """A row that iterates over its values, as the database's rows do."""

    def __iter__(self) -> Any:
        return iter(self.values())


def with_rows(readings: Readings) -> Readings:
    rows(readings, "ledger")[:] = [Row(row) for row in rows(readings, "ledger")]
    return readings


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    readings = with_rows(readings_of(wave()))
    findings = check(readings, sent_of(wave()), before=ledger(readings), leniency=Leniency())
    assert findings.lines() == []
    assert findings.holds


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_each_damage_is_found(name: str, damage: Damage) -> None:
    readings = with_rows(readings_of(wave()))
    before = ledger(readings)
    damage(readings)
    assert name in found_in(readings, before)


def test_a_lost_call_and_a_second_charge_are_counted() -> None:
    readings = with_rows(readings_of(wave()))
    lose_a_call(readings)
    charge_twice(readings)
    findings = check(readings, sent_of(wave()), before={}, leniency=Leniency())
    assert (len(findings.lost), len(findings.doubled)) == (1, 1)


def test_the_price_of_a_route_counts_begun_periods() -> None:
    toronto, yukon = ROUTES[0], ROUTES[1]
    assert [toronto.cost_micro(s) for s in (1, 6, 7, 60)] == [1440, 1440, 2880, 14_400]
    assert [yukon.cost_micro(s) for s in (1, 30, 31, 36)] == [27_000, 27_000, 32_400, 32_400]
