"""Texts that a caller can choose: a text that is too long or holds NUL must not make a call free.

Such a text is cut and cleaned, and the call is rated. Fields that identify the call and its tenant
(ids, server, tenant) are never changed: a record in which they are invalid is rejected.
"""

from typing import Any

import orjson

CALLER_FIELDS = (
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
    "ani_ii",
)
MAX_CHARACTERS = 1000
NUL_REPLACEMENT = "\ufffd"
"""NUL is replaced, not removed: without it a text might become another number."""


def cleaned_record(value: bytes) -> bytes | None:
    """The payload of a call with such texts cut and cleaned; None if nothing had to be changed."""
    try:
        record: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    changed = False
    for name in CALLER_FIELDS:
        text = record.get(name)
        if isinstance(text, str) and (len(text) > MAX_CHARACTERS or "\x00" in text):
            record[name] = text.replace("\x00", NUL_REPLACEMENT)[:MAX_CHARACTERS]
            changed = True
    try:
        return orjson.dumps(record) if changed else None
    except orjson.JSONEncodeError:  # nested deeper than orjson writes: no reader accepts it
        return None
