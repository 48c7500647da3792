"""The download of a domain's extensions: the stored values of all of them, as CSV.

It is written by PHP's own CSV writer, so quotes and line breaks within a value are safe. Columns
that a version does not have are left out of the file without a word.
"""

import csv
import io
from collections.abc import Mapping

DOWNLOAD = "/app/extensions/extension_download.php"
COLUMNS = (
    "extension_uuid",
    "domain_uuid",
    "extension",
    "toll_allow",
    "enabled",
    "accountcode",
    "user_context",
    "effective_caller_id_name",
    "effective_caller_id_number",
    "outbound_caller_id_name",
    "outbound_caller_id_number",
    "emergency_caller_id_name",
    "emergency_caller_id_number",
    "directory_visible",
    "directory_exten_visible",
    "limit_max",
    "limit_destination",
    "missed_call_app",
    "call_group",
    "call_screen_enabled",
    "user_record",
    "hold_music",
    "sip_force_contact",
    "sip_bypass_media",
)
"""What is asked for: all that a list to choose from in the form may hold, and no password."""

_NEEDED = {"extension_uuid", "extension", "toll_allow"}


def read_download(text: str) -> dict[str, Mapping[str, str]] | None:
    """The rows by `extension_uuid`, or None when the text is no such file.

    An empty text is the file of a domain without extensions.
    """
    if not text.strip():
        return {}
    if text.lstrip().startswith("<"):
        return None
    rows: dict[str, Mapping[str, str]] = {}
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if not set(header) >= _NEEDED:
            return None
        for cells in reader:
            if len(cells) != len(header):
                return None
            row = dict(zip(header, cells, strict=True))
            rows[row["extension_uuid"].lower()] = row
    except csv.Error:
        return None
    # A file that was cut off ends within a line.
    return rows if text.endswith("\n") else None
