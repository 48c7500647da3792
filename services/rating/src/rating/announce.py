"""Turns what was settled into events: the same cause always gives the same id and content."""

import orjson

from rating.intake import Call
from rating.ledger import Entry, Run
from rating.verdict import NotBilled, Rated
from ringfence.events.call import CallCompleted, CallUnrated
from ringfence.ids import derive
from ringfence.kafka.records import Outgoing
from ringfence.topics import BALANCE_CHANGED, CALL_RATED, CALL_UNRATED

SOURCE = "rating"


def rated(call: Call, entry: Entry, currency: str) -> Outgoing:
    """`call.rated.v1` for a charge. The entry's explanation holds the payload's second half."""
    posting = entry.posting
    head = {
        "call_id": call.id_text,
        "account_id": posting.account_id,
        "outcome": "rated",
        "entry_id": str(posting.entry_id),
        "account_version": entry.version,
        "cost_micro": -posting.amount_micro,
        "currency": currency,
    }
    return _call_rated(call, posting.account_id, head, posting.explanation)


def not_billed(
    call: Call, account_id: str, reason: str, hidden: bool, currency: str, detail: str
) -> Outgoing:
    """`call.rated.v1` for a call that costs nothing by a rule; no ledger entry stands for it."""
    head = {
        "call_id": call.id_text,
        "account_id": account_id,
        "outcome": "not-billed",
        "reason": reason,
        "hidden": hidden,
        "cost_micro": 0,
        "currency": currency,
    }
    return _call_rated(call, account_id, head, detail)


def _call_rated(call: Call, account_id: str, head: dict[str, object], tail: str) -> Outgoing:
    """`head` and the stored `tail` are two halves of one JSON object, joined as bytes.

    The tail was serialized once for the ledger; at 25,000 calls a second a second time shows.
    """
    return Outgoing(
        topic=CALL_RATED,
        key=account_id,
        value=orjson.dumps(head)[:-1] + b"," + tail[1:].encode(),
        event_id=derive("call.rated", call.id_text),
        time=call.call.ended_at,
        source=SOURCE,
        correlation_id=call.correlation_id,
    )


def unrated(call: Call, told: CallUnrated) -> Outgoing:
    """`call.unrated.v1`; a call that waits for another reason than before is told again."""
    return Outgoing(
        topic=CALL_UNRATED,
        key=f"{told.server_id}:{told.tenant}",
        value=told.to_json(),
        event_id=derive("call.unrated", told.call_id, told.reason),
        time=call.call.ended_at,
        source=SOURCE,
        correlation_id=call.correlation_id,
    )


def balance_changed(run: Run, currency: str, thread: str) -> Outgoing:
    """`balance.changed.v1` for a run of one account's entries; `thread` is that of the last.

    The payload is BalanceChanged, written without the model: tests read it by the model.
    """
    posting, version, balance_micro = run.last
    told = {
        "account_id": posting.account_id,
        "version": version,
        "balance_micro": balance_micro,
        "from_version": run.first.version - 1,
        "from_balance_micro": run.from_balance_micro,
        "currency": currency,
        "cause": posting.kind,
        "cause_id": str(posting.cause_id),
        "occurred_at": posting.occurred_at,
    }
    return Outgoing(
        topic=BALANCE_CHANGED,
        key=posting.account_id,
        value=orjson.dumps(told),
        event_id=derive("balance.changed", posting.account_id, version),
        time=posting.occurred_at,
        source=SOURCE,
        correlation_id=thread,
    )


def details(call: CallCompleted, service_id: str, verdict: Rated | NotBilled) -> str:
    """The half of `call.rated.v1` that stands in the ledger as the entry's explanation."""
    billed_s, free_s = (verdict.billed_s, verdict.free_s) if isinstance(verdict, Rated) else (0, 0)
    return orjson.dumps(
        {
            "service_id": service_id,
            "direction": call.direction,
            "number": verdict.number,
            "billsec": call.billsec,
            "billed_s": billed_s,
            "free_s": free_s,
            "started_at": call.started_at,
            "answered_at": call.answered_at,
            "explanation": verdict.explanation,
        }
    ).decode()
