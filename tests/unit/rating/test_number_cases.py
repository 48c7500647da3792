"""Every case of tests/cases/numbers, from a PBX's record to the price."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.receiver.formats import READERS, Posted
from cdr_ingest.vodia.rows import read_record
from rating.pricing.price import parse_increment
from rating.pricing.product_match import Match, ProductIndex
from rating.pricing.rate_call import NotBilled, Rated, RatingOutcome, Unrated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.money import format_micro, parse_decimal
from ringfence_pbx.decimal_json import read_json
from ringfence_simulators.freeswitch.channel import channel_of
from ringfence_simulators.freeswitch.document import json_document, make_body
from ringfence_simulators.fusionpbx.calls import export_csv, make_call
from ringfence_testing import records
from ringfence_testing.records import NOON
from tests.support.narrow import expect
from tests.support.push import pushing

CASES = Path(__file__).parents[2] / "cases" / "numbers"
ENDED = int(NOON.timestamp())
INBOUND: dict[str, object] = {
    "inbound_enabled": True,
    "custom_inbound_rate": "0.0049",
    "custom_inbound_increment": "6/6",
}
BRITISH: dict[str, object] = {
    "country_code": "44",
    "exit_code": "00",
    "strip_prefix": "0",
    "prepend": "44",
    "nanpa_10_digit": False,
}
VODIA: dict[str, object] = {"kind": "vodia", "extensions": ("300", "301")}


def client(
    name: str,
    did: str,
    package: dict[str, object] | None = None,
    service: dict[str, object] | None = None,
) -> AccountChanged:
    return records.account(
        name,
        tenant=f"{name}.example",
        dids=(did,),
        extensions=("2112", "2113"),
        package=INBOUND | (package or {}),
        service=service,
    )


CLIENTS = (
    client("canada", "5195550991"),
    client("bundle", "5195550992", {"free_minutes": 100}),
    client("britain", "+44 20 7946 0993", BRITISH),
    client("vodia", "5195550994", service=VODIA),
)


def cases() -> list[dict[str, str]]:
    with (CASES / "calls.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def versions() -> TariffVersions:
    with (CASES / "tariff.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (r["Prefix"], r["Description"], r["RateValue"], *parse_increment(r["Increment"]), 1)
            for r in csv.DictReader(file)
        ]
    start = NOON.replace(year=2020)
    return TariffVersions([TariffVersion(1, "north", "CAD", start, Deck(rows))])


def read(case: dict[str, str]) -> CallCompleted:
    door = {"export": _exported, "json": _posted, "vodia": _listed}[case["door"]]
    return expect(CallCompleted, door(case))


def _columns(case: dict[str, str]) -> dict[str, Any]:
    inbound = case["direction"] == "inbound"
    return {
        "xml_cdr_uuid": "0f4205b4-907a-40c3-9012-f037b64ce422",
        "domain_name": f"{case['client']}.example",
        "direction": case["direction"],
        "extension": "" if inbound else "2112",
        "caller_id_number": "16135550177" if inbound else "2112",
        "caller_destination": case["number"],
        "destination_number": "5000" if inbound else case["number"],
        "start_epoch": ENDED - int(case["billsec"]) - 4,
        "billsec": int(case["billsec"]),
    }


def _exported(case: dict[str, str]) -> object:
    call = make_call(_columns(case), "7b1f2c1e-1111-4a57-9a83-0a5d6c4a0001", ENDED)
    header, line = export_csv([(call, call.columns)], superadmin=True, show_all=True).splitlines()
    return ExportRows(header, server_id="pbx1", tenant=None).read(line, 2)


def _posted(case: dict[str, str]) -> object:
    call = make_call(_columns(case), "7b1f2c1e-1111-4a57-9a83-0a5d6c4a0001", ENDED)
    found = channel_of(call)
    found.profile["destination_number"] = case["number"]
    content_type, body = make_body("json", "false", json_document(found))
    posted = Posted("pbx1", pushing(), content_type, {"uuid": found.uuid}, body.encode())
    return READERS["fusionpbx", "json"](posted)


def _listed(case: dict[str, str]) -> object:
    tenant, number = f"{case['client']}.example", case["number"]
    inbound = case["direction"] == "inbound"
    record = {
        "call_id": "PRA93Tta2CzVcV73Yvs8tQ..",
        "from": f"<sip:{number}@carrier.example>" if inbound else f"<sip:300@{tenant}>",
        "to": f"<sip:{'5195550994' if inbound else number}@{tenant}>",
        "start": ENDED - 100.5,
        "connect": ENDED - int(case["billsec"]),
        "end": ENDED,
        "extensions": [300],
        "trunks": [] if case["direction"] == "local" else [10],
        "abandoned": False,
    }
    return read_record("pbx1", tenant, read_json(json.dumps(record).encode()), 1)


def outcome_of(case: dict[str, str]) -> RatingOutcome:
    call = read(case)
    match = expect(Match, ProductIndex(CLIENTS).match(call))
    return rate_call(call, match, versions(), match.terms.free.granted_s.get("", 0))


def in_words(outcome: RatingOutcome) -> str:
    """An outcome as `expected` writes it."""
    if isinstance(outcome, NotBilled):
        return f"free {outcome.reason}"
    if isinstance(outcome, Unrated):
        assert outcome.detail
        return f"waits {outcome.reason}"
    prefix = outcome.explanation["prefix"]
    by = f"by {prefix}" if prefix else "inbound"
    free = f", {outcome.free_s} s free" if outcome.free_s else ""
    return f"{format_micro(outcome.cost_micro)} {by}{free}"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["case"])
def test_a_call_is_priced_by_its_own_number_or_waits(case: dict[str, str]) -> None:
    outcome = outcome_of(case)
    found, expected = in_words(outcome), case["expected"]
    if isinstance(outcome, Rated) and expected[0].isdigit():
        amount, _, rest = expected.partition(" ")
        assert outcome.cost_micro == parse_decimal(amount, "cost") * 1_000_000, found
        assert found.partition(" ")[2] == rest
    else:
        assert found == expected, outcome
