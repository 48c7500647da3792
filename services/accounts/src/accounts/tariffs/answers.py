"""The types of responses about tariffs. Rates are decimal texts per minute. Pure."""

from datetime import datetime
from typing import Literal

from accounts.answers import Answer, ListAnswer, PageAnswer


class VersionAnswer(Answer):
    """A version of a tariff; `version_id` and `created_at` are null in a dry run."""

    version_id: int | None
    tariff_id: str
    name: str
    currency: str
    effective_from: datetime
    rows: int
    sha256: str
    created_at: datetime | None
    created_by: str
    restores: int | None


class TimedVersion(VersionAnswer):
    """A version with its time: `until` is when another one takes over."""

    until: datetime | None
    state: Literal["in force", "to come", "past", "never"]


class TariffList(ListAnswer):
    """Every tariff, as its latest version."""

    items: list[VersionAnswer]


class VersionList(ListAnswer):
    """All versions of a tariff, the newest first."""

    items: list[TimedVersion]


class RateSide(Answer):
    """A row before or after a change."""

    description: str
    rate: str
    increment: str
    status: int


class RateChange(Answer):
    """A row by which two versions differ."""

    kind: str
    prefix: str
    before: RateSide | None
    after: RateSide | None


class VersionDiff(Answer):
    """How a version differs from `base`: counts of each kind, and the largest changes."""

    base: int | None
    counts: dict[str, int]
    touched: dict[str, int]
    largest: list[RateChange]


class RateChangePage(PageAnswer):
    """Changes, by prefix."""

    items: list[RateChange]


class NewVersion(VersionAnswer):
    """The result of an import or a rollback; `new` is false if the same version existed."""

    diff: VersionDiff
    warnings: list[str]
    new: bool
    dry_run: bool


class RateLine(Answer):
    """One row of a rate deck."""

    prefix: str
    description: str
    rate: str
    increment: str
    status: int


class RateLinePage(PageAnswer):
    """Rows, by prefix."""

    items: list[RateLine]


class RateOfNumber(Answer):
    """The row that a number matches, or null, and the version that was looked in."""

    number: str
    version: TimedVersion
    rate: RateLine | None
