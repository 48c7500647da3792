"""Tariffs: the claim check for a version's rows."""

from typing import Annotated

from pydantic import Field

from ringfence.events.model import Currency, EventData, Id, Instant, Text


class TariffPublished(EventData):
    """`tariff.published.v1`: an immutable version of a tariff is in force from an instant on.

    The rows are too many for a record: rating loads them by `version_id` from the table
    `accounts.tariff_rate` and checks their number and `sha256`.
    """

    tariff_id: Id
    version_id: Annotated[int, Field(ge=1)]
    name: Text
    currency: Currency
    effective_from: Instant
    rows: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    published_at: Instant
