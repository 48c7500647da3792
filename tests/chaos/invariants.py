"""I1 to I12, computed from what was read and what was sent, independently of the product's checks.

Pure: without clock, socket, database or logger.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ringfence_contracts.ids import charge_id, derive
from tests.chaos.readings import Readings, Row
from tests.chaos.town import Sent

NAMES = tuple(f"I{n}" for n in range(1, 13))
MAIL_STATES = {"waiting", "sending", "sent", "failed", "in-doubt", "dropped"}


@dataclass
class Leniency:
    """What a scenario did that an invariant allows for.

    `topics_lost`: records are gone from the topics, so that they cannot be replayed (I7).
    `poison`: dead letters are expected. `may_repeat_mails`: a database was put back, so that mails
    since then may come a second time. `acceptances_lost`: with it went cdr-ingest's notes of what
    was pushed; rating has the calls.
    """

    topics_lost: bool = False
    poison: bool = False
    may_repeat_mails: bool = False
    acceptances_lost: bool = False


@dataclass
class Findings:
    """The result of a check."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differences: dict[str, list[str]] = field(default_factory=lambda: {n: [] for n in NAMES})
    unknown: set[str] = field(default_factory=set)
    """Invariants that could not be checked."""

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, nothing doubled, and nothing differs."""
        return not (self.lost or self.doubled or any(self.differences.values()))

    def lines(self, most: int = 3) -> list[str]:
        """The first differences of each kind, for people."""
        kinds = {"lost": self.lost, "double": self.doubled, **self.differences}
        found = []
        for name, lines in kinds.items():
            found += [f"{name}: {line}" for line in lines[:most]]
            if len(lines) > most:
                found.append(f"{name}: and {len(lines) - most} more")
        return found


def check(
    readings: Readings,
    sent: Sent,
    *,
    before: Mapping[str, tuple[Any, ...]],
    leniency: Leniency,
) -> Findings:
    """Check everything. `before`: the ledger as it was at an earlier moment (I8)."""
    findings = Findings()
    tables = readings.tables
    entries: dict[str, list[Row]] = defaultdict(list)
    for row in tables["ledger"]:
        entries[row["account_id"]].append(row)
    _check_balances(findings, tables, entries, sent)
    live = _check_charges(findings, tables, sent)
    _check_costs(findings, readings, live, leniency)
    _check_places(findings, tables, live, sent, leniency)
    _check_mails(findings, readings, leniency)
    _check_switches(findings, readings, sent)
    _check_replay(findings, readings, leniency)
    now = {row["entry_id"]: tuple(row) for row in tables["ledger"]}
    for entry_id, known in before.items():
        if now.get(entry_id) != known:
            how = "changed" if entry_id in now else "removed"
            findings.differences["I8"].append(f"entry {entry_id} was {how}")
    findings.differences["I9"] += readings.leaks
    _check_payments(findings, readings, sent)
    _check_holds(findings, tables)
    _check_copies(findings, readings, leniency)
    return findings


def _check_balances(
    findings: Findings, tables: Mapping[str, Any], entries: Mapping[str, list[Row]], sent: Sent
) -> None:
    differences = findings.differences["I1"]
    balances = {row["account_id"]: row for row in tables["balances"]}
    gaps: Counter[str] = Counter()
    for row in tables["gaps"]:
        gaps[row["account_id"]] += row["versions"]
    for account_id in balances.keys() | entries.keys():
        own, balance = entries.get(account_id, []), balances.get(account_id)
        total = 0
        for entry in own:
            total += entry["amount_micro"]
            if entry["balance_after_micro"] != total:
                differences.append(
                    f"{account_id}: version {entry['version']} is not the sum so far"
                )
                break
        kept = balance["balance_micro"] if balance else None
        if kept != sum(entry["amount_micro"] for entry in own):
            differences.append(f"{account_id}: balance {kept}, entries sum to {total}")
        if balance and balance["version"] != len(own) + gaps[account_id]:
            differences.append(f"{account_id}: version {balance['version']}, {len(own)} entries")
    for planned in sent.clients:
        account_id = planned.client.account_id
        kept = balances[account_id]["balance_micro"] if account_id in balances else 0
        if kept != planned.balance_micro:
            differences.append(
                f"{account_id} ({planned.ending}): balance {kept}, what was sent comes to"
                f" {planned.balance_micro}"
            )


def _check_charges(findings: Findings, tables: Mapping[str, Any], sent: Sent) -> dict[str, int]:
    """I4; returns the live charge of each charged call, in micro-units."""
    reversed_ids = {row["reverses"] for row in tables["ledger"] if row["kind"] == "reversal"}
    live: dict[str, list[int]] = defaultdict(list)
    charged: Counter[str] = Counter()
    for row in tables["ledger"]:
        if row["kind"] == "charge":
            charged[row["cause_id"]] += 1
            if row["entry_id"] not in reversed_ids:
                live[row["cause_id"]].append(-row["amount_micro"])
    for name, amounts in live.items():
        if len(amounts) > 1:
            findings.doubled.append(name)
            findings.differences["I4"].append(f"call {name}: {len(amounts)} live charges")
    first_ids = {row["cause_id"]: row["entry_id"] for row in tables["ledger"]}
    for call in sent.calls:
        name = str(call.call_id)
        if charged[name] and first_ids[name] != str(charge_id(name)):
            findings.differences["I4"].append(f"call {name}: its charge has another id")
    return {name: sum(amounts) for name, amounts in live.items()}


def _check_costs(
    findings: Findings, readings: Readings, live: Mapping[str, int], leniency: Leniency
) -> None:
    """I2: ledger and call.rated have the same costs; `_check_sent_calls` has what was sent."""
    published: dict[str, int] = {}
    for data in readings.topics.rated:
        if data.get("outcome") == "rated":
            published[data["call_id"]] = data["cost_micro"]
    for call in live.keys() | published.keys():
        if call not in published and leniency.topics_lost:
            continue
        if live.get(call) != published.get(call):
            findings.differences["I2"].append(
                f"call {call}: charged {live.get(call)}, published {published.get(call)}"
            )


def _check_places(
    findings: Findings,
    tables: Mapping[str, Any],
    live: Mapping[str, int],
    sent: Sent,
    leniency: Leniency,
) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for call in live:
        places[call].append("rated")
    for table, place in (("not_billed", "not-billed"), ("unrated", "unrated"), ("dead", "dead")):
        for row in tables[table]:
            places[row["call_id"]].append(place)
    differences = findings.differences["I3"]
    accepted = set()
    for row in tables["records"]:
        if row["disposition"] == "published":
            accepted.add(row["record_id"])
            if len(places[row["record_id"]]) != 1:
                differences.append(f"call {row['record_id']}: in {places[row['record_id']]}")
    _check_sent_calls(findings, places, accepted, live, sent, leniency)


def _check_sent_calls(
    findings: Findings,
    places: Mapping[str, list[str]],
    accepted: Collection[str],
    live: Mapping[str, int],
    sent: Sent,
    leniency: Leniency,
) -> None:
    differences = findings.differences["I3"]
    for planned in sent.calls:
        name = str(planned.call_id)
        if places[name] != [planned.route.outcome]:
            if not places[name]:
                findings.lost.append(f"{name}, sent by {planned.way}")
            differences.append(f"call {name}: in {places[name]}, expected {planned.route.outcome}")
        elif name not in accepted and not leniency.acceptances_lost:
            differences.append(f"call {name}: rated, and not among the accepted records")
        if planned.route.outcome == "rated" and live.get(name, planned.cost_micro) != (
            planned.cost_micro
        ):
            findings.differences["I2"].append(
                f"call {name}: charged {live[name]}, costs {planned.cost_micro}"
            )


def _check_mails(findings: Findings, readings: Readings, leniency: Leniency) -> None:
    differences = findings.differences["I5"]
    owed: Counter[tuple[str, str, int, int]] = Counter()
    sent: Counter[tuple[str, str]] = Counter()
    doubtful: Counter[tuple[str, str]] = Counter()
    for row in readings.tables["mails"]:
        if row["state"] not in MAIL_STATES:
            differences.append(f"mail {row['message_id']}: state {row['state']}")
        if row["state"] == "dropped" and not row["last_error"]:
            differences.append(f"mail {row['message_id']}: dropped without a reason")
        if row["account_id"] is None or row["shadow"]:
            continue
        if row["number"] is not None:  # a client may have several mails about alarms
            owed[row["account_id"], row["kind"], row["number"], row["day"]] += 1
        if row["state"] == "sending" or (row["state"] == "waiting" and row["kind"] == "zero"):
            differences.append(f"mail {row['kind']} of {row['account_id']}: still {row['state']}")
        sent[row["recipient"], row["subject"]] += row["state"] == "sent"
        doubtful[row["recipient"], row["subject"]] += row["state"] == "in-doubt"
    differences += [f"mail {key}: {count} rows" for key, count in owed.items() if count > 1]
    for row in readings.tables["crossings"]:
        data = orjson.loads(row["value"])
        kind = {"balance.zero.v1": "zero", "balance.low.v1": "low"}.get(row["topic"])
        number = data.get({"zero": "hold", "low": "stay"}.get(kind or "", ""), 0)
        is_owed = kind and number and data.get("mail_owed", True)
        if is_owed and not owed[row["account_id"], kind or "", number, 0]:
            differences.append(f"mail {kind} {number} of {row['account_id']}: not owed")
    _compare_inbox(findings, readings, sent, doubtful, leniency)


def _compare_inbox(
    findings: Findings,
    readings: Readings,
    sent: Mapping[tuple[str, str], int],
    doubtful: Mapping[tuple[str, str], int],
    leniency: Leniency,
) -> None:
    """Each mail that is noted as sent is in the inbox once; one in doubt may be."""
    ids = Counter(mail.message_id for mail in readings.inbox)
    inbox = Counter((mail.recipient, mail.subject) for mail in readings.inbox)
    differences = findings.differences["I5"]
    if not leniency.may_repeat_mails:
        differences += [f"mail {name} came {n} times" for name, n in ids.items() if n > 1]
    for key, count in sent.items():
        least, most = count, count + doubtful.get(key, 0)
        if inbox[key] < least or (inbox[key] > most and not leniency.may_repeat_mails):
            differences.append(f"mail {key}: {inbox[key]} in the inbox, {count} noted as sent")


def _check_switches(findings: Findings, readings: Readings, sent: Sent) -> None:
    differences = findings.differences["I6"]
    services = {row["account_id"]: row for row in readings.tables["services"]}
    for planned in sent.clients:
        client, row = planned.client, services.get(planned.client.account_id)
        is_off = planned.balance_micro <= 0
        right = "suspended" if is_off else "active"
        if row is None or not _is_confirmed(row, right):
            found = (row["wanted"], row["confirmed"], row["last_error"]) if row else None
            differences.append(f"{client.account_id} ({planned.ending}): {found}, right is {right}")
        flag = readings.gateways.get(client.gateway_id)
        if flag != (not is_off, not is_off):
            differences.append(f"{client.account_id} ({planned.ending}): its trunk is {flag}")


def _is_confirmed(row: Row, right: str) -> bool:
    """A service that was on from its beginning has never been confirmed."""
    confirmed = (right,) if right == "suspended" else (right, None)
    return bool(
        row["wanted"] == right
        and row["confirmed"] in confirmed
        and row["wanted_seq"] == row["confirmed_seq"]
    )


def _check_replay(findings: Findings, readings: Readings, leniency: Leniency) -> None:
    """I7: payments and charges of the topics come to the balances."""
    if leniency.topics_lost:
        findings.unknown.add("I7")
        return
    entries: dict[str, tuple[str, int]] = {}
    held = {row["payment_id"] for row in readings.tables["payments"]}
    for data in readings.topics.payments:
        if data.get("payment_id") in held:  # rating posts no other: docs/adr/0024
            entries[data["payment_id"]] = (data["account_id"], data["amount_micro"])
    for data in readings.topics.rated:
        if data.get("outcome") == "rated":
            entries[data["entry_id"]] = (data["account_id"], -data["cost_micro"])
            if replaced := data.get("replaces"):
                entries[replaced["reversal_id"]] = (data["account_id"], replaced["cost_micro"])
    sums: Counter[str] = Counter()
    for account_id, amount in entries.values():
        sums[account_id] += amount
    for row in readings.tables["balances"]:
        if sums[row["account_id"]] != row["balance_micro"]:
            findings.differences["I7"].append(
                f"{row['account_id']}: the topics come to {sums[row['account_id']]},"
                f" the balance is {row['balance_micro']}"
            )


def _check_payments(findings: Findings, readings: Readings, sent: Sent) -> None:
    differences = findings.differences["I10"]
    tables = readings.tables
    posted = {
        row["cause_id"]: (row["account_id"], row["amount_micro"])
        for row in tables["ledger"]
        if row["kind"] in ("top-up", "adjustment")
    }
    held = {r["payment_id"]: (r["account_id"], r["amount_micro"]) for r in tables["payments"]}
    for payment in posted.keys() | held.keys():
        if posted.get(payment) != held.get(payment):
            differences.append(
                f"payment {payment}: in accounts {held.get(payment)}, posted {posted.get(payment)}"
            )
    # By id, which follows from account and key: a claimed payment is entered under another key.
    for planned in sent.payments:
        payment_id = str(derive("payment", planned.account_id, planned.key))
        if held.get(payment_id) != (planned.account_id, planned.amount_micro):
            differences.append(f"payment {planned.key}: not once in accounts")
    for row in tables["unclaimed"]:
        differences.append(f"payment {row['payment_id']} waits to be claimed")


def _check_holds(findings: Findings, tables: Mapping[str, Any]) -> None:
    differences = findings.differences["I11"]
    balances = {row["account_id"]: row["balance_micro"] for row in tables["balances"]}
    watched = {row["account_id"]: row for row in tables["watched"]}
    suspended = {row["account_id"]: row for row in tables["suspended"]}
    for owner in tables["owners"]:
        account_id, debts = owner["account_id"], owner["outstanding_micro"]
        credit = balances.get(account_id, 0)
        is_spent = credit <= -owner["credit_limit_micro"] or debts > credit
        watch, known = watched.get(account_id), suspended.get(account_id)
        held = bool(watch and watch["held"])
        if (is_spent or debts == 0) and held != is_spent:
            differences.append(f"{account_id}: credit {credit}, debts {debts}, held {held}")
        if known is None or known["held"] != held:
            differences.append(f"{account_id}: held {held}, the suspender has {known}")
        if held and watch and known and watch["holds"] != known["hold"]:
            differences.append(f"{account_id}: hold {watch['holds']}, the suspender has another")


def _check_copies(findings: Findings, readings: Readings, leniency: Leniency) -> None:
    _check_profiles(findings, readings)
    differences = findings.differences["I12"]
    tables = readings.tables
    watched = {
        row["account_id"]: (row["balance_version"], row["balance_micro"])
        for row in tables["watched"]
    }
    for row in tables["balances"]:
        own = (row["version"], row["balance_micro"])
        if row["version"] and watched.get(row["account_id"]) != own:
            differences.append(f"balance-watch has another balance of {row['account_id']}")
    copied = {(r["account_id"], r["service_id"]): r["suspended"] for r in tables["service_copies"]}
    for row in tables["services"]:
        is_off = row["confirmed"] == "suspended"
        if is_off != copied.get((row["account_id"], row["service_id"]), False):
            differences.append(f"accounts has {row['service_id']} otherwise than the suspender")
    for row in tables["outboxes"]:
        if row["rows"]:
            differences.append(f"{row['rows']} events of {row['schema']} are not published")
    if not leniency.poison:
        differences += [f"dead letter in {line}" for line in readings.topics.dead_letters]


def _check_profiles(findings: Findings, readings: Readings) -> None:
    differences = findings.differences["I12"]
    tables = readings.tables
    copies = {
        "rating": {r["account_id"]: r["version"] for r in tables["rating_profiles"]},
        "balance-watch": {r["account_id"]: r["profile_version"] for r in tables["watched"]},
        "suspender": {r["account_id"]: r["profile_version"] for r in tables["suspended"]},
        "notifier": {r["account_id"]: r["version"] for r in tables["notified"]},
    }
    owners = {row["account_id"]: row["version"] for row in tables["owners"]}
    for reader, copy in copies.items():
        for account_id in owners.keys() | {name for name, version in copy.items() if version}:
            if copy.get(account_id) != owners.get(account_id):
                differences.append(
                    f"{reader} has version {copy.get(account_id)} of {account_id}, accounts has"
                    f" {owners.get(account_id)}"
                )
