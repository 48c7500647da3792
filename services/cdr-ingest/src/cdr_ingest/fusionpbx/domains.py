"""The names of a FusionPBX's domains by their uuids, from the page that superadmins alone write.

The export signs `domain_uuid` and cannot sign `domain_name`, so the name in a row is compared with
this page's.
"""

import time
from collections.abc import Callable

from ringfence_contracts.errors import RingfenceError
from ringfence_pbx.fusionpbx.session import FusionPbxSession

REFRESH_S = 300.0
"""A domain that is not known is looked up at most this often."""


class DomainNames:
    """The names, read when one is needed that is not known."""

    def __init__(
        self, session: FusionPbxSession, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._monotonic = monotonic
        self._names: dict[str, str] = {}
        self._read_at: float | None = None

    async def name(self, uuid: str) -> str:
        """The name in lower case; empty if there is no such domain or the page cannot be read."""
        uuid = uuid.lower()
        now = self._monotonic()
        if uuid not in self._names and (self._read_at is None or now - self._read_at >= REFRESH_S):
            self._read_at = now
            await self._read()
        return self._names.get(uuid, "")

    async def _read(self) -> None:
        try:
            listed = await self._session.list_rows("domains")
        except RingfenceError:
            return  # the rows are confirmed one by one instead
        self._names = {row.uuid: row.name.lower() for row in listed.rows.values()}
