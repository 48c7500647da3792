"""The base class and the field types of event payloads."""

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

MAX_BILLSEC = 7 * 86_400
"""The longest call: one week. A record of a longer one is rejected to the dead letters."""


class EventData(BaseModel):
    """A payload. Unknown fields are ignored, so that a contract can grow within its major version.

    Immutable; times are aware; text cannot contain NUL (PostgreSQL could not store it).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> bytes:
        """The payload as UTF-8 JSON, fields in the order of the model."""
        return self.__pydantic_serializer__.to_json(self)


def no_nul(text: str) -> str:
    """The text itself. Raises ValueError if it contains NUL."""
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    return text


Text = Annotated[str, Field(max_length=1000), AfterValidator(no_nul)]
"""Free text from outside: bounded, so that no record can grow without limit."""

ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
MAX_ID = 100
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=ID_PATTERN)]
"""An id that people choose: account, service, server, tariff."""


def is_id(text: str) -> bool:
    """Whether `text` is an `Id`."""
    return len(text) <= MAX_ID and re.fullmatch(ID_PATTERN, text, re.ASCII) is not None


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217, upper case."""

Micro = Annotated[int, Field(ge=-(10**17), le=10**17)]
"""Micro-units (10^-6) of the account's currency."""

Seconds = Annotated[int, Field(ge=0, le=MAX_BILLSEC)]
"""Whole seconds."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A count, at most what PostgreSQL's integer holds."""

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number that counts from 1."""

Version = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Grows with every posting or crossing; any reader of JSON holds it exactly."""

EARLIEST_YEAR, LATEST_YEAR = 1900, 9998
"""Nothing that happens is earlier. Beyond, an instant cannot be shown in every time zone."""


def in_range(instant: datetime) -> datetime:
    """The instant itself. Raises ValueError if a reader could not hold it."""
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise ValueError(f"must be in the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return instant


Instant = Annotated[AwareDatetime, AfterValidator(in_range)]
"""An instant with its zone; written in UTC."""

Explanation = dict[str, Any]
"""How an amount was computed: plain values, for people."""

__all__ = [
    "MAX_BILLSEC",
    "Count",
    "Currency",
    "EventData",
    "Explanation",
    "Id",
    "Instant",
    "Micro",
    "Number",
    "Seconds",
    "Text",
    "Version",
    "no_nul",
]
