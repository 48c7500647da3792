"""Reads the rows of a Les.net CDR file by its profile: pure. Nothing is guessed.

The id of a call is derived from its link, the start on the file's own clock, both numbers and the
duration: values that do not depend on the format. So a corrected zone, direction rule or column
order, or a new column, does not make old calls new. Equal rows of one file are numbered.
"""

import csv
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from hashlib import sha256
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from cdr_ingest.sources.fields import identifier
from ringfence.numbers.written import without_country_code_1
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted, Direction
from ringfence_contracts.events.model import MAX_BILLSEC
from ringfence_contracts.ids import call_id
from ringfence_pbx.lesnet.profile import Column, Profile

MAX_LINE = 10_000
_PEER = re.compile(r"[0-9A-F]{13}", re.ASCII)
_DID = re.compile(r"\d{7,15}", re.ASCII)
_CLOCK = {
    "h:mm:ss": re.compile(r"(?P<h>\d{1,3}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)", re.ASCII),
    "m:ss": re.compile(r"(?P<m>\d{1,5}):(?P<s>[0-5]\d)", re.ASCII),
}
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_PUNCTUATION = str.maketrans("", "", "+-.() ")


class Link(Protocol):
    """What an entry of the servers file says of a CDR file's owner: a peer, and its DIDs.

    The ids of the file's calls are derived from `known_as`.
    """

    @property
    def known_as(self) -> str: ...  # noqa: D102
    @property
    def peer(self) -> str: ...  # noqa: D102
    @property
    def dids(self) -> tuple[str, ...]: ...  # noqa: D102


class CdrRow(NamedTuple):
    """A row that fits the profile; the ids of its calls are derived from `identity`, a hash."""

    identity: bytes
    tenant: str
    direction: Direction
    started_at: datetime
    billsec: int
    caller: str
    callee: str
    did: str
    status: str

    def call(self, server_id: str, link: str, ordinal: int) -> CallCompleted:
        """The call of the `ordinal`th row with this identity in the file."""
        source_call_id = f"{link}:{self.identity.hex()}:{ordinal}"
        inbound = self.direction == "inbound"
        return CallCompleted(
            call_id=call_id(server_id, source_call_id),
            server_id=server_id,
            tenant=self.tenant,
            source="lesnet-file",
            source_call_id=source_call_id,
            direction=self.direction,
            started_at=self.started_at,
            answered_at=self.started_at if self.billsec else None,
            ended_at=self.started_at + timedelta(seconds=self.billsec),
            billsec=self.billsec,
            caller_number=self.caller,
            destination_number=self.callee,
            caller_destination=self.did if inbound else "",
            source_number="" if inbound else self.did,
            status=self.status,
        )


class RowReader:
    """Reads the rows of one link's file. `header` is its first line, None without a header.

    Raises BadInput when the header lacks a column of the profile, or has it twice.
    """

    def __init__(self, profile: Profile, link: Link, header: bytes | None) -> None:
        self._profile = profile
        self._link = link
        self._zone = ZoneInfo(profile.zone)
        self._dids = frozenset(map(_comparable, link.dids))
        self._directions = {k.strip().casefold(): v for k, v in profile.direction.values.items()}
        names = None if header is None else self.split(header)
        self._width = profile.fields or (len(names) if names else len(profile.widths))
        mapped = profile.columns.mapped
        self._at = {field: _position(column, names) for field, column in mapped.items()}

    def split(self, line: bytes) -> list[str]:
        """The values of a line, stripped. Raises BadInput."""
        profile = self._profile
        if len(line) > MAX_LINE:
            raise BadInput("line", f"{len(line)} bytes", f"at most {MAX_LINE}")
        try:
            text = line.decode(profile.encoding).rstrip("\r\n")
        except UnicodeDecodeError:
            shown = line.decode("latin-1").rstrip()
            raise BadInput("line", shown, f"text in {profile.encoding}") from None
        if profile.delimiter is None:
            return _split_at(text, profile.widths)
        reader = csv.reader(
            [text],
            delimiter=profile.delimiter,
            quotechar=profile.quote or None,
            quoting=csv.QUOTE_MINIMAL if profile.quote else csv.QUOTE_NONE,
            strict=True,
        )
        try:
            return [value.strip() for value in next(reader, [])]
        except csv.Error as error:
            raise BadInput("line", text, f"values that can be separated ({error})") from None

    def read(self, line: bytes) -> CdrRow:
        """The row of a line. Raises BadInput for the first thing that does not fit."""
        values = self.split(line)
        if self._width and len(values) != self._width:
            raise BadInput("line", f"{len(values)} values", f"{self._width}")
        if len(values) <= max(self._at.values()):
            raise BadInput("line", f"{len(values)} values", f"{max(self._at.values()) + 1}")
        row = {field: identifier(field, values[at]) for field, at in self._at.items()}
        if not row["callee"]:
            raise BadInput("callee", "", "a number")
        local, started_at = self._start(row)
        billsec = read_duration(row["duration"], self._profile)
        did = _did(row["did"]) if "did" in row else ""
        return CdrRow(
            identity=_identity(local, row["caller"], row["callee"], billsec),
            tenant=self._tenant(row, did),
            direction=self._direction(row, did),
            started_at=started_at,
            billsec=billsec,
            caller=row["caller"],
            callee=row["callee"],
            did=did,
            status=row.get("status", ""),
        )

    def _start(self, row: dict[str, str]) -> tuple[datetime, datetime]:
        """The start on the file's clock, and as an instant.

        When daylight saving repeats an hour, the first one is meant. A time that daylight saving
        skips is read with the offset before the change.
        """
        text = f"{row['start']} {row['time']}" if "time" in row else row["start"]
        for date_format in self._profile.dates:
            try:
                found = datetime.strptime(text, date_format)
            except ValueError:
                continue
            if not 2000 <= found.year < 2100:
                break
            aware = found.replace(tzinfo=self._zone) if found.tzinfo is None else found
            return aware.astimezone(self._zone).replace(tzinfo=None), aware.astimezone(UTC)
        expected = f"a time from 2000 to 2099 written as {' or '.join(self._profile.dates)}"
        raise BadInput("start", text, expected)

    def _tenant(self, row: dict[str, str], did: str) -> str:
        rule = self._profile.tenant
        if rule == "did":
            return did
        own = self._link.peer.upper()
        if rule == "link":
            return own
        peer = row["peer"].upper()
        if not _PEER.fullmatch(peer):
            raise BadInput("peer", row["peer"], "13 hex digits")
        if own and peer != own:
            raise BadInput("peer", row["peer"], f"the link's peer, {own}")
        return peer

    def _direction(self, row: dict[str, str], did: str) -> Direction:
        rule = self._profile.direction
        if rule.rule == "column":
            found = self._directions.get(row["direction"].casefold())
            if found is None:
                expected = f"one of {', '.join(rule.values)}"
                raise BadInput("direction", row["direction"], expected)
            return found
        if rule.rule == "did":
            return self._by_did(row["caller"], row["callee"], did)
        return rule.rule

    def _by_did(self, caller: str, callee: str, did: str) -> Direction:
        own = {_comparable(did)} if did else self._dids
        calls, called = _comparable(caller) in own, _comparable(callee) in own
        otherwise = self._profile.direction.otherwise
        if calls != called:
            return "outbound" if calls else "inbound"
        if calls or otherwise == "refuse":
            which = "both" if calls else "neither"
            raise BadInput(
                "caller, callee", f"{caller} to {callee}", f"one DID of ours, not {which}"
            )
        return otherwise


def read_duration(text: str, profile: Profile) -> int:
    """Whole seconds, 0 to a week; parts of a second are rounded half up. Raises BadInput."""
    unit = profile.duration_unit
    expected = f"a duration in {unit}, at most {MAX_BILLSEC} s"
    if unit in _CLOCK:
        clock = _CLOCK[unit].fullmatch(text)
        if clock is None:
            raise BadInput("duration", text, expected)
        part = {name: int(digits) for name, digits in clock.groupdict().items()}
        seconds = part.get("h", 0) * 3600 + part["m"] * 60 + part["s"]
    else:
        number = _decimal(text, profile)
        if number is None:
            raise BadInput("duration", text, expected)
        exact = number * 60 if unit == "minutes" else number
        seconds = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    if seconds > MAX_BILLSEC:
        raise BadInput("duration", text, expected)
    return seconds


def _decimal(text: str, profile: Profile) -> Decimal | None:
    """A number of at most 15 digits. Thousands separators are optional, but must be in place."""
    if profile.thousands and profile.thousands in text:
        whole = text.split(profile.decimal)[0]
        first, *groups = whole.split(profile.thousands)
        if not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups):
            return None
        text = whole.replace(profile.thousands, "") + text[len(whole) :]
    if profile.decimal != ".":
        if "." in text:
            return None
        text = text.replace(profile.decimal, ".")
    if len(text) > 15 or not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _split_at(text: str, widths: tuple[int, ...]) -> list[str]:
    values, start = [], 0
    for width in widths:
        values.append(text[start : start + width].strip())
        start += width
    if text[start:].strip():
        raise BadInput("line", f"{len(text)} characters", f"at most {start}")
    return values


def _position(column: Column, names: list[str] | None) -> int:
    if isinstance(column, int):
        return column - 1
    found = [at for at, name in enumerate(names or []) if name.casefold() == column.casefold()]
    if len(found) != 1:
        missing = "once, not twice" if found else "as well"
        raise BadInput("header", ", ".join(names or []), f"column {column} {missing}")
    return found[0]


def _did(text: str) -> str:
    digits = text.translate(_PUNCTUATION)
    if not _DID.fullmatch(digits):
        raise BadInput("did", text, "7 to 15 digits")
    return digits


def _comparable(number: str) -> str:
    """A number in the form in which DIDs are compared."""
    return without_country_code_1(number.translate(_PUNCTUATION))


def _identity(local: datetime, caller: str, callee: str, billsec: int) -> bytes:
    parts = (local.isoformat(), _number_form(caller), _number_form(callee), str(billsec))
    return sha256("\x1f".join(parts).encode()).digest()[:16]


def _number_form(text: str) -> str:
    digits = text.translate(_PUNCTUATION)
    return digits if digits.isdecimal() else text.casefold()
