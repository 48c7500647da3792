"""Turns what was settled into events: the same cause always gives the same id and content.

The events of volume are written out by hand, ids and numbers as they stand: ids of ours, accounts
and currencies hold nothing that JSON would have to escape. Tests read them by their models.
"""

from datetime import datetime

from rating.ledger import AccountBalance, Entry, EntryRun
from rating.posting.batch import CallRecord
from rating.pricing.rate_call import NotBilled, Rated, as_json, as_text
from ringfence_contracts.events.call import CallCompleted, CallUnrated
from ringfence_contracts.ids import derive, deriver
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import BALANCE_CHANGED, CALL_RATED, CALL_UNRATED

SOURCE = "rating"

_rated_id = deriver("call.rated")
_changed_id = deriver("balance.changed")


def rated(entry: Entry, call_id: str, currency: str, thread: str) -> Outgoing:
    """`call.rated.v1` for a charge. The entry's explanation holds the payload's second half."""
    head = (
        f'{{"call_id":"{call_id}","account_id":"{entry.account_id}","outcome":"rated"'
        f',"entry_id":"{entry.entry_id}","account_version":{entry.version}'
        f',"cost_micro":{-entry.amount_micro},"currency":"{currency}",'
    )
    return _call_rated(
        call_id, entry.account_id, head, entry.explanation, entry.occurred_at, thread
    )


def not_billed(
    call: CallRecord, account_id: str, reason: str, hidden: bool, currency: str, detail: str
) -> Outgoing:
    """`call.rated.v1` for a call that costs nothing by a rule; no ledger entry stands for it."""
    head = (
        f'{{"call_id":"{call.id_text}","account_id":"{account_id}","outcome":"not-billed"'
        f',"reason":"{reason}","hidden":{"true" if hidden else "false"}'
        f',"cost_micro":0,"currency":"{currency}",'
    )
    ended_at, thread = call.call.ended_at, call.correlation_id
    return _call_rated(call.id_text, account_id, head, detail, ended_at, thread)


def _call_rated(
    call_id: str, account_id: str, head: str, tail: str, ended_at: datetime, thread: str
) -> Outgoing:
    """`head` and the stored `tail` are two halves of one JSON object.

    The tail was written once, for the ledger; at 25,000 calls a second a second time shows.
    """
    return Outgoing(
        CALL_RATED,
        account_id,
        (head + tail[1:]).encode(),
        _rated_id(call_id),
        ended_at,
        SOURCE,
        "",
        thread,
    )


def unrated(call: CallRecord, told: CallUnrated) -> Outgoing:
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


def balance_changed(run: EntryRun, standing: AccountBalance, thread: str) -> Outgoing:
    """`balance.changed.v1` for a run of one account's entries; `thread` is that of the last.

    `standing` is the account after all of its entries that are known. The payload is
    BalanceChanged, written without the model: tests read it by the model.
    """
    last = run.last
    told = (
        f'{{"account_id":"{last.account_id}","version":{last.version}'
        f',"balance_micro":{last.balance_after_micro},"from_version":{run.first.version - 1}'
        f',"from_balance_micro":{run.from_balance_micro},"currency":"{standing.currency}"'
        f',"cause":"{last.kind}","cause_id":"{last.cause_id}"'
        f',"occurred_at":{as_json(last.occurred_at)}'
        f',"settled":{standing.settled_at(last.version)}}}'
    )
    return Outgoing(
        BALANCE_CHANGED,
        last.account_id,
        told.encode(),
        _changed_id(last.account_id, str(last.version)),
        last.occurred_at,
        SOURCE,
        "",
        thread,
    )


def details(call: CallCompleted, service_id: str, verdict: Rated | NotBilled) -> str:
    """The half of `call.rated.v1` that stands in the ledger as the entry's explanation."""
    billed_s, free_s = (verdict.billed_s, verdict.free_s) if isinstance(verdict, Rated) else (0, 0)
    return (
        f'{{"service_id":"{service_id}","direction":"{call.direction}"'
        f',"number":{as_text(verdict.number)},"billsec":{call.billsec}'
        f',"billed_s":{billed_s},"free_s":{free_s}'
        f',"started_at":{as_json(call.started_at)},"answered_at":{as_json(call.answered_at)}'
        f',"explanation":{verdict.written()}}}'
    )
