"""The names by which an operator finds a call or a ledger entry. Pure."""

from accounts.typed.short_ids import IdRange, id_range
from ringfence_contracts.errors import BadInput
from ringfence_contracts.ids import call_id

EXPECTED = "a call's or an entry's id, its first 8 digits, or ID@SERVER as the PBX numbers it"
_LEAST = 8
"""Digits at least: with millions of calls, fewer fit several."""


def read_call_name(text: str) -> IdRange:
    """The ids that `text` may mean. Raises BadInput for text of another form."""
    name = text.strip()
    source_call_id, at, server_id = name.rpartition("@")
    if at:
        if not (source_call_id and server_id):
            raise BadInput("call", text, EXPECTED)
        found = call_id(server_id, source_call_id)
        return IdRange(found, found)
    wanted = id_range(name)
    if wanted is None or len(name.replace("-", "")) < _LEAST:
        raise BadInput("call", text, EXPECTED)
    return wanted
