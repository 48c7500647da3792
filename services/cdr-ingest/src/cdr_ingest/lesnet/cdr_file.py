"""A complete Les.net CDR file: its lines as records, and whether its format fits: pure.

A single line that does not fit becomes a dead letter. Many of them mean that the format changed;
then nothing of the file is ingested.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO

from cdr_ingest.lesnet.rows import MAX_LINE, Link, RowReader
from cdr_ingest.sources.source import BadRow
from ringfence_contracts.errors import BadInput, Retry, RingfenceError
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.lesnet.profile import Profile

EXAMPLES = 20
_BOM = b"\xef\xbb\xbf"
_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


class NotAFile(RingfenceError):
    """The body is a web page, not a CDR file."""


class CutOff(Retry):
    """The file is incomplete."""


class CdrFile:
    """The records of a file's body.

    Raises NotAFile, CutOff, and BadInput for a header that does not fit.
    """

    def __init__(self, body: bytes, *, server_id: str, link: Link, profile: Profile) -> None:
        if _PAGE.match(body):
            raise NotAFile("a web page came instead of a CDR file: does it want a login?")
        if profile.ends_in_newline and body.strip() and not body.endswith(b"\n"):
            raise CutOff(
                "the file does not end in a newline, so it was cut off; if whole files end so, "
                "set ends_in_newline = false in the profile"
            )
        self._body = body
        self._server_id = server_id
        self._link = link
        self._skip = re.compile(profile.skip.encode(profile.encoding)) if profile.skip else None
        self._header = self._first_line() if profile.header else None
        empty = profile.header and self._header is None
        self._reader = None if empty else RowReader(profile, link, self._header)

    def records(self) -> Iterator[CallCompleted | BadRow]:
        """Each line as a call or as a bad row, without blank lines and headers.

        Every iteration yields the same records.
        """
        if self._reader is None:
            return
        seen: Counter[bytes] = Counter()
        for number, line in self._lines():
            if line == self._header:
                continue
            try:
                row = self._reader.read(line)
            except BadInput as error:
                raw = line.rstrip(b"\r\n")[:MAX_LINE]
                tenant = self._link.peer.upper() or "*"
                yield BadRow(self._server_id, tenant, raw, number, str(error))
            else:
                seen[row.identity] += 1
                yield row.call(self._server_id, self._link.known_as, seen[row.identity])

    def _first_line(self) -> bytes | None:
        return next((line for _, line in self._lines()), None)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(BytesIO(self._body.removeprefix(_BOM)), 1):
            if line.strip() and not (self._skip and self._skip.search(line)):
                yield number, line


@dataclass
class Report:
    """How many lines of a file fit the profile, and examples of those that do not."""

    fits: int = 0
    unfit: int = 0
    repeated: int = 0
    newest_at: datetime | None = None
    examples: list[tuple[int, str]] = field(default_factory=list)
    """The number and the reason of each of the first lines that do not fit."""

    def add(self, records: Iterable[CallCompleted | BadRow]) -> None:
        """Count these records."""
        for record in records:
            if isinstance(record, BadRow):
                self.unfit += 1
                if len(self.examples) < EXAMPLES:
                    self.examples.append((record.line_number, record.reason))
                continue
            self.fits += 1
            self.repeated += not record.source_call_id.endswith(":1")
            if self.newest_at is None or record.started_at > self.newest_at:
                self.newest_at = record.started_at

    @property
    def unfit_percent(self) -> float:
        """The share of lines that do not fit."""
        lines = self.fits + self.unfit
        return 100 * self.unfit / lines if lines else 0.0

    def refusal(self, max_unfit_percent: float) -> str | None:
        """Why the whole file is refused, or None."""
        if self.unfit_percent <= max_unfit_percent:
            return None
        line, reason = self.examples[0]
        return (
            f"the format changed, or the profile is wrong: {self.unfit} of {self.fits + self.unfit}"
            f" lines ({self.unfit_percent:.1f} %) do not fit, more than {max_unfit_percent:g} %;"
            f" the first is line {line}: {reason}"
        )
