"""Downloads a domain's extensions and destinations: their stored values, as CSV.

PHP's own CSV writer produces the file, so quotes and line breaks within a value are escaped. The
file silently lacks the columns that a version does not have.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence

from ringfence_pbx.fusionpbx.connection import PageResponse
from ringfence_pbx.fusionpbx.lists import ListSession

DOWNLOAD = "/app/extensions/extension_download.php"
DESTINATIONS = "/app/destinations/destination_download.php"
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
"""The requested columns: every value that a select of the form may hold, and no password."""

DESTINATION_COLUMNS = ("destination_uuid", "destination_number", "destination_actions")

Row = Mapping[str, str]


async def download(
    session: ListSession, path: str, columns: Sequence[str], needed: Collection[str]
) -> list[Row] | None:
    """The rows of the domain that the session is in; None without the right to download them.

    Raises Retry when the answer is not a file with the columns `needed`.
    """
    if session.held_token(path) is None:
        page = await session.page("GET", path)
        if page.denied:
            return None
    answer = await _posted(session, path, columns)
    if answer.redirects:  # the token belonged to an earlier login
        await session.page("GET", path)
        answer = await _posted(session, path, columns)
    if answer.denied:
        return None
    rows = None if answer.redirects else read_download(answer.text, needed)
    if rows is None:
        raise session.unexpected("a download", answer)
    return rows


async def _posted(session: ListSession, path: str, columns: Sequence[str]) -> PageResponse:
    token = session.held_token(path)
    form = [(token.name, token.value)] if token else []
    form += [("column_group[]", column) for column in columns]
    answer = await session.page("POST", path, form=form)
    session.used_token(path)
    return answer


def read_download(text: str, needed: Collection[str]) -> list[Row] | None:
    """The rows of a file; None when the text is not a complete file with the columns `needed`.

    An empty text is the file of a domain without rows.
    """
    if not text.strip():
        return []
    if text.lstrip().startswith("<"):
        return None
    rows: list[Row] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if not set(header) >= set(needed):
            return None
        for cells in reader:
            if len(cells) != len(header):
                return None
            rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error:
        return None
    # An incomplete file ends within a line.
    return rows if text.endswith("\n") else None
