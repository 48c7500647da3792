"""What the database holds of a batch's calls, and the rows that a batch writes. Pure."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from rating.claims.claim_check import PaymentClaim
from rating.ledger import Entry
from ringfence_contracts.events.call import CallUnrated

FreeKey = tuple[str, str, date]
"""account_id, service_id, first day of the billing period in the account's zone."""


class ExistingNotBilled(NamedTuple):
    """A call that was settled without an entry."""

    account_id: str
    service_id: str
    reason: str
    hidden: bool
    input_hash: bytes
    detail: str
    currency: str


class NotBilledRow(NamedTuple):
    """A row of rating.not_billed, in the order of its columns."""

    call_id: UUID
    account_id: str
    service_id: str
    reason: str
    hidden: bool
    started_at: datetime
    input_hash: bytes
    detail: str


class UnratedRow(NamedTuple):
    """A call for the unrated queue: what is told of it, and all that it takes to try again."""

    told: CallUnrated
    input_hash: bytes
    call: str


@dataclass
class ExistingRecords:
    """What the database knew of a batch's calls and payments before it was settled.

    `claims` are the payments that accounts holds, `unclaimed` those that wait, as they came first.
    """

    entries: dict[UUID, Entry] = field(default_factory=dict)
    not_billed: dict[UUID, ExistingNotBilled] = field(default_factory=dict)
    unrated: dict[UUID, bytes] = field(default_factory=dict)
    claims: dict[UUID, PaymentClaim] = field(default_factory=dict)
    unclaimed: dict[UUID, PaymentClaim] = field(default_factory=dict)
