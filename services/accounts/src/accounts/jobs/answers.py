"""What the routes of jobs answer. A service may add fields to a result; they are passed on."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from accounts.examinations.answers import ExaminationResult

JobState = Literal["waiting", "running", "done", "refused", "failed"]


class _Result(BaseModel):
    model_config = ConfigDict(extra="allow")


class JobRequested(BaseModel):
    """The id of the job: GET /v1/jobs/{request_id} shows how far it is."""

    request_id: UUID


class InvariantCheck(_Result):
    """The check of one invariant; `found` counts its differences, of which the first are listed.

    `unknown` is why it could not be checked, else empty. `remarks` are facts that are no
    differences.
    """

    name: str
    says: str
    counted: str
    holds: bool
    found: int
    differences: list[str]
    unknown: str
    remarks: list[str]


class VerifiedSums(_Result):
    """The ledger's sums of one currency, in micro-units."""

    currency: str
    accounts: int
    entries: int
    charges_micro: int
    paid_micro: int
    balance_micro: int


class VerificationResult(_Result):
    """The result of `verify`; `holds`: whether every check holds."""

    holds: bool
    checks: list[InvariantCheck]
    sums: list[VerifiedSums]


class RerateAccount(_Result):
    """A client with a difference: a credit, or a charge where it is below zero.

    `charged_micro`: what the examined charges cost before; null in a result of earlier releases.
    """

    account_id: str
    currency: str
    examined: int
    charged_micro: int | None = None
    differ: int
    difference_micro: int


class RerateTotal(_Result):
    """The charges that were examined in one currency, what they cost before, and the difference."""

    currency: str
    examined: int
    charged_micro: int | None = None
    difference_micro: int


class RerateStays(_Result):
    """A reason for which charges stay as they are, and how many."""

    reason: str
    charges: int


class RerateResult(_Result):
    """The result of `rerate.dry_run` (`run_id` null), `rerate.apply` and `rerate.undo`."""

    run_id: UUID | None
    accounts: list[RerateAccount]
    totals: list[RerateTotal]
    unchanged: list[RerateStays]


class StillWaiting(_Result):
    """Calls that were tried again and wait for this reason."""

    reason: str
    calls: int


class ReplayResult(_Result):
    """The result of `unrated.replay`. `not_tried`: rating had not come to them in time."""

    marked: int
    settled: int
    not_tried: int
    waiting: list[StillWaiting]


JobResult = Annotated[
    VerificationResult | RerateResult | ReplayResult | ExaminationResult | dict[str, Any],
    Field(union_mode="left_to_right"),
]


class JobSummary(BaseModel):
    """A job, without its result.

    `waiting`: not begun, or put back for a while; `started_at` says which. `progress` names what is
    being done, `done` of `total` if it is counted. `leased_until` moves on while somebody works at
    it. `message` is why it was refused, or failed.
    """

    service: str
    request_id: UUID
    command: str
    arguments: dict[str, str]
    requested_by: str
    reason: str
    requested_at: datetime
    state: JobState
    attempts: int
    started_at: datetime | None
    leased_until: datetime | None
    progress: str
    done: int | None
    total: int | None
    finished_at: datetime | None
    message: str


class JobWithResult(JobSummary):
    """A job, with its result when it is done."""

    result: JobResult | None


class JobPage(BaseModel):
    """A page of jobs, and the cursor of the next page."""

    items: list[JobSummary]
    next: str | None


class AppliedRerating(BaseModel):
    """A re-rating that was applied, and what it changed.

    `difference` is the credit to clients by it, negative if they were charged more.
    """

    run_id: UUID
    tariff_id: str
    version_id: int
    from_text: str
    to_text: str
    account_id: str | None = Field(description="null: all clients")
    started_at: datetime
    applied_at: datetime | None
    undo_started_at: datetime | None
    undone_at: datetime | None
    state: Literal["applied", "interrupted", "undone", "undo interrupted"]
    calls: int
    difference_micro: int
    difference: str


class AppliedReratingPage(BaseModel):
    """A page of re-ratings, and the cursor of the next page."""

    items: list[AppliedRerating]
    next: str | None


class WaitingCalls(BaseModel):
    """Unrated calls that wait for one reason; `oldest_s`: for how long, in seconds."""

    reason: str
    calls: int
    billsec: int
    oldest_at: datetime
    oldest_s: int


class WaitingList(BaseModel):
    """The unrated queue by reason."""

    items: list[WaitingCalls]
