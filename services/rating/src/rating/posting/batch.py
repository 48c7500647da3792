"""Reads a batch: parses each record by its topic, and rejects those that are invalid."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, final
from uuid import UUID

from rating.posting.free_text import cleaned_record
from rating.pricing.call_time import check_times
from ringfence.kafka.fast_decoder import FastDecoder
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.tariff import TariffPublished
from ringfence_contracts.ids import as_id, charge_id
from ringfence_contracts.money import MAX_MICRO
from ringfence_contracts.records import Received, Rejected, parse
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    CALL_COMPLETED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
)

_CALLS = FastDecoder(CallCompleted)


@final
class CallRecord:
    """A completed call with its ids and a hash of its content.

    `entry_id` is the id of the one charge that the call may have; `id_text` is its call_id as
    text, which is used several times for each call. `correlation_id` is the call's own id where
    the record has none. `received` is None for a call from the unrated queue.
    """

    __slots__ = (
        "call", "call_id", "correlation_id", "entry_id", "id_text", "input_hash", "raw", "received",
    )  # fmt: skip

    def __init__(
        self,
        call: CallCompleted,
        call_id: UUID,
        input_hash: bytes,
        raw: bytes,
        received: Received | None,
        id_text: str,
        entry_id: UUID,
        correlation_id: str,
    ) -> None:
        self.call = call
        self.call_id = call_id
        self.input_hash = input_hash
        self.raw = raw
        self.received = received
        self.id_text = id_text
        self.entry_id = entry_id
        self.correlation_id = correlation_id


def call_record(call: CallCompleted, raw: bytes, received: Received | None = None) -> CallRecord:
    """Derive the ids and the hash of a call; `received` is None for one from the unrated queue."""
    call_id = as_id(call.call_id.bytes)
    id_text = str(call_id)
    correlation_id = (received and received.correlation_id) or id_text
    entry_id = charge_id(id_text)
    return CallRecord(
        call, call_id, call_hash(call), raw, received, id_text, entry_id, correlation_id
    )


class PaymentRecord(NamedTuple):
    """A payment with a hash of its content; `received` is None for one that waited."""

    payment: PaymentReceived
    input_hash: bytes
    correlation_id: str
    received: Received | None


def payment_record(
    payment: PaymentReceived, correlation_id: str, received: Received | None = None
) -> PaymentRecord:
    """Hash the content of a payment; `received` is None for one that waited for its claim."""
    return PaymentRecord(payment, _payment_hash(payment), correlation_id, received)


@dataclass
class RatingBatch:
    """A batch by the kinds of its records."""

    calls: list[CallRecord] = field(default_factory=list)
    payments: list[PaymentRecord] = field(default_factory=list)
    accounts: list[tuple[AccountChanged, Received]] = field(default_factory=list)
    tariffs: list[tuple[TariffPublished, Received]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def read_batch(records: Sequence[Received]) -> RatingBatch:
    """Parse a batch; an invalid record is rejected and does not affect the others."""
    batch = RatingBatch()
    for received in records:
        try:
            _READERS[received.topic](batch, received)
        except Reject as reason:
            batch.rejected.append(Rejected(received, str(reason)))
    return batch


def call_hash(call: CallCompleted) -> bytes:
    """A hash of the fields that must be equal when the same call is received again.

    Names and statuses are not in it: a push and a pull may differ in them. What is billed is. Of a
    leg with a decision of its own, only what no later decision changes.
    """
    if call.leg_decision:
        facts = (
            f"{call.server_id}\x1f{call.destination_number}\x1f{int(call.started_at.timestamp())}"
        )
        return hashlib.blake2b(facts.encode(), digest_size=16).digest()
    facts = (
        f"{call.server_id}\x1f{call.direction}\x1f{call.billsec}\x1f{call.destination_number}"
        f"\x1f{call.caller_destination}\x1f{int(call.started_at.timestamp())}"
    )
    return hashlib.blake2b(facts.encode(), digest_size=16).digest()


def _payment_hash(payment: PaymentReceived) -> bytes:
    facts = (
        f"{payment.account_id}\x1f{payment.kind}\x1f{payment.amount_micro}\x1f{payment.currency}"
    )
    return hashlib.blake2b(facts.encode(), digest_size=16).digest()


def _read_call(batch: RatingBatch, received: Received) -> None:
    call, value = _parse_call(received)
    check_times(call)
    batch.calls.append(call_record(call, value, received))


def _parse_call(received: Received) -> tuple[CallCompleted, bytes]:
    """The call, and the bytes that it was parsed from: cleaned ones, if necessary."""
    try:
        return _CALLS.parse(received), received.value
    except Reject:
        value = cleaned_record(received.value)
        if value is None:
            raise
        return parse(CallCompleted, received._replace(value=value)), value


def _read_payment(batch: RatingBatch, received: Received) -> None:
    payment = parse(PaymentReceived, received)
    if payment.kind == "top-up" and payment.amount_micro <= 0:
        raise Reject(f"amount_micro: got {payment.amount_micro}, expected more than 0 for a top-up")
    if abs(payment.amount_micro) > MAX_MICRO:
        raise Reject(f"amount_micro: got {payment.amount_micro}, expected at most {MAX_MICRO}")
    batch.payments.append(payment_record(payment, received.correlation_id, received))


def _read_account(batch: RatingBatch, received: Received) -> None:
    batch.accounts.append((parse(AccountChanged, received), received))


def _read_tariff(batch: RatingBatch, received: Received) -> None:
    batch.tariffs.append((parse(TariffPublished, received), received))


_READERS: dict[str, Callable[[RatingBatch, Received], None]] = {
    CALL_COMPLETED.name: _read_call,
    PAYMENT_RECEIVED.name: _read_payment,
    ACCOUNT_CHANGED.name: _read_account,
    TARIFF_PUBLISHED.name: _read_tariff,
}


def readable_call_id(received: Received) -> UUID | None:
    """The call id of a rejected record, from its header; None if it cannot be read."""
    try:
        return received.event_id
    except Reject:
        return None
