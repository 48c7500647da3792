"""Puts a call's price into words: every number in it, and the calculation."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import orjson

from ringfence_contracts.money import format_micro, parse_decimal

LabelledText = tuple[str, str]
"""A label and its text."""

REMEDIES: Mapping[str, str] = {
    "unknown-product": "give a product this tenant, extension or DID (ringfence product set)",
    "ambiguous-product": "take the number from all products but one (ringfence product set)",
    "unknown-direction": "the PBX recorded no direction: set one there, and have it sent again",
    "no-tariff-in-force": "publish a tariff version in force then, or set the rate it lacks",
    "no-matching-prefix": "publish a tariff version with a prefix of this number",
    "currency-mismatch": "give the product a tariff in the account's currency",
    "invalid-number": "set strip_prefix and prepend as the PBX dials (ringfence package set)",
}
"""What an operator does about an unrated call, by its reason."""

_RULES: Mapping[str, str] = {
    "before-bill-from": "it ended before its product's bill-from instant",
    "filter-hidden": "a filter of its package hides it",
    "unanswered": "it was not answered",
    "filter-not-billed": "a filter of its package excludes it",
    "local": "it stayed within the PBX",
    "feature-code": "a feature code was dialled",
    "extension": "an extension was dialled",
    "inbound-not-enabled": "its package does not bill inbound calls",
}
_SHOWN_DECIMALS = 10


def of_charge(
    amount_micro: int, currency: str, details: Mapping[str, Any]
) -> Iterator[LabelledText]:
    """How a charge was calculated; `details` is its entry's explanation."""
    explanation = details["explanation"]
    yield from _facts(details, explanation)
    yield "priced by", _priced_by(explanation)
    rate = parse_decimal(explanation["rate_per_min"], "rate_per_min")
    markup = parse_decimal(explanation["markup_percent"], "markup_percent")
    marked_up = rate * markup / 100
    rate_text = f"{explanation['rate_per_min']} per minute"
    if markup != 100:
        rate_text += f" × {explanation['markup_percent']} % = {_decimal(marked_up)}"
    yield "rate", rate_text
    yield "billed", _billed(details, explanation["increment"])
    if details["free_s"]:
        paid_s = details["billed_s"] - details["free_s"]
        yield "free", f"{details['free_s']} s by the month's free minutes; {paid_s} s are paid for"
    yield "cost", _arithmetic(details, marked_up, explanation, -amount_micro, currency)
    yield "rounding", explanation["rounding"]


def _facts(details: Mapping[str, Any], explanation: Mapping[str, Any]) -> Iterator[LabelledText]:
    yield "product", details["service_id"]
    yield "direction", details["direction"] or "none recorded"
    yield "started", details["started_at"]
    if details.get("answered_at"):
        yield "answered", details["answered_at"]
    dialled = explanation.get("dialled", details["number"])
    as_dialled = f", dialled as {dialled}" if dialled != details["number"] else ""
    abroad = ", abroad" if explanation.get("international") else ""
    yield "number", f"{details['number']}{as_dialled}{abroad}"


def _priced_by(explanation: Mapping[str, Any]) -> str:
    version = f"tariff {explanation['tariff_id']}, version {explanation['tariff_version']}"
    row = f"prefix {explanation['prefix']} ({explanation['description']}) of {version}"
    return {
        "tariff": row,
        "custom-outbound": f"the package's custom outbound rate, as {row} asks for",
        "custom-inbound": "the package's custom inbound rate",
        "flat": "the product's flat rate",
    }[str(explanation["rate_from"])]


def _billed(details: Mapping[str, Any], increment: str) -> str:
    initial, _, further = increment.partition("/")
    talked, billed = details["billsec"], details["billed_s"]
    return f"{talked} s of talk: the first {initial} s, then every {further} s = {billed} s"


def _arithmetic(
    details: Mapping[str, Any],
    marked_up: Fraction,
    explanation: Mapping[str, Any],
    cost: int,
    currency: str,
) -> str:
    paid_s = details["billed_s"] - details["free_s"]
    if not paid_s:
        return f"nothing is paid for: 0 {currency}"
    fee = parse_decimal(explanation["connection_fee"], "connection_fee")
    exact = marked_up * paid_s / 60 + fee
    with_fee = f" + {explanation['connection_fee']} for the connection" if fee else ""
    sum_ = f"{paid_s} s × {_decimal(marked_up)} / 60{with_fee} = {_decimal(exact)}"
    return f"{sum_}, so {format_micro(cost)} {currency}"


def _decimal(exact: Fraction) -> str:
    """An exact number as a decimal; one with more digits is cut and ends with `…`."""
    scaled = exact * 10**_SHOWN_DECIMALS
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    units, decimals = divmod(whole, 10**_SHOWN_DECIMALS)
    text = f"{units}.{decimals:0{_SHOWN_DECIMALS}d}"
    return f"{text}…" if rest else text.rstrip("0").rstrip(".")


def of_not_billed(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """The rule by which a call costs nothing."""
    details = orjson.loads(row["detail"])
    yield "outcome", f"not billed: {_RULES.get(row['reason'], row['reason'])}"
    yield "account", row["account_id"]
    yield from _facts(details, details["explanation"])
    if bill_from := details["explanation"].get("bill_from"):
        yield "billed from", bill_from
    if pattern := details["explanation"].get("pattern"):
        yield "filter", f"{pattern}{', which hides it from the client too' * row['hidden']}"


def of_unrated(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """Why a call waits, and what the operator does about it."""
    yield "outcome", f"not rated yet: {row['reason']}"
    yield "why", row["detail"]
    yield "from", f"server {row['server_id']}, tenant {row['tenant']}"
    if row["account_id"]:
        yield "product", f"{row['service_id']} of {row['account_id']}"
    yield "started", row["started_at"].isoformat()
    yield "talked", f"{row['billsec']} s"
    yield "waits since", row["queued_at"].isoformat()
    to_do = REMEDIES.get(row["reason"], "correct what the reason names")
    yield "what to do", f"{to_do}; then: ringfence unrated replay {row['call_id']}"


def of_dead(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """Why a record can never be rated."""
    yield "outcome", "dead: this record can never be rated"
    yield "why", row["reason"]
    yield "since", row["died_at"].isoformat()
    yield "record", row["record"][:500]
    yield "what to do", "fix the record at its source and send it again with a new call id"


def of_accepted(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """What cdr-ingest recorded of a call that rating has not processed."""
    yield "from", f"server {row['server_id']}, tenant {row['tenant']}, by {row['source']}"
    yield "started", row["started_at"].isoformat() if row["started_at"] else "unknown"
    if row["disposition"] == "published":
        yield "outcome", f"accepted at {row['accepted_at'].isoformat()}; rating has not seen it yet"
    else:
        yield "outcome", f"{row['disposition']} when it was read: {row['reason']}"


def of_entry(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """An entry's position in the ledger; for a top-up or an adjustment also what it is."""
    if row["kind"] in ("top-up", "adjustment"):
        yield "outcome", f"{row['kind']} of {format_micro(row['amount_micro'])} {row['currency']}"
        yield "account", row["account_id"]
        details = orjson.loads(row["explanation"])
        yield "reference", details.get("reference") or "none given"
        if refunds := details.get("refunds"):
            yield "refunds", f"payment {refunds}"
        yield "received", row["occurred_at"].isoformat()
    yield "entry", f"{row['entry_id']}, the account's number {row['version']}"
    yield "posted", row["posted_at"].isoformat()
    after = format_micro(row["balance_after_micro"])
    yield "balance after", f"{after} {row['currency']}"
