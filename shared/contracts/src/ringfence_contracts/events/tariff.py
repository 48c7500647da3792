"""Tariff versions; their rows are read from a table (claim check)."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import Field

from ringfence_contracts.events.model import Currency, EventData, Id, Instant, Number, Text


class TariffPublished(EventData):
    """`tariff.published.v1`: an immutable version of a tariff is in force from an instant on.

    The rows are too many for a record: rating loads them by `version_id` from the table
    `accounts.tariff_rate` and checks their number and `sha256`.
    """

    tariff_id: Id
    version_id: Number
    name: Text
    currency: Currency
    effective_from: Instant
    rows: Number
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    published_at: Instant


PlainRateRow = tuple[str, str, str, int, int, int]
"""prefix, description, rate per minute as text, initial seconds, increment seconds, status."""

RateRowWithFees = tuple[str, str, str, int, int, int, str | None, str | None, str | None]
"""The same, then the row's own `RowFees`."""

RateRow = PlainRateRow | RateRowWithFees
"""A row of a tariff version, in the order of the columns of `accounts.tariff_rate`."""


class RowFees(NamedTuple):
    """The amounts that a row sets for each call: decimals as text; None: the package's apply.

    They are multiplied by the package's markup, as the row's rate is.
    """

    connection_fee: str | None = None
    minimum_cost: str | None = None
    maximum_cost: str | None = None


NO_ROW_FEES = RowFees()


def fees_of(row: RateRow) -> RowFees:
    """The amounts for each call that a row sets."""
    return RowFees(*row[6:]) if len(row) == 9 else NO_ROW_FEES


def digest_line(row: RateRow) -> str:
    """The line of a row in the digest of its version.

    A row without amounts of its own has no more than rate, increments and status, so that
    versions from before rows had amounts keep their digests.
    """
    prefix, description, rate, initial_s, increment_s, status = row[:6]
    line = f"{prefix},{description},{rate},{initial_s}/{increment_s},{status}"
    fees = fees_of(row)
    if fees == NO_ROW_FEES:
        return f"{line}\n"
    return f"{line},{'/'.join('' if fee is None else fee for fee in fees)}\n"


def rows_digest(rows: Iterable[RateRow]) -> str:
    """The sha256 by which an event identifies its rows: one line for each, ordered by prefix.

    `rows` must be sorted by prefix, as text.
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(digest_line(row).encode())
    return digest.hexdigest()
