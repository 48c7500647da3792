"""Calls: what a PBX recorded, and how rating priced it."""

from typing import Literal
from uuid import UUID

from ringfence_contracts.events.model import (
    Count,
    Currency,
    EventData,
    Explanation,
    Id,
    Instant,
    Micro,
    Seconds,
    Text,
    Version,
)

Direction = Literal["inbound", "outbound", "local", ""]
"""As the PBX recorded it, seen from the tenant. Empty if the PBX left it empty."""


class CallCompleted(EventData):
    """`call.completed.v1`: a call ended, with the facts that its PBX recorded.

    `call_id` is derived from `server_id` and `source_call_id` alone, so that a call that is both
    pulled and pushed is one call. Numbers are as the PBX wrote them; nothing is normalised yet.
    `lost_prefix` is the `+` with which `destination_number` was dialled and which it lacks, because
    another record of the same call lacks it.

    A leg that left by a carrier on behalf of another call is a call of its own, with `leg` b and
    the `originating_call_id` that it names. Its `leg_decision` is one of:

    - `charged`: the other call pays for the first `paid_s` of its `billsec` seconds;
    - `waits-for-leg`: until the other call is known;
    - `leg-without-call`: the other call did not come in time, or is not named;
    - `part-of-call`: the other call pays for it.

    `leg_detail` says why. A later decision is published under the same `call_id`, and replaces one
    to wait.
    """

    call_id: UUID
    server_id: Id
    tenant: Text
    source: Literal["fusionpbx-pull", "freeswitch-push", "vodia-pull", "vodia-push", "lesnet-file"]
    source_call_id: Text
    direction: Direction
    started_at: Instant
    answered_at: Instant | None = None
    ended_at: Instant
    billsec: Seconds
    caller_name: Text = ""
    caller_number: Text = ""
    caller_destination: Text = ""
    destination_number: Text = ""
    source_number: Text = ""
    extension: Text = ""
    accountcode: Text = ""
    status: Text = ""
    hangup_cause: Text = ""
    leg: Literal["a", "b", ""] = "a"
    sip_call_id: Text = ""
    originating_call_id: UUID | None = None
    leg_decision: Literal["", "charged", "waits-for-leg", "leg-without-call", "part-of-call"] = ""
    leg_detail: Text = ""
    paid_s: Seconds = 0
    lost_prefix: Literal["+", ""] = ""
    ani_ii: Text = ""


class CallUnconfirmed(EventData):
    """`call.unconfirmed.v1`: a row that a PBX lists as a call and does not confirm, or its end.

    While `state` is `waiting`, the row is in the unrated queue under `row_id` and nobody is
    charged. It is published again at each attempt to confirm it. `confirmed`: it leaves the queue,
    because the call `call_id` was published as `call.completed.v1` with the values that the PBX
    confirmed. `reason` is `not-confirmed` (the PBX does not hold such a call) or `unreadable` (its
    values cannot be assigned to columns), `detail` says it in words. `tenant`, `source_call_id`,
    `billsec` and `started_at` are what the row claims, as far as it can be read; without a readable
    start, it is when the row was first seen. `row` is the beginning of the row.
    """

    row_id: UUID
    server_id: Id
    tenant: Text
    state: Literal["waiting", "confirmed"]
    reason: Literal["not-confirmed", "unreadable"]
    detail: Text
    source_call_id: Text = ""
    billsec: Seconds
    started_at: Instant
    seen_at: Instant
    asked_at: Instant
    call_id: UUID | None = None
    row: Text = ""


class Replaced(EventData):
    """The charge that a re-rating replaced.

    `entry_id` is the charge that was reversed, `cost_micro` its amount, `reversal_id` the entry
    that reversed it, and `run_id` the re-rating, or its undoing.
    """

    entry_id: UUID
    reversal_id: UUID
    cost_micro: Micro
    run_id: UUID


class CallRated(EventData):
    """`call.rated.v1`: what a call cost, and why.

    `outcome` is `rated` (a charge of `cost_micro`, which may be 0, is in the ledger as `entry_id`)
    or `not-billed` (no entry; `reason` names the rule). A call that is re-rated is published again,
    with the charge that the new one `replaces`. `answered_at` is null if the PBX recorded none.
    """

    call_id: UUID
    account_id: Id
    service_id: Id
    outcome: Literal["rated", "not-billed"]
    reason: Text = ""
    hidden: bool = False
    entry_id: UUID | None = None
    account_version: Version | None = None
    cost_micro: Micro
    currency: Currency
    direction: Direction
    number: Text
    billsec: Seconds
    billed_s: Count
    free_s: Count
    started_at: Instant
    answered_at: Instant | None = None
    explanation: Explanation
    replaces: Replaced | None = None


class CallUnrated(EventData):
    """`call.unrated.v1`: a call that could not be rated; it waits in a queue for an operator.

    `cause` is more exact than `reason` where it is not empty: a `leg_decision` by which the leg is
    not charged yet.
    """

    call_id: UUID
    server_id: Id
    tenant: Text
    reason: Literal[
        "unknown-product",
        "ambiguous-product",
        "unknown-direction",
        "no-tariff-in-force",
        "no-matching-prefix",
        "currency-mismatch",
        "invalid-number",
    ]
    detail: Text
    account_id: Id | None = None
    service_id: Id | None = None
    billsec: Seconds
    started_at: Instant
    cause: Text = ""
