"""Puts a call and its price into words: every number in it, and the calculation. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple

from accounts.explanations.history import CallHistory, StoredRow
from ringfence_contracts.money import format_micro, parse_decimal


class LabelledText(NamedTuple):
    """A label and its text; `at` is the instant, where the text is one.

    Both are empty in the line that separates two parts.
    """

    label: str
    text: str
    at: datetime | None = None


REMEDIES: Mapping[str, str] = {
    "unknown-product": "give a product this tenant, extension or DID (ringfence product set)",
    "ambiguous-product": "take the number from all products but one (ringfence product set)",
    "unknown-direction": "the PBX recorded no direction, or a wrong one: set it there, and have the"
    " call sent again; of a call to a DID of this tenant, give a product the DID",
    "no-tariff-in-force": "publish a tariff version in force then, or set the rate it lacks",
    "no-matching-prefix": "publish a tariff version with a prefix of this number",
    "currency-mismatch": "give the product a tariff in the account's currency",
    "invalid-number": "set strip_prefix and prepend as the PBX dials (ringfence package set)",
}
"""What an operator does about an unrated call, by its reason."""

ROW_REMEDIES: Mapping[str, str] = {
    "row-not-confirmed": "the PBX holds no such call: look for the row in the names of extensions,"
    " and drop it (ringfence unrated drop)",
    "row-unreadable": "correct the name or number of the extension on the PBX",
}
"""What an operator does about a row that its PBX does not confirm."""

NOT_BILLED: Mapping[str, str] = {
    "before-bill-from": "it ended before its product's bill-from instant",
    "filter-hidden": "a filter of its package hides it",
    "unanswered": "it was not answered",
    "part-of-call": "the outbound call that it is a leg of pays for it",
    "filter-not-billed": "a filter of its package excludes it",
    "local": "it stayed within the PBX",
    "feature-code": "a feature code was dialled",
    "extension": "an extension was dialled",
    "inbound-not-enabled": "its package does not bill inbound calls",
}
"""The rules by which a call costs nothing, in words for an operator."""

_FOR_CLIENT: Mapping[str, str] = {
    "unanswered": "nothing: it was not answered",
    "local": "nothing: it stayed within your telephone system",
    "feature-code": "nothing: it was a code of your telephone system",
    "extension": "nothing: it stayed within your telephone system",
    "inbound-not-enabled": "nothing: incoming calls are free",
}
NOT_BILLED_FOR_CLIENT = "nothing: it is not billed"
"""Why a call costs its client nothing, for rules that are the operator's own."""

_SHOWN_DECIMALS = 10


def of_call(history: CallHistory) -> Iterator[LabelledText]:
    """Everything that is stored about a call; charges in the order in which they were posted."""
    yield LabelledText("call", str(history.call_id))
    for row in history.entries:
        if row["kind"] == "charge":
            yield from _charge(row, history.reversal_of(row))
    if history.not_billed is not None:
        yield from _not_billed(history.not_billed)
    if history.unrated is not None:
        yield from _unrated(history.unrated)
    if history.dead is not None:
        yield from _earlier_dead(history.dead) if history.is_settled else _dead(history.dead)
    elif history.accepted is not None and not history.is_settled:
        yield from _accepted(history.accepted)


def for_client(history: CallHistory) -> Iterator[LabelledText]:
    """How a call was priced, for the client: by its own price, without what it is made of.

    The markup, the tariff and the runs that re-rate calls are the operator's.
    """
    for row in history.entries:
        if row["kind"] == "charge":
            yield from _charge_for_client(row, history.reversal_of(row))
    if history.not_billed is not None:
        yield LabelledText("price", words_for_client(history.not_billed["reason"]))
        yield from _called(history.not_billed["detail"])


def _charge_for_client(row: StoredRow, reversal: StoredRow | None) -> Iterator[LabelledText]:
    details = row["explanation"]
    explanation = details["explanation"]
    cost = f"{format_micro(-row['amount_micro'])} {row['currency']}"
    yield LabelledText("", "")
    again = ", given back: the call was priced again" if reversal else ""
    yield LabelledText("price", f"{cost}{again}")
    yield from _called(details)
    if explanation.get("description"):
        yield LabelledText("destination", str(explanation["description"]))
    rate = marked_up_rate(explanation)
    yield LabelledText("rate", f"{decimal(rate)} per minute")
    if per_call := _per_call(explanation, for_client=True):
        yield LabelledText("each call", per_call)
    yield LabelledText("billed", _billed(details, explanation["increment"]))
    if details["free_s"]:
        yield LabelledText("free", f"{details['free_s']} s by the month's free minutes")
    yield LabelledText(
        "cost", _arithmetic(details, rate, explanation, -row["amount_micro"], row["currency"])
    )


def _called(details: Mapping[str, Any]) -> Iterator[LabelledText]:
    yield LabelledText("number", str(details["number"]))
    yield LabelledText("direction", details["direction"] or "not recorded")
    yield _instant("started", details["started_at"])
    yield LabelledText("talked", f"{details['billsec']} s")


def marked_up_rate(explanation: Mapping[str, Any]) -> Fraction:
    """The rate of a minute with the markup."""
    rate = parse_decimal(explanation["rate_per_min"], "rate_per_min")
    return rate * parse_decimal(explanation["markup_percent"], "markup_percent") / 100


def of_payment(row: StoredRow) -> Iterator[LabelledText]:
    """A top-up or an adjustment, and its position in the ledger."""
    details = row["explanation"]
    cost = f"{format_micro(row['amount_micro'])} {row['currency']}"
    yield LabelledText("outcome", f"{row['kind']} of {cost}")
    yield LabelledText("account", row["account_id"])
    yield LabelledText("reference", details.get("reference") or "none given")
    if refunds := details.get("refunds"):
        yield LabelledText("refunds", f"payment {refunds}")
    yield _instant("received", row["occurred_at"])
    yield from _position(row)


def _charge(row: StoredRow, reversal: StoredRow | None) -> Iterator[LabelledText]:
    cost = f"{format_micro(-row['amount_micro'])} {row['currency']}"
    yield LabelledText("", "")
    yield LabelledText(
        "outcome", f"charged {cost}" + (", and given back since" if reversal else "")
    )
    yield LabelledText("account", row["account_id"])
    rerated = row["explanation"]["explanation"].get("rerated")
    if rerated:
        cause = "by the undoing of run" if rerated.get("undone") else "by run"
        text = f"{cause} {rerated['run_id']}, in the place of {rerated['replaces']}"
        yield LabelledText("re-rated", text)
    yield from _price(row["amount_micro"], row["currency"], row["explanation"])
    yield from _position(row)
    if reversal:
        text = f"by entry {reversal['entry_id']}, number {reversal['version']}"
        yield LabelledText("given back", text)


def _price(amount_micro: int, currency: str, details: Mapping[str, Any]) -> Iterator[LabelledText]:
    """How a charge was calculated; `details` is its entry's explanation."""
    explanation = details["explanation"]
    yield from _facts(details, explanation)
    yield LabelledText("priced by", _priced_by(explanation))
    rate = parse_decimal(explanation["rate_per_min"], "rate_per_min")
    markup = parse_decimal(explanation["markup_percent"], "markup_percent")
    marked_up = rate * markup / 100
    rate_text = f"{explanation['rate_per_min']} per minute"
    if markup != 100:
        rate_text += f" × {explanation['markup_percent']} % = {decimal(marked_up)}"
    yield LabelledText("rate", rate_text)
    if per_call := _per_call(explanation):
        yield LabelledText("each call", per_call)
    yield LabelledText("billed", _billed(details, explanation["increment"]))
    if details["free_s"]:
        paid_s = details["billed_s"] - details["free_s"]
        bundle = explanation.get("bundle")
        of_bundle = f" of the bundle {bundle}" if bundle else ""
        free = (
            f"{details['free_s']} s by the month's free minutes{of_bundle}; {paid_s} s are paid for"
        )
        yield LabelledText("free", free)
    cost = _arithmetic(details, marked_up, explanation, -amount_micro, currency)
    yield LabelledText("cost", cost)
    yield LabelledText("rounding", explanation["rounding"])


def _facts(details: Mapping[str, Any], explanation: Mapping[str, Any]) -> Iterator[LabelledText]:
    yield LabelledText("product", details["service_id"])
    yield LabelledText("direction", details["direction"] or "none recorded")
    yield _instant("started", details["started_at"])
    if details.get("answered_at"):
        yield _instant("answered", details["answered_at"])
    dialled = explanation.get("dialled", details["number"])
    as_dialled = f", dialled as {dialled}" if dialled != details["number"] else ""
    abroad = ", abroad" if explanation.get("international") else ""
    premium = ", premium: no free minutes" if explanation.get("premium") else ""
    yield LabelledText("number", f"{details['number']}{as_dialled}{abroad}{premium}")


def _priced_by(explanation: Mapping[str, Any]) -> str:
    version = f"tariff {explanation['tariff_id']}, version {explanation['tariff_version']}"
    row = f"prefix {explanation['prefix']} ({explanation['description']}) of {version}"
    if time_band := explanation.get("time_band"):
        row += f", in the time band {time_band}"
    return {
        "tariff": row,
        "custom-outbound": f"the package's custom outbound rate, as {row} asks for",
        "custom-inbound": "the package's custom inbound rate",
        "inbound-did": f"the package's inbound rate of {explanation['prefix']}"
        f" ({explanation['description']})",
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
    surcharge = parse_decimal(explanation.get("payphone_surcharge", "0"), "payphone_surcharge")
    exact = marked_up * paid_s / 60 + fee + surcharge
    with_fee = f" + {explanation['connection_fee']} for the connection" if fee else ""
    if surcharge:
        with_fee += f" + {explanation['payphone_surcharge']} for the payphone"
    sum_ = f"{paid_s} s × {decimal(marked_up)} / 60{with_fee} = {decimal(exact)}"
    limit = _limit(exact, explanation)
    return f"{sum_}{limit}, so {format_micro(cost)} {currency}"


def _limit(exact: Fraction, explanation: Mapping[str, Any]) -> str:
    """Which limit of a call's cost replaces the exact cost; empty if none does."""
    least, most = (explanation.get(name) for name in ("minimum_cost", "maximum_cost"))
    if most is not None and parse_decimal(most, "maximum_cost") < max(
        exact, parse_decimal(least or "0", "minimum_cost")
    ):
        return f", lowered to the maximum cost of a call, {most}"
    if least is not None and parse_decimal(least, "minimum_cost") > exact:
        return f", raised to the minimum cost of a call, {least}"
    return ""


_AMOUNTS = {
    "connection_fee": "for the connection",
    "minimum_cost": "at least",
    "maximum_cost": "at most",
    "payphone_surcharge": "for the payphone",
}


def _per_call(explanation: Mapping[str, Any], *, for_client: bool = False) -> str:
    """The amounts that apply once to a call, and unless `for_client` who sets them; or empty."""
    of_row = explanation.get("of_row", ())
    amounts = []
    for name, words in _AMOUNTS.items():
        amount = explanation.get(name)
        if amount is not None and (amount != "0" or name in of_row):
            by = "the tariff's row, with the markup" if name in of_row else "the package"
            amounts.append(f"{words} {amount}" + ("" if for_client else f" (by {by})"))
    if not for_client and (ani_ii := explanation.get("ani_ii")):
        amounts.append(f"as ANI II digits {ani_ii} mean a payphone")
    return ", ".join(amounts)


def words_for_client(reason: str) -> str:
    """Why a call was not billed, in words for its client."""
    return _FOR_CLIENT.get(reason, NOT_BILLED_FOR_CLIENT)


def decimal(exact: Fraction) -> str:
    """An exact number as a decimal; one with more digits is cut and ends with `…`."""
    scaled = exact * 10**_SHOWN_DECIMALS
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    units, decimals = divmod(whole, 10**_SHOWN_DECIMALS)
    text = f"{units}.{decimals:0{_SHOWN_DECIMALS}d}"
    return f"{text}…" if rest else text.rstrip("0").rstrip(".")


def _not_billed(row: StoredRow) -> Iterator[LabelledText]:
    """The rule by which a call costs nothing."""
    details = row["detail"]
    explanation = details["explanation"]
    yield LabelledText("outcome", f"not billed: {NOT_BILLED.get(row['reason'], row['reason'])}")
    yield LabelledText("account", row["account_id"])
    yield from _facts(details, explanation)
    if bill_from := explanation.get("bill_from"):
        yield _instant("billed from", bill_from)
    if pattern := explanation.get("pattern"):
        hidden = ", which hides it from the client too" if row["hidden"] else ""
        yield LabelledText("filter", f"{pattern}{hidden}")


def _unrated(row: StoredRow) -> Iterator[LabelledText]:
    """Why a call waits, and what the operator does about it."""
    yield LabelledText("outcome", f"not rated yet: {row['reason']}")
    yield LabelledText("why", row["detail"])
    yield LabelledText("from", f"server {row['server_id']}, tenant {row['tenant']}")
    if row["account_id"]:
        yield LabelledText("product", f"{row['service_id']} of {row['account_id']}")
    yield _instant("started", row["started_at"])
    yield LabelledText("talked", f"{row['billsec']} s")
    yield _instant("waits since", row["queued_at"])
    remedies = {**REMEDIES, **ROW_REMEDIES}
    to_do = remedies.get(row["reason"], "correct what the reason names")
    text = f"{to_do}; then: ringfence unrated replay {row['call_id']}"
    yield LabelledText("what to do", text)


def _dead(row: StoredRow) -> Iterator[LabelledText]:
    """Why a record can never be rated."""
    yield LabelledText("outcome", "dead: this record can never be rated")
    yield LabelledText("why", row["reason"])
    yield _instant("dead since", row["died_at"])
    yield LabelledText("record", row["record_start"])
    to_do = "fix the record at its source and send it again with a new call id"
    yield LabelledText("what to do", to_do)


def _earlier_dead(row: StoredRow) -> Iterator[LabelledText]:
    """An unreadable record of a call that rating has processed since, or before."""
    yield LabelledText("", "")
    yield LabelledText(
        "unreadable", f"another record of this call could not be read: {row['reason']}"
    )
    yield _instant("received", row["died_at"])


def _accepted(row: StoredRow) -> Iterator[LabelledText]:
    """What cdr-ingest recorded of a call that rating has not processed."""
    origin = f"server {row['server_id']}, tenant {row['tenant']}, by {row['source']}"
    yield LabelledText("from", origin)
    if row["started_at"]:
        yield _instant("started", row["started_at"])
    else:
        yield LabelledText("started", "unknown")
    if row["disposition"] == "published":
        yield LabelledText("outcome", "accepted; rating has not processed it yet")
    else:
        yield LabelledText("outcome", f"{row['disposition']} when it was read: {row['reason']}")
    yield _instant("accepted", row["accepted_at"])


def _position(row: StoredRow) -> Iterator[LabelledText]:
    """An entry's position in the ledger."""
    text = f"{row['entry_id']}, the account's number {row['version']}"
    yield LabelledText("entry", text)
    yield _instant("posted", row["posted_at"])
    after = format_micro(row["balance_after_micro"])
    yield LabelledText("balance after", f"{after} {row['currency']}")


def _instant(label: str, value: datetime | str) -> LabelledText:
    """A line with an instant; JSON has it as text."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return LabelledText(label, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", at)
