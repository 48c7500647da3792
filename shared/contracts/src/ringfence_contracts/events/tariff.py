"""Tariff versions; their rows are read from a table (claim check)."""

import hashlib
from collections.abc import Iterable
from typing import Annotated

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


RateRow = tuple[str, str, str, int, int, int]
"""prefix, description, rate per minute as text, initial seconds, increment seconds, status."""


def rows_digest(rows: Iterable[RateRow]) -> str:
    """The sha256 by which an event identifies its rows: one line for each, ordered by prefix.

    `rows` must be sorted by prefix, as text.
    """
    digest = hashlib.sha256()
    for prefix, description, rate, initial_s, increment_s, status in rows:
        line = f"{prefix},{description},{rate},{initial_s}/{increment_s},{status}\n"
        digest.update(line.encode())
    return digest.hexdigest()
