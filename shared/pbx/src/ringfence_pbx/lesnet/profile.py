"""The format of a Les.net CDR file, as configuration: pure.

Les.net publishes no description of its files, so a profile states every property of one: how lines
are split, which column holds what, how times, durations and numbers are written.
"""

import codecs
import re
import tomllib
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from ringfence_contracts.errors import BadInput
from ringfence_contracts.expected import expected_words

_SAMPLE = datetime(2003, 11, 22, 13, 45)
_SEPARATORS = frozenset('\n\r\x00"')

Column = (
    Annotated[StrictStr, Field(min_length=1, max_length=100)]
    | Annotated[StrictInt, Field(ge=1, le=500)]
)
"""A column by its name in the header, or by its position, counted from 1."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Part):
    """The column of each value. `time` is the time of day where `start` holds only the date."""

    start: Column
    time: Column | None = None
    caller: Column
    callee: Column
    duration: Column
    peer: Column | None = None
    did: Column | None = None
    direction: Column | None = None
    status: Column | None = None

    @cached_property
    def mapped(self) -> dict[str, Column]:
        """The columns that are set, by the value that they hold."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: column for name, column in found if column is not None}


class DirectionRule(_Part):
    """How the direction of a call is determined.

    `column`: by the direction column, translated by `values` (case is ignored). `did`: inbound if
    the callee is a DID of the row (or of the link), outbound if the caller is one, `otherwise` if
    neither is; a row where both are is refused. `inbound`, `outbound`: the same for all rows.
    """

    rule: Literal["column", "did", "outbound", "inbound"]
    values: dict[str, Literal["inbound", "outbound", "local"]] = {}
    otherwise: Literal["inbound", "outbound", "refuse"] = "refuse"


class Profile(_Part):
    """A file's format; docs/lesnet.md explains every field.

    Lines are split by `delimiter` or by `widths`. `tenant` says what identifies the owner of a row:
    the link's peer, or a column of peer ids or DIDs. A file without a final newline is incomplete,
    unless `ends_in_newline` is off. Lines that match `skip` are ignored.
    """

    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    widths: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = ()
    quote: Annotated[str, Field(max_length=1)] = '"'
    header: bool = True
    fields: Annotated[int, Field(ge=1, le=500)] | None = None
    ends_in_newline: bool = True
    skip: Annotated[str, Field(max_length=500)] = ""
    zone: str
    dates: Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]
    duration_unit: Literal["seconds", "h:mm:ss", "m:ss", "minutes"]
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    tenant: Literal["link", "peer", "did"] = "link"
    direction: DirectionRule
    columns: Columns

    @model_validator(mode="after")
    def _is_consistent(self) -> "Profile":
        _check_splitting(self)
        _check_columns(self)
        _check_encoding(self.encoding)
        for date_format in self.dates:
            _check_date(date_format)
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands must differ")
        try:
            re.compile(self.skip)
        except re.error as error:
            raise ValueError(f"skip is no regular expression: {error}") from None
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("zone must be an IANA name, such as America/Winnipeg") from None
        return self


def _check_splitting(profile: Profile) -> None:
    if (profile.delimiter is None) == (not profile.widths):
        raise ValueError("give either delimiter or widths")
    if profile.delimiter is not None and profile.delimiter in _SEPARATORS | {profile.quote}:
        raise ValueError("delimiter can be neither a quote nor a line's end")
    positions = [c for c in profile.columns.mapped.values() if isinstance(c, int)]
    most = len(profile.widths) or profile.fields or 500
    if positions and max(positions) > most:
        raise ValueError(f"columns: position {max(positions)}, but a row has {most} fields")


def _check_columns(profile: Profile) -> None:
    columns, rule = profile.columns, profile.direction.rule
    if not profile.header and any(isinstance(c, str) for c in columns.mapped.values()):
        raise ValueError("columns: without a header, columns are named by position, from 1")
    if profile.tenant != "link" and getattr(columns, profile.tenant) is None:
        raise ValueError(f'tenant = "{profile.tenant}" needs columns.{profile.tenant}')
    if rule == "column" and not (columns.direction is not None and profile.direction.values):
        raise ValueError('rule = "column" needs columns.direction and direction.values')


def _check_encoding(name: str) -> None:
    """Lines are split before they are decoded, so newlines and digits must be ASCII bytes."""
    try:
        fits = codecs.lookup(name).name != "idna" and "\n 09Az;".encode(name) == b"\n 09Az;"
    except (LookupError, UnicodeError):
        fits = False
    if not fits:
        raise ValueError("encoding must be one that Python knows and that extends ASCII")


def _check_date(written: str) -> None:
    try:
        read = datetime.strptime(_SAMPLE.replace(tzinfo=UTC).strftime(written), written)
    except (ValueError, re.error):
        raise ValueError(f"dates: {written!r} cannot be read back") from None
    if read.replace(tzinfo=None) != _SAMPLE:
        raise ValueError(f"dates: {written!r} lacks year, month, day, hour or minute")


def read_profile(text: str, name: str) -> Profile:
    """A profile from TOML. Raises BadInput that names the field, its value and what is wrong."""
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput("profile", name, f"valid TOML ({error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        value = name if isinstance(first["input"], dict | Profile) else first["input"]
        raise BadInput(f"profile {where}".strip(), value, expected_words(first)) from None
