"""What the database holds of a batch, and the records that the batch becomes. Pure."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, final
from uuid import UUID

from rating.claims.claim_check import PaymentClaim, UnclaimedPayment
from rating.ledger import AccountBalance, Entry, EntryRun
from ringfence_contracts.events.call import CallUnrated
from ringfence_contracts.records import Rejected

FreeKey = tuple[str, str, date, str]
"""account_id, service_id, first day of the billing period in the account's zone, and the bundle's
name: empty for the national one.
"""


class ExistingNotBilled(NamedTuple):
    """A call that rating.not_billed holds, with its account's currency."""

    account_id: str
    service_id: str
    reason: str
    hidden: bool
    input_hash: bytes
    detail: str
    currency: str


@dataclass
class ExistingRecords:
    """What the database held of a batch's calls and payments before the batch.

    `unrated` has the content hashes of queued calls. `claims` are the payments that accounts
    holds, `unclaimed` those that wait, each as it came first.
    """

    entries: dict[UUID, Entry] = field(default_factory=dict)
    not_billed: dict[UUID, ExistingNotBilled] = field(default_factory=dict)
    unrated: dict[UUID, bytes] = field(default_factory=dict)
    claims: dict[UUID, PaymentClaim] = field(default_factory=dict)
    unclaimed: dict[UUID, PaymentClaim] = field(default_factory=dict)


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
    """A call for the unrated queue: its event, and what another attempt needs.

    `call` is the record's value as text.
    """

    event: CallUnrated
    input_hash: bytes
    call: str


@final
class ChargedCall:
    """A call with its charge in the ledger; `call_id` as text."""

    __slots__ = ("call_id", "correlation_id", "currency", "entry")

    def __init__(self, entry: Entry, call_id: str, currency: str, correlation_id: str) -> None:
        self.entry = entry
        self.call_id = call_id
        self.currency = currency
        self.correlation_id = correlation_id


@final
class NotBilledCall:
    """A call that costs nothing by a rule; `call_id` as text, `detail` as in rating.not_billed."""

    __slots__ = (
        "account_id", "call_id", "correlation_id", "currency", "detail", "ended_at", "hidden",
        "reason",
    )  # fmt: skip

    def __init__(
        self,
        call_id: str,
        account_id: str,
        reason: str,
        hidden: bool,
        currency: str,
        detail: str,
        ended_at: datetime,
        correlation_id: str,
    ) -> None:
        self.call_id = call_id
        self.account_id = account_id
        self.reason = reason
        self.hidden = hidden
        self.currency = currency
        self.detail = detail
        self.ended_at = ended_at
        self.correlation_id = correlation_id


@final
class UnratedCall:
    """A call that cannot be rated yet."""

    __slots__ = ("correlation_id", "ended_at", "event")

    def __init__(self, event: CallUnrated, ended_at: datetime, correlation_id: str) -> None:
        self.event = event
        self.ended_at = ended_at
        self.correlation_id = correlation_id


@final
class BalanceMove:
    """A run of one account's entries; `balance` is the account after the whole batch.

    `correlation_id` is that of the run's last entry.
    """

    __slots__ = ("balance", "correlation_id", "run")

    def __init__(self, run: EntryRun, balance: AccountBalance, correlation_id: str) -> None:
        self.run = run
        self.balance = balance
        self.correlation_id = correlation_id


PublishedRecord = ChargedCall | NotBilledCall | UnratedCall | BalanceMove
"""What becomes one event."""


@dataclass
class SettlementResult:
    """What a batch becomes: rows to write, records to publish, records to reject.

    `balances` are the batch's accounts after it. `free_used` has the new totals, in seconds, that
    differ from those before. `resolved` are calls that leave the unrated queue. `unposted` are the
    ids of entries that the batch's calls and payments might have had and do not get. `unclaimed`
    payments wait for their claim, `claimed` ones wait no longer.
    """

    balances: dict[str, AccountBalance]
    entries: list[Entry] = field(default_factory=list)
    free_used: dict[FreeKey, int] = field(default_factory=dict)
    not_billed: list[NotBilledRow] = field(default_factory=list)
    unrated: list[UnratedRow] = field(default_factory=list)
    resolved: list[UUID] = field(default_factory=list)
    unclaimed: list[UnclaimedPayment] = field(default_factory=list)
    claimed: list[UUID] = field(default_factory=list)
    unposted: list[UUID] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    published: list[PublishedRecord] = field(default_factory=list)

    def moved_balances(self) -> dict[str, AccountBalance]:
        """The accounts that got new entries."""
        return {entry.account_id: self.balances[entry.account_id] for entry in self.entries}
