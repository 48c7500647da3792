"""Decides what each call and payment of a batch becomes, given what the database already holds.

A record that was already processed yields the same events again. The same id with different
content is rejected. Pure: the database is read before and written after.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import final
from uuid import UUID

import orjson

from rating.claims.claim_check import UnclaimedPayment, claim_of, claim_problem
from rating.ledger import AccountBalance, Entry, Posting, post, runs
from rating.posting.batch import CallRecord, PaymentRecord
from rating.posting.explanation import call_details
from rating.posting.records import (
    BalanceMove,
    ChargedCall,
    ExistingNotBilled,
    ExistingRecords,
    FreeKey,
    NotBilledCall,
    NotBilledRow,
    SettlementResult,
    UnratedCall,
    UnratedRow,
)
from rating.posting.reference_data import ReferenceData
from rating.pricing.call_time import implausible_time
from rating.pricing.free_bundles import NATIONAL
from rating.pricing.product_match import Match
from rating.pricing.rate_call import NotBilled, PricedCall, Rated, Unrated
from ringfence_contracts.events.call import CallUnrated
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.money import format_micro
from ringfence_contracts.records import Received, Rejected

MAX_BALANCE_MICRO = 10**16
"""No payment moves a balance beyond this, up or down: well within what every table holds."""


@final
class MatchedCall:
    """A call with the product that it belongs to, or why it waits.

    `free_key` says whose free seconds of which billing period it may use, as the key of the
    national bundle; None where its product grants none.
    """

    __slots__ = ("call", "free_key", "match")

    def __init__(self, call: CallRecord, match: Match | Unrated, free_key: FreeKey | None) -> None:
        self.call = call
        self.match = match
        self.free_key = free_key

    def free_keys(self) -> list[FreeKey]:
        """The keys of all bundles of its product, as its own is not known yet."""
        key = self.free_key
        if key is None or not isinstance(self.match, Match):
            return []
        names = self.match.terms.free.names
        return [key if name == NATIONAL else (key[0], key[1], key[2], name) for name in names]


def match_calls(
    reference: ReferenceData, calls: Sequence[CallRecord], now: datetime
) -> list[MatchedCall]:
    """Find each call's product. A call with an implausible time waits, whatever its product."""
    matched = []
    for call in calls:
        why = implausible_time(call.call, now)
        found = Unrated("no-tariff-in-force", why) if why else reference.match(call.call)
        key = reference.free_key(call.call, found) if isinstance(found, Match) else None
        matched.append(MatchedCall(call, found, key))
    return matched


class Settlement:
    """Applies a batch to what the database holds, in memory; `apply` once gives the result.

    `existing`, `balances` and `free_used` must hold all that the batch's records refer to. They
    are changed: a later record of the batch sees what an earlier one did.
    """

    def __init__(
        self,
        reference: ReferenceData,
        existing: ExistingRecords,
        balances: dict[str, AccountBalance],
        free_used: dict[FreeKey, int],
    ) -> None:
        self._reference = reference
        self._existing = existing
        self._balances = balances
        self._free_used = free_used
        self._result = SettlementResult(balances)
        self._touched: dict[str, list[Entry]] = {}
        self._correlation_ids: dict[UUID, str] = {}

    def apply(
        self, payments: Sequence[PaymentRecord], calls: Sequence[MatchedCall]
    ) -> SettlementResult:
        """Apply the payments, then the calls, each in their order."""
        for payment in payments:
            self._apply_payment(payment)
        for matched in calls:
            self._apply_call(matched)
        self._result.published.extend(self._balance_moves())
        return self._result

    def _apply_payment(self, item: PaymentRecord) -> None:
        """Post a top-up or an adjustment that accounts holds. One in the ledger needs no claim."""
        payment = item.payment
        entry = self._existing.entries.get(payment.payment_id)
        if entry is not None:
            self._end_wait(payment.payment_id)
            if entry.input_hash == item.input_hash:
                self._publish_balance(entry, item.correlation_id)
            else:
                self._reject_changed(item.received, "payment")
            return
        problem = claim_problem(payment, self._existing.claims.get(payment.payment_id))
        if problem:
            self._wait_for_claim(item, problem)
            return
        problem = _payment_problem(payment, self._balances[payment.account_id])
        if problem:
            self._reject_payment(item, problem)
            return
        posting = Posting(
            entry_id=payment.payment_id,
            account_id=payment.account_id,
            kind=payment.kind,
            amount_micro=payment.amount_micro,
            cause_id=payment.payment_id,
            occurred_at=payment.received_at,
            input_hash=item.input_hash,
            explanation=_payment_explanation(payment),
        )
        self._post(posting, self._balances[payment.account_id], item.correlation_id)
        self._end_wait(payment.payment_id)

    def _reject_payment(self, item: PaymentRecord, reason: str) -> None:
        """Reject a payment. One that waited has no record to reject: its reason is replaced."""
        self._result.unposted.append(item.payment.payment_id)
        if item.received is None:
            self._keep_waiting(item, reason)
        else:
            self._result.rejected.append(Rejected(item.received, reason))

    def _wait_for_claim(self, item: PaymentRecord, problem: str) -> None:
        payment = item.payment
        self._result.unposted.append(payment.payment_id)
        first = self._existing.unclaimed.setdefault(payment.payment_id, claim_of(payment))
        if first == claim_of(payment):
            self._keep_waiting(item, problem)
        else:
            self._reject_changed(item.received, "payment")

    def _keep_waiting(self, item: PaymentRecord, reason: str) -> None:
        record = item.received.value.decode() if item.received else ""
        waiting = UnclaimedPayment(item.payment, reason, record, item.correlation_id)
        self._result.unclaimed.append(waiting)

    def _end_wait(self, payment_id: UUID) -> None:
        if self._existing.unclaimed.pop(payment_id, None) is not None:
            self._result.claimed.append(payment_id)

    def _apply_call(self, matched: MatchedCall) -> None:
        """Charge a call, or record by which rule it costs nothing, or queue it as unrated."""
        call, existing = matched.call, self._existing
        entry = existing.entries.get(call.entry_id)
        if entry is not None:
            if entry.input_hash == call.input_hash:
                self._publish_balance(entry, call.correlation_id)
                self._publish_charge(call, entry)
            else:
                self._reject_changed(call.received, "call")
            return
        if existing.not_billed:
            not_billed = existing.not_billed.get(call.call_id)
            if not_billed is not None:
                self._apply_not_billed_again(call, not_billed)
                return
        waits = call.call_id in existing.unrated
        if waits and existing.unrated[call.call_id] != call.input_hash:
            self._reject_changed(call.received, "call")
            return
        self._rate(matched, waits)

    def _rate(self, matched: MatchedCall, waits: bool) -> None:
        """Rate a call that is not settled; `waits` if it is in the unrated queue."""
        call, match = matched.call, matched.match
        if isinstance(match, Unrated):
            self._queue(call, match, None)
            return
        outcome = self._reference.price(call.call, match)
        if isinstance(outcome, Unrated):
            self._queue(call, outcome, match)
            return
        if waits:
            self._result.resolved.append(call.call_id)
        if isinstance(outcome, NotBilled):
            self._record_not_billed(call, match, outcome)
            return
        self._charge(call, match, self._use_free_seconds(outcome, match, matched.free_key))

    def _use_free_seconds(self, priced: PricedCall, match: Match, key: FreeKey | None) -> Rated:
        """Charge a call, by the free seconds of its bundle first; `key` is the national one's."""
        bundle = priced.bundle
        if key is None or bundle is None:
            return priced.charge()
        granted_s = match.terms.free.granted_s.get(bundle)
        if granted_s is None:
            return priced.charge()
        if bundle != NATIONAL:
            key = (key[0], key[1], key[2], bundle)
        used_s = self._free_used[key]
        rated = priced.charge(max(0, granted_s - used_s))
        if rated.free_s:
            self._free_used[key] = self._result.free_used[key] = used_s + rated.free_s
        return rated

    def _charge(self, call: CallRecord, match: Match, rated: Rated) -> None:
        posting = Posting(
            call.entry_id,
            match.account_id,
            "charge",
            -rated.cost_micro,
            call.call_id,
            call.call.ended_at,
            call.input_hash,
            call_details(call.call, match.service_id, rated),
        )
        entry = self._post(posting, self._balances[match.account_id], call.correlation_id)
        self._publish_charge(call, entry)

    def _post(self, posting: Posting, balance: AccountBalance, correlation_id: str) -> Entry:
        entry = post(balance, posting)
        self._result.entries.append(entry)
        self._existing.entries[entry.entry_id] = entry
        self._publish_balance(entry, correlation_id)
        return entry

    def _publish_balance(self, entry: Entry, correlation_id: str) -> None:
        """Have an entry published as part of a move of its account's balance."""
        self._correlation_ids[entry.entry_id] = correlation_id
        touched = self._touched.get(entry.account_id)
        if touched is None:
            self._touched[entry.account_id] = [entry]
        else:
            touched.append(entry)

    def _publish_charge(self, call: CallRecord, entry: Entry) -> None:
        currency = self._balances[entry.account_id].currency
        record = ChargedCall(entry, call.id_text, currency, call.correlation_id)
        self._result.published.append(record)

    def _record_not_billed(self, call: CallRecord, match: Match, outcome: NotBilled) -> None:
        row = NotBilledRow(
            call_id=call.call_id,
            account_id=match.account_id,
            service_id=match.service_id,
            reason=outcome.reason,
            hidden=outcome.hidden,
            started_at=call.call.started_at,
            input_hash=call.input_hash,
            detail=call_details(call.call, match.service_id, outcome),
        )
        self._result.not_billed.append(row)
        self._result.unposted.append(call.entry_id)
        currency = self._balances[match.account_id].currency
        existing = ExistingNotBilled(
            row.account_id, row.service_id, row.reason, row.hidden, row.input_hash, row.detail,
            currency,
        )  # fmt: skip
        self._existing.not_billed[row.call_id] = existing
        self._publish_not_billed(call, existing)

    def _apply_not_billed_again(self, call: CallRecord, existing: ExistingNotBilled) -> None:
        if existing.input_hash == call.input_hash:
            self._publish_not_billed(call, existing)
        else:
            self._reject_changed(call.received, "call")

    def _publish_not_billed(self, call: CallRecord, existing: ExistingNotBilled) -> None:
        record = NotBilledCall(
            call.id_text,
            existing.account_id,
            existing.reason,
            existing.hidden,
            existing.currency,
            existing.detail,
            call.call.ended_at,
            call.correlation_id,
        )
        self._result.published.append(record)

    def _queue(self, call: CallRecord, why: Unrated, match: Match | None) -> None:
        """Queue a call as unrated, or replace why it waits."""
        c = call.call
        event = CallUnrated(
            call_id=c.call_id,
            server_id=c.server_id,
            tenant=c.tenant,
            reason=why.reason,
            cause=why.cause,
            detail=why.detail,
            account_id=match.account_id if match else None,
            service_id=match.service_id if match else None,
            billsec=c.billsec,
            started_at=c.started_at,
        )
        self._result.unrated.append(UnratedRow(event, call.input_hash, call.raw.decode()))
        self._result.unposted.append(call.entry_id)
        self._existing.unrated[c.call_id] = call.input_hash
        self._result.published.append(UnratedCall(event, c.ended_at, call.correlation_id))

    def _reject_changed(self, received: Received | None, what: str) -> None:
        """Reject a record whose id was processed with other content."""
        if received is not None:
            reason = f"{what}: came again with other content; the first one is kept"
            self._result.rejected.append(Rejected(received, reason))

    def _balance_moves(self) -> Iterator[BalanceMove]:
        """The moves of the accounts' balances: each account's entries once, in their order."""
        for account_id, entries in self._touched.items():
            balance = self._balances[account_id]
            distinct = entries if len(entries) == 1 else _distinct(entries)
            for run in runs(distinct):
                yield BalanceMove(run, balance, self._correlation_ids[run.last.entry_id])


def _payment_problem(payment: PaymentReceived, balance: AccountBalance) -> str:
    """Why a payment cannot be posted to this account; empty where it can."""
    if balance.currency != payment.currency:
        return f"currency: got {payment.currency}, expected the account's {balance.currency}"
    if abs(balance.balance_micro + payment.amount_micro) > MAX_BALANCE_MICRO:
        return (
            f"amount_micro: got {payment.amount_micro}, expected an amount that keeps the balance"
            f" within ±{format_micro(MAX_BALANCE_MICRO)}"
        )
    return ""


def _payment_explanation(payment: PaymentReceived) -> str:
    """What a payment's entry explains: its reference, and the payment that it refunds."""
    explained = {"reference": payment.reference}
    if payment.refunds is not None:
        explained["refunds"] = str(payment.refunds)
    return orjson.dumps(explained).decode()


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    return list({entry.entry_id: entry for entry in entries}.values())
