"""Texts that a caller can choose: too long, or with NUL in it, is no way to a free call.

Such a record is not refused for them: they are cut and cleaned, and the call is rated. What says
which call it is and whose (ids, server, tenant) is never changed; there the record is refused.
"""

from typing import Any

import orjson

CALLERS = (
    "caller_name",
    "caller_number",
    "caller_destination",
    "destination_number",
    "source_number",
    "extension",
    "accountcode",
    "status",
    "hangup_cause",
    "sip_call_id",
)
MAX_CHARACTERS = 1000
INSTEAD_OF_NUL = "\ufffd"
"""Nothing is taken out, lest what is left be somebody's number."""


def cleaned(value: bytes) -> bytes | None:
    """The payload of a call with such texts cut and cleaned; None if nothing was to be done."""
    try:
        record: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    changed = False
    for name in CALLERS:
        text = record.get(name)
        if isinstance(text, str) and (len(text) > MAX_CHARACTERS or "\x00" in text):
            record[name] = text.replace("\x00", INSTEAD_OF_NUL)[:MAX_CHARACTERS]
            changed = True
    return orjson.dumps(record) if changed else None
