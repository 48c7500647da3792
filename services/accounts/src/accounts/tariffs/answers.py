"""The types of responses about tariffs. Rates are decimal texts per minute. Pure."""

from datetime import datetime
from typing import Literal

from pydantic import Field

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


class ListedTariff(VersionAnswer):
    """A tariff as its latest version; `in_force` is the version in force now, null if none is."""

    in_force: int | None
    in_force_rows: int | None


class TariffList(ListAnswer):
    """Every tariff, as its latest version."""

    items: list[ListedTariff]


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


class RowPrices(Answer):
    """A row of the file, and the price of calls by their seconds of talk, before any markup.

    `calls` is null for a row that has no price of its own.
    """

    prefix: str
    description: str
    rate: str
    increment: str
    status: int
    calls: dict[str, str] | None


class LaterVersion(VersionAnswer):
    """A version that a date in the file makes; compared with the version before it."""

    diff: VersionDiff
    new: bool


class NewVersion(VersionAnswer):
    """The result of an import or a rollback; `new` is false if the same version existed.

    Of an import: the prices of its first rows, the versions of later dates, the digest to confirm,
    the columns that were passed over, and the name of the layout, if it has one.
    """

    diff: VersionDiff
    warnings: list[str]
    new: bool
    dry_run: bool
    prices: list[RowPrices] = Field([])
    later: list[LaterVersion] = Field([])
    digest: str | None = None
    unused_columns: list[str] = Field([])
    layout: str | None = None


class LayoutAnswer(Answer):
    """What an import remembers of a tariff's files; settings that are not declared are left out."""

    name: str | None
    columns: dict[str, str]
    delimiter: str | None = None
    decimal_comma: bool = False
    header: bool = True
    increment: str | None = None
    dates: str | None = None
    zone: str = "UTC"
    encoding: str | None = None
    sheet: str | None = None
    rate_per: str | None = None
    price_unit: str | None = None
    put_in_front: str | None = None
    ignored: list[str] = Field([])


class RateLine(Answer):
    """One row of a rate deck; amounts that it does not set are left out."""

    prefix: str
    description: str
    rate: str
    increment: str
    status: int
    connection_fee: str | None = None
    minimum_cost: str | None = None
    maximum_cost: str | None = None


class RateLinePage(PageAnswer):
    """Rows, by prefix."""

    items: list[RateLine]


class RateOfNumber(Answer):
    """The row that a number matches, or null, and the version that was looked in."""

    number: str
    version: TimedVersion
    rate: RateLine | None
