"""Settles a batch in memory: what each call and payment becomes, given what stands already.

Pure: the store reads before and writes after. A cause that stands already is answered as before;
the same cause with another content is refused, loudly.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import final
from uuid import UUID

import orjson

from rating.claims.claim_check import UnclaimedPayment, claim_of, claim_problem
from rating.ledger import AccountBalance, Entry, Posting, post, runs
from rating.posting import events
from rating.posting.batch import CallRecord, PaymentRecord
from rating.posting.records import (
    ExistingNotBilled,
    ExistingRecords,
    FreeKey,
    NotBilledRow,
    UnratedRow,
)
from rating.posting.reference_data import ReferenceData
from rating.pricing.call_time import disbelieved
from rating.pricing.product_match import Match
from rating.pricing.rate_call import NotBilled, Rated, Unrated
from ringfence_contracts.events.call import CallUnrated
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.records import LazyEvents, Outcome, Outgoing, Received, Rejected

MAX_BALANCE_MICRO = 10**16
"""No payment lifts a balance, or lowers it, beyond this: far within what every table holds."""


@final
class MatchedCall:
    """A call with the product that it belongs to, or why it waits.

    `free_key` says whose free seconds it may use, and of which billing period; None where its
    product grants none.
    """

    __slots__ = ("call", "free_key", "match")

    def __init__(self, call: CallRecord, match: Match | Unrated, free_key: FreeKey | None) -> None:
        self.call = call
        self.match = match
        self.free_key = free_key


def match_calls(
    books: ReferenceData, calls: Sequence[CallRecord], now: datetime
) -> list[MatchedCall]:
    """Whose call each is. One whose time can not be believed waits, whoever it is."""
    matched = []
    for call in calls:
        why = disbelieved(call.call, now)
        found = Unrated("no-tariff-in-force", why) if why else books.match(call.call)
        key = books.free_key(call.call, found) if isinstance(found, Match) else None
        matched.append(MatchedCall(call, found, key))
    return matched


@dataclass
class Settlement:
    """What a batch comes to. Filled by `settle`, read by the store.

    `unposted` are the entries that its calls and payments might have had and did not get.
    `unclaimed` payments wait for their claim, `claimed` ones wait no longer.
    """

    books: ReferenceData
    known: ExistingRecords
    standings: dict[str, AccountBalance]
    free_used: dict[FreeKey, int]
    free_moved: dict[FreeKey, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    not_billed: list[NotBilledRow] = field(default_factory=list)
    unrated: list[UnratedRow] = field(default_factory=list)
    resolved: list[UUID] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unposted: list[UUID] = field(default_factory=list)
    unclaimed: list[UnclaimedPayment] = field(default_factory=list)
    claimed: list[UUID] = field(default_factory=list)
    _told: list[Callable[[], Outgoing]] = field(default_factory=list)
    _touched: dict[str, list[Entry]] = field(default_factory=dict)
    _threads: dict[UUID, str] = field(default_factory=dict)

    def settle(self, payments: Sequence[PaymentRecord], calls: Sequence[MatchedCall]) -> None:
        """Settle all of a batch, each in its order."""
        for payment in payments:
            self.settle_payment(payment)
        for matched in calls:
            self.settle_call(matched)

    def settle_payment(self, item: PaymentRecord) -> None:
        """Post a top-up or an adjustment that accounts holds. One in the ledger needs no claim."""
        payment = item.payment
        known = self.known.entries.get(payment.payment_id)
        if known is not None:
            self._end_wait(payment.payment_id)
            if self._again(known, item.input_hash, item.received, "payment"):
                self._touch(known, item.correlation_id)
            return
        problem = claim_problem(payment, self.known.claims.get(payment.payment_id))
        if problem:
            self._wait_for_claim(item, problem)
            return
        standing = self.standings[payment.account_id]
        if standing.currency != payment.currency:
            reason = f"currency: got {payment.currency}, expected the account's {standing.currency}"
            self._reject_payment(item, reason)
            return
        if abs(standing.balance_micro + payment.amount_micro) > MAX_BALANCE_MICRO:
            reason = f"amount_micro: got {payment.amount_micro}, expected a balance that can be"
            self._reject_payment(item, reason)
            return
        posting = Posting(
            entry_id=payment.payment_id,
            account_id=payment.account_id,
            kind=payment.kind,
            amount_micro=payment.amount_micro,
            cause_id=payment.payment_id,
            occurred_at=payment.received_at,
            input_hash=item.input_hash,
            explanation=_of_payment(payment),
        )
        self._enter(posting, standing, item.correlation_id)
        self._end_wait(payment.payment_id)

    def _reject_payment(self, item: PaymentRecord, reason: str) -> None:
        """Refuse a payment. One that waited has no record to reject: it waits on, and says why."""
        self.unposted.append(item.payment.payment_id)
        if item.received is None:
            self._keep_waiting(item, reason)
        else:
            self.rejected.append(Rejected(item.received, reason))

    def _wait_for_claim(self, item: PaymentRecord, problem: str) -> None:
        payment = item.payment
        self.unposted.append(payment.payment_id)
        first = self.known.unclaimed.setdefault(payment.payment_id, claim_of(payment))
        if first == claim_of(payment):
            self._keep_waiting(item, problem)
        else:
            self._refuse(item.received, "payment")

    def _keep_waiting(self, item: PaymentRecord, reason: str) -> None:
        record = item.received.value.decode() if item.received else ""
        self.unclaimed.append(UnclaimedPayment(item.payment, reason, record, item.correlation_id))

    def _end_wait(self, payment_id: UUID) -> None:
        if self.known.unclaimed.pop(payment_id, None) is not None:
            self.claimed.append(payment_id)

    def settle_call(self, matched: MatchedCall) -> None:
        """Charge a call, or say by which rule it costs nothing, or queue it."""
        call, known = matched.call, self.known
        entry = known.entries.get(call.entry_id)
        if entry is not None:
            if self._again(entry, call.input_hash, call.received, "call"):
                self._touch(entry, call.correlation_id)
                self._tell_rated(call, entry)
            return
        if known.not_billed:
            known_call = known.not_billed.get(call.call_id)
            if known_call is not None:
                self._not_billed_again(call, known_call)
                return
        waits = call.call_id in known.unrated
        if waits and known.unrated[call.call_id] != call.input_hash:
            self._refuse(call.received, "call")
            return
        self._settle_new(matched, waits)

    def _settle_new(self, matched: MatchedCall, waits: bool) -> None:
        call, match, key = matched.call, matched.match, matched.free_key
        if isinstance(match, Unrated):
            self._queue(call, match, None)
            return
        left_s = max(0, match.terms.free_minutes * 60 - self.free_used[key]) if key else 0
        verdict = self.books.rate(call.call, match, left_s)
        if isinstance(verdict, Unrated):
            self._queue(call, verdict, match)
            return
        if waits:
            self.resolved.append(call.call_id)
        if isinstance(verdict, NotBilled):
            self._pass_over(call, match, verdict)
            return
        if key and verdict.free_s:
            self.free_used[key] += verdict.free_s
            self.free_moved[key] = self.free_used[key]
        self._charge(call, match, verdict)

    def _charge(self, call: CallRecord, match: Match, verdict: Rated) -> None:
        posting = Posting(
            call.entry_id,
            match.account_id,
            "charge",
            -verdict.cost_micro,
            call.call_id,
            call.call.ended_at,
            call.input_hash,
            events.details(call.call, match.service_id, verdict),
        )
        entry = self._enter(posting, self.standings[match.account_id], call.correlation_id)
        self._tell_rated(call, entry)

    def _enter(self, posting: Posting, standing: AccountBalance, thread: str) -> Entry:
        entry = post(standing, posting)
        self.entries.append(entry)
        self.known.entries[entry.entry_id] = entry
        self._touch(entry, thread)
        return entry

    def _touch(self, entry: Entry, thread: str) -> None:
        """Have an entry told as part of what its account's balance did."""
        self._threads[entry.entry_id] = thread
        touched = self._touched.get(entry.account_id)
        if touched is None:
            self._touched[entry.account_id] = [entry]
        else:
            touched.append(entry)

    def _pass_over(self, call: CallRecord, match: Match, verdict: NotBilled) -> None:
        row = NotBilledRow(
            call_id=call.call_id,
            account_id=match.account_id,
            service_id=match.service_id,
            reason=verdict.reason,
            hidden=verdict.hidden,
            started_at=call.call.started_at,
            input_hash=call.input_hash,
            detail=events.details(call.call, match.service_id, verdict),
        )
        self.not_billed.append(row)
        self.unposted.append(call.entry_id)
        currency = self.standings[match.account_id].currency
        known = ExistingNotBilled(
            row.account_id, row.service_id, row.reason, row.hidden, row.input_hash, row.detail,
            currency,
        )  # fmt: skip
        self.known.not_billed[row.call_id] = known
        self._tell_not_billed(call, known)

    def _not_billed_again(self, call: CallRecord, known: ExistingNotBilled) -> None:
        if known.input_hash == call.input_hash:
            self._tell_not_billed(call, known)
        else:
            self._refuse(call.received, "call")

    def _tell_not_billed(self, call: CallRecord, known: ExistingNotBilled) -> None:
        self._tell(
            events.not_billed,
            call, known.account_id, known.reason, known.hidden, known.currency, known.detail,
        )  # fmt: skip

    def _queue(self, call: CallRecord, why: Unrated, match: Match | None) -> None:
        c = call.call
        told = CallUnrated(
            call_id=c.call_id,
            server_id=c.server_id,
            tenant=c.tenant,
            reason=why.reason,
            detail=why.detail,
            account_id=match.account_id if match else None,
            service_id=match.service_id if match else None,
            billsec=c.billsec,
            started_at=c.started_at,
        )
        self.unrated.append(UnratedRow(told, call.input_hash, call.raw.decode()))
        self.unposted.append(call.entry_id)
        self.known.unrated[c.call_id] = call.input_hash
        self._tell(events.unrated, call, told)

    def _again(self, known: Entry, input_hash: bytes, received: Received | None, what: str) -> bool:
        """Whether a cause that stands already may be told again; with another content: refused."""
        if known.input_hash == input_hash:
            return True
        self._refuse(received, what)
        return False

    def _refuse(self, received: Received | None, what: str) -> None:
        if received is not None:
            reason = f"{what}: came again with another content; the first stands"
            self.rejected.append(Rejected(received, reason))

    def _tell_rated(self, call: CallRecord, entry: Entry) -> None:
        currency = self.standings[entry.account_id].currency
        self._tell(events.rated, entry, call.id_text, currency, call.correlation_id)

    def _tell(self, write: Callable[..., Outgoing], *of: object) -> None:
        self._told.append(partial(write, *of))

    def outcome(self) -> Outcome:
        """What is to be told of the batch, and what of it is refused."""
        return Outcome(LazyEvents([*self._told, *self._changes()]), self.rejected)

    def _changes(self) -> Iterator[Callable[[], Outgoing]]:
        """What the accounts' balances did, each account's entries once and in their order."""
        for account_id, entries in self._touched.items():
            standing = self.standings[account_id]
            distinct = entries if len(entries) == 1 else _distinct(entries)
            for run in runs(distinct):
                thread = self._threads[run.last.entry_id]
                yield partial(events.balance_changed, run, standing, thread)

    def moved(self) -> dict[str, AccountBalance]:
        """The accounts that got new entries, as they stand now."""
        return {e.account_id: self.standings[e.account_id] for e in self.entries}


def _of_payment(payment: PaymentReceived) -> str:
    """What a payment's entry says for people: its reference, and the payment that it refunds."""
    explained = {"reference": payment.reference}
    if payment.refunds is not None:
        explained["refunds"] = str(payment.refunds)
    return orjson.dumps(explained).decode()


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    return list({entry.entry_id: entry for entry in entries}.values())
