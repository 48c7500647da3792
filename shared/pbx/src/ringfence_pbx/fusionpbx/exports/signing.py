"""Signs the rows of FusionPBX's export of calls, in the PBX's own database. Pure.

The export escapes nothing, so a text of a tenant can hold a whole row. FusionPBX's default setting
category `cdr`, subcategory `export`, name `array` takes SQL expressions that the export selects; an
expression with the name of an existing column replaces it. So two things are entered there:

- each column that a tenant or a telephone can write is selected without quotes and control
  characters, so that a row is one line which can be split;
- a signature of the columns on which a charge depends, with a secret that only superadmins of the
  PBX can read. A row that was written into a text cannot carry a right signature.

`domain_name` cannot be replaced this way. `domain_uuid` is signed, and the name must be looked up.
Somebody who sees a signature can copy it with its values, which then are the row of a real call.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

SIGNATURE = "ringfence_signature"
"""The name of the column."""

LEG_COLUMNS = ("originating_leg_uuid", "cc_member_session_uuid")
"""The columns that say to which call a leg, or an agent of a queue, belongs; the export shows them
only if they are entered. They are not signed: no text can hold them, and rows that were signed
without them stay valid."""

MIN_SECRET = 32
_UNIT = "chr(31)"
"""Between two values of the signed text: a control character, which no cleaned value can hold."""

_NOT_CLEAN = '["[:cntrl:]]'
_TEXTS = {
    "sip_call_id": "c.sip_call_id",
    "extension": "e.extension",
    "extension_name": "e.effective_caller_id_name",
    "caller_id_name": "c.caller_id_name",
    "caller_id_number": "c.caller_id_number",
    "caller_destination": "c.caller_destination",
    "source_number": "c.source_number",
    "destination_number": "c.destination_number",
    "accountcode": "c.accountcode",
}
"""The columns that are cleaned, each with its place in the export's query."""

SIGNED = (
    *("xml_cdr_uuid", "domain_uuid", "direction", "leg", "start_epoch", "duration", "billsec"),
    *("answer_stamp", "end_stamp", "extension", "accountcode", "caller_destination"),
    *("source_number", "destination_number", "caller_id_number"),
)
"""The columns that are signed: all on which a charge depends."""


class DefaultSetting(NamedTuple):
    """A default setting of FusionPBX, as its page takes it."""

    category: str
    subcategory: str
    name: str
    value: str


def export_settings(secret: str) -> list[DefaultSetting]:
    """The settings that clean and sign the export; one holds the secret."""
    values = [f"{_cleaned(name)} as {name}" for name in _TEXTS]
    signed = f" || {_UNIT} || ".join(_selected(name) for name in SIGNED)
    quoted = "'" + secret.replace("'", "''") + "'"
    values += [f"coalesce(c.{name}::text, '') as {name}" for name in LEG_COLUMNS]
    values.append(f"md5({quoted} || {_UNIT} || {signed} || {_UNIT} || {quoted}) as {SIGNATURE}")
    return [DefaultSetting("cdr", "export", "array", value) for value in values]


def is_signed(row: Mapping[str, str], secret: str) -> bool:
    """Whether a row, given by column names, has the signature of its values."""
    signature = row.get(SIGNATURE, "")
    signed = [row.get(name, "") for name in SIGNED]
    text = "\x1f".join((secret, *signed, secret))
    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(signature.encode(), expected.encode())


def _selected(name: str) -> str:
    return _cleaned(name) if name in _TEXTS else f"coalesce(c.{name}::text, '')"


def _cleaned(name: str) -> str:
    """A value without quotes and control characters: each becomes a blank."""
    return f"regexp_replace(coalesce({_TEXTS[name]}, ''), '{_NOT_CLEAN}', ' ', 'g')"
