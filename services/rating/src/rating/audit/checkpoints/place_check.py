"""Checks I3 on the calls behind its checkpoint, and moves the checkpoint on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from rating.audit.checkpoints.store_places import AcceptedCall, PlacesStore
from rating.audit.finding import Check, OnProgress

_AT_ONCE = 5000
_MARGIN = timedelta(minutes=10)
"""A record is stored some time after its instant: what is younger is not sealed."""

_LOOK_EVERY_S = 0.5
_FIRST = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
_LAST = UUID(int=2**128 - 1)


def new_place_check() -> Check:
    """The check of I3, without findings."""
    return Check("I3", "every accepted call is rated, not billed, unrated or dead: one of them")


def differ(check: Check, call: AcceptedCall, places: int) -> None:
    """Add a call that is not in exactly one place."""
    found = "nowhere" if places == 0 else f"in {places} places"
    check.differs(f"call {call.call_id} of {call.server_id}: found {found}")


class PlaceCheck:
    """One run over the accepted calls. Calls in flight get `wait_s` seconds to arrive.

    `in_flight_s`: calls that were accepted within this time are left out.
    """

    def __init__(
        self, store: PlacesStore, *, wait_s: float, on_progress: OnProgress, in_flight_s: float = 0
    ) -> None:
        self._store = store
        self._wait_s = wait_s
        self._on_progress = on_progress
        self._in_flight = timedelta(seconds=in_flight_s)
        self._wrong: dict[UUID, AcceptedCall] = {}
        self._seal_before = _FIRST[0]
        self._unsealed: list[tuple[AcceptedCall, bool]] = []

    async def run(self) -> Check:
        """Look at the calls behind the checkpoint, and at those before it that were open."""
        sealed_upto, records, now = await self._store.checkpoint()
        upto = now - self._in_flight
        await self._look_at_open(upto)
        self._seal_before = now - _MARGIN
        after = _FIRST if sealed_upto is None else (sealed_upto, _LAST)
        counted = records
        while page := await self._store.accepted(after, upto, _AT_ONCE):
            self._on_progress("calls", counted - records, None)
            await self._look_at(page)
            counted += len(page)
            after = page[-1].accepted_at, page[-1].call_id
        await self._seal(self._seal_before)
        check = new_place_check()
        check.counted = f"{counted} records"
        for call, places in await self._still_wrong():
            differ(check, call, places)
        return check

    async def _look_at_open(self, upto: datetime) -> None:
        calls = [call for call in await self._store.open_calls() if call.accepted_at <= upto]
        for first in range(0, len(calls), _AT_ONCE):
            page = calls[first : first + _AT_ONCE]
            found = await self._store.places(page)
            self._wrong |= {c.call_id: c for c in page if found[c.call_id].places != 1}
            await self._store.close([c.call_id for c in page if found[c.call_id] == (1, 1)])

    async def _look_at(self, page: Sequence[AcceptedCall]) -> None:
        """Check a page, and seal what is before its last instant, which may go on behind it."""
        found = await self._store.places(page)
        for call in page:
            where = found[call.call_id]
            if where.places != 1:
                self._wrong[call.call_id] = call
                self._seal_before = min(self._seal_before, call.accepted_at)
            if call.accepted_at < self._seal_before:
                self._unsealed.append((call, where.settled > 0))
        await self._seal(page[-1].accepted_at)

    async def _seal(self, before: datetime) -> None:
        """Seal what was checked before an instant, as whole instants."""
        end = min(before, self._seal_before)
        ready = [(call, settled) for call, settled in self._unsealed if call.accepted_at < end]
        if ready:
            upto = ready[-1][0].accepted_at
            waiting = [call.call_id for call, settled in ready if not settled]
            await self._store.seal(upto, len(ready), waiting)
            self._unsealed = self._unsealed[len(ready) :]

    async def _still_wrong(self) -> list[tuple[AcceptedCall, int]]:
        """Those that are still not in one place when their time is over."""
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while True:
            calls = list(self._wrong.values())
            found = await self._store.places(calls) if calls else {}
            wrong = [(c, found[c.call_id].places) for c in calls if found[c.call_id].places != 1]
            if not wrong or asyncio.get_running_loop().time() >= deadline:
                return wrong
            await asyncio.sleep(_LOOK_EVERY_S)
