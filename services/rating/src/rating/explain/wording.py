"""A call's price in words: every number that went into it, and the arithmetic written out."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import orjson

from ringfence_contracts.money import format_micro, parse_decimal

LabelledText = tuple[str, str]
"""A label and what it says."""

TO_DO: Mapping[str, str] = {
    "unknown-product": "give a product this tenant, extension or DID (ringfence product set)",
    "ambiguous-product": "take the number from all products but one (ringfence product set)",
    "unknown-direction": "the PBX recorded no direction: set one there, and have it sent again",
    "no-tariff-in-force": "publish a tariff version in force then, or set the rate it lacks",
    "no-matching-prefix": "publish a tariff version with a prefix of this number",
    "currency-mismatch": "give the product a tariff in the account's currency",
    "invalid-number": "set strip_prefix and prepend as the PBX dials (ringfence package set)",
}
"""What an operator does about a call that waits, by its reason."""

_RULES: Mapping[str, str] = {
    "before-bill-from": "it ended before its product's bill-from instant",
    "filter-hidden": "a filter of its package hides it",
    "unanswered": "it was not answered",
    "filter-not-billed": "a filter of its package spares it",
    "local": "it stayed within the PBX",
    "feature-code": "a feature code was dialled",
    "extension": "an extension was dialled",
    "inbound-not-enabled": "its package does not bill inbound calls",
}
_SHOWN_DECIMALS = 10


def of_charge(amount_micro: int, currency: str, told: Mapping[str, Any]) -> Iterator[LabelledText]:
    """How a charge came about; `told` is what stands in the ledger with it."""
    why = told["explanation"]
    yield from _facts(told, why)
    yield "priced by", _priced_by(why)
    rate = parse_decimal(why["rate_per_min"], "rate_per_min")
    markup = parse_decimal(why["markup_percent"], "markup_percent")
    marked_up = rate * markup / 100
    says = f"{why['rate_per_min']} per minute"
    if markup != 100:
        says += f" × {why['markup_percent']} % = {_decimal(marked_up)}"
    yield "rate", says
    yield "billed", _billed(told, why["increment"])
    if told["free_s"]:
        paid_s = told["billed_s"] - told["free_s"]
        yield "free", f"{told['free_s']} s by the month's free minutes; {paid_s} s are paid for"
    yield "cost", _arithmetic(told, marked_up, why, -amount_micro, currency)
    yield "rounding", why["rounding"]


def _facts(told: Mapping[str, Any], why: Mapping[str, Any]) -> Iterator[LabelledText]:
    yield "product", told["service_id"]
    yield "direction", told["direction"] or "none recorded"
    yield "started", told["started_at"]
    if told.get("answered_at"):
        yield "answered", told["answered_at"]
    dialled = why.get("dialled", told["number"])
    as_dialled = f", dialled as {dialled}" if dialled != told["number"] else ""
    abroad = ", abroad" if why.get("international") else ""
    yield "number", f"{told['number']}{as_dialled}{abroad}"


def _priced_by(why: Mapping[str, Any]) -> str:
    version = f"tariff {why['tariff_id']}, version {why['tariff_version']}"
    row = f"prefix {why['prefix']} ({why['description']}) of {version}"
    return {
        "tariff": row,
        "custom-outbound": f"the package's custom outbound rate, as {row} asks for",
        "custom-inbound": "the package's custom inbound rate",
        "flat": "the product's flat rate",
    }[str(why["rate_from"])]


def _billed(told: Mapping[str, Any], increment: str) -> str:
    initial, _, further = increment.partition("/")
    talked, billed = told["billsec"], told["billed_s"]
    return f"{talked} s of talk: the first {initial} s, then every {further} s = {billed} s"


def _arithmetic(
    told: Mapping[str, Any], marked_up: Fraction, why: Mapping[str, Any], cost: int, currency: str
) -> str:
    paid_s = told["billed_s"] - told["free_s"]
    if not paid_s:
        return f"nothing is paid for: 0 {currency}"
    fee = parse_decimal(why["connection_fee"], "connection_fee")
    exact = marked_up * paid_s / 60 + fee
    with_fee = f" + {why['connection_fee']} for the connection" if fee else ""
    sum_ = f"{paid_s} s × {_decimal(marked_up)} / 60{with_fee} = {_decimal(exact)}"
    return f"{sum_}, so {format_micro(cost)} {currency}"


def _decimal(exact: Fraction) -> str:
    """An exact number as a decimal; one that does not end is cut, and says so."""
    scaled = exact * 10**_SHOWN_DECIMALS
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    units, decimals = divmod(whole, 10**_SHOWN_DECIMALS)
    text = f"{units}.{decimals:0{_SHOWN_DECIMALS}d}"
    return f"{text}…" if rest else text.rstrip("0").rstrip(".")


def of_not_billed(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """By which rule a call costs nothing."""
    told = orjson.loads(row["detail"])
    yield "outcome", f"not billed: {_RULES.get(row['reason'], row['reason'])}"
    yield "account", row["account_id"]
    yield from _facts(told, told["explanation"])
    if bill_from := told["explanation"].get("bill_from"):
        yield "billed from", bill_from
    if pattern := told["explanation"].get("pattern"):
        yield "filter", f"{pattern}{', which hides it from the client too' * row['hidden']}"


def of_unrated(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """Why a call waits, and what to do."""
    yield "outcome", f"not rated yet: {row['reason']}"
    yield "why", row["detail"]
    yield "from", f"server {row['server_id']}, tenant {row['tenant']}"
    if row["account_id"]:
        yield "product", f"{row['service_id']} of {row['account_id']}"
    yield "started", row["started_at"].isoformat()
    yield "talked", f"{row['billsec']} s"
    yield "waits since", row["queued_at"].isoformat()
    to_do = TO_DO.get(row["reason"], "put right what the reason names")
    yield "what to do", f"{to_do}; then: ringfence unrated replay {row['call_id']}"


def of_dead(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """Why a record can never be rated."""
    yield "outcome", "dead: this record can never be rated"
    yield "why", row["reason"]
    yield "since", row["died_at"].isoformat()
    yield "record", row["record"][:500]
    yield "what to do", "put the record right where it comes from, and have it sent under a new id"


def of_accepted(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """What is known of a call that rating knows nothing of."""
    yield "from", f"server {row['server_id']}, tenant {row['tenant']}, by {row['source']}"
    yield "started", row["started_at"].isoformat() if row["started_at"] else "unknown"
    if row["disposition"] == "published":
        yield "outcome", f"accepted at {row['accepted_at'].isoformat()}; rating has not seen it yet"
    else:
        yield "outcome", f"{row['disposition']} when it was read: {row['reason']}"


def of_entry(row: Mapping[str, Any]) -> Iterator[LabelledText]:
    """An entry's place in the ledger, and for one that no call brought about, what it is."""
    if row["kind"] in ("top-up", "adjustment"):
        yield "outcome", f"{row['kind']} of {format_micro(row['amount_micro'])} {row['currency']}"
        yield "account", row["account_id"]
        told = orjson.loads(row["explanation"])
        yield "reference", told.get("reference") or "none given"
        if refunds := told.get("refunds"):
            yield "refunds", f"payment {refunds}"
        yield "received", row["occurred_at"].isoformat()
    yield "entry", f"{row['entry_id']}, the account's number {row['version']}"
    yield "posted", row["posted_at"].isoformat()
    after = format_micro(row["balance_after_micro"])
    yield "balance after", f"{after} {row['currency']}"
