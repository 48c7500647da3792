"""Reads a batch: what each record is, and which can never work."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, final
from uuid import UUID

from rating.posting.free_text import cleaned
from rating.pricing.call_time import check_times
from ringfence.kafka.fast_decoder import FastDecoder
from ringfence_contracts.errors import Reject
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.tariff import TariffPublished
from ringfence_contracts.ids import as_id, deriver
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
    """A completed call with what identifies it and its content.

    `entry_id` is that of the one charge that it may have; `id_text` is its call_id as text, which
    is needed several times for each call. `correlation_id` is the thread from this call on: its
    own id where the record names none. `received` is None for a call that waited in the queue.
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
    """A call as transaction takes it; `received` is None for one that waited in the queue."""
    call_id = as_id(call.call_id.bytes)
    id_text = str(call_id)
    thread = (received and received.correlation_id) or id_text
    entry_id = charge_id(id_text)
    return CallRecord(call, call_id, call_hash(call), raw, received, id_text, entry_id, thread)


charge_id = deriver("charge")
"""The id of the one charge that a call may have, from its call_id as text."""


class PaymentRecord(NamedTuple):
    """A payment with what identifies its content; `received` is None for one that waited."""

    payment: PaymentReceived
    input_hash: bytes
    correlation_id: str
    received: Received | None


def payment_record(
    payment: PaymentReceived, correlation_id: str, received: Received | None = None
) -> PaymentRecord:
    """A payment as transaction takes it; `received` is None for one that waited for its claim."""
    return PaymentRecord(payment, _payment_hash(payment), correlation_id, received)


@dataclass
class RatingBatch:
    """A batch, sorted by what its records are."""

    calls: list[CallRecord] = field(default_factory=list)
    payments: list[PaymentRecord] = field(default_factory=list)
    accounts: list[tuple[AccountChanged, Received]] = field(default_factory=list)
    tariffs: list[tuple[TariffPublished, Received]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def read_batch(batch: Sequence[Received]) -> RatingBatch:
    """Sort a batch; a record that can not be read is rejected, the next one is unharmed."""
    intake = RatingBatch()
    for received in batch:
        try:
            _READERS[received.topic](intake, received)
        except Reject as reason:
            intake.rejected.append(Rejected(received, str(reason)))
    return intake


def call_hash(call: CallCompleted) -> bytes:
    """What must not differ when the same call comes again, by whichever way.

    Names and statuses may: a push and a pull tell them differently. What is billed may not.
    """
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


def _read_call(intake: RatingBatch, received: Received) -> None:
    call, value = _parse_call(received)
    check_times(call)
    intake.calls.append(call_record(call, value, received))


def _parse_call(received: Received) -> tuple[CallCompleted, bytes]:
    """The call, and the bytes that it was read from: cleaned ones, if it needs that."""
    try:
        return _CALLS.parse(received), received.value
    except Reject:
        value = cleaned(received.value)
        if value is None:
            raise
        return parse(CallCompleted, received._replace(value=value)), value


def _read_payment(intake: RatingBatch, received: Received) -> None:
    payment = parse(PaymentReceived, received)
    if payment.kind == "top-up" and payment.amount_micro <= 0:
        raise Reject(f"amount_micro: got {payment.amount_micro}, expected more than 0 for a top-up")
    if abs(payment.amount_micro) > MAX_MICRO:
        raise Reject(f"amount_micro: got {payment.amount_micro}, expected at most {MAX_MICRO}")
    intake.payments.append(payment_record(payment, received.correlation_id, received))


def _read_account(intake: RatingBatch, received: Received) -> None:
    intake.accounts.append((parse(AccountChanged, received), received))


def _read_tariff(intake: RatingBatch, received: Received) -> None:
    intake.tariffs.append((parse(TariffPublished, received), received))


_READERS: dict[str, Callable[[RatingBatch, Received], None]] = {
    CALL_COMPLETED.name: _read_call,
    PAYMENT_RECEIVED.name: _read_payment,
    ACCOUNT_CHANGED.name: _read_account,
    TARIFF_PUBLISHED.name: _read_tariff,
}


def call_id_if_readable(received: Received) -> UUID | None:
    """The call that a rejected record was about, where its header says so."""
    try:
        return received.event_id
    except Reject:
        return None
