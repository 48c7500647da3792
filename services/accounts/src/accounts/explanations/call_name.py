"""The names by which an operator finds a call or a ledger entry. Pure."""

from typing import NamedTuple
from uuid import UUID

from ringfence_contracts.errors import BadInput
from ringfence_contracts.ids import call_id

EXPECTED = "a call's or an entry's id, its first 8 digits, or ID@SERVER as the PBX numbers it"
_SHORTEST = 8
_LONGEST = 32
_DIGITS = frozenset("0123456789abcdef")


class NamedIds(NamedTuple):
    """The ids that a name may mean: from `first` to `last`; equal for a whole id."""

    first: UUID
    last: UUID

    @property
    def is_whole(self) -> bool:
        """Whether it has one id."""
        return self.first == self.last


def read_call_name(text: str) -> NamedIds:
    """The ids that `text` may mean. Raises BadInput for text of another form."""
    name = text.strip()
    source_call_id, at, server_id = name.rpartition("@")
    if at:
        if not (source_call_id and server_id):
            raise BadInput("call", text, EXPECTED)
        found = call_id(server_id, source_call_id)
        return NamedIds(found, found)
    digits = name.replace("-", "").lower()
    if not _SHORTEST <= len(digits) <= _LONGEST or not set(digits) <= _DIGITS:
        raise BadInput("call", text, EXPECTED)
    return NamedIds(UUID(digits.ljust(_LONGEST, "0")), UUID(digits.ljust(_LONGEST, "f")))
