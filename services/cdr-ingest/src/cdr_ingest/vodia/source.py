"""The source of calls that pages through the list of Vodia's REST interface.

The list can be filtered neither by time nor by order, so a read continues until a page holds
nothing new within the window (`paging` says when that is safe). The list changes while it is read:

- New calls push others to the next page, where they are seen again. Every record is yielded once.
- Unless the list runs from new to old, expired calls pull others to the previous page, where they
  would be missed. So a pass that found something new is repeated until a pass finds nothing new.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from cdr_ingest.sources.source import BadRow, SourceRecord, record_id
from cdr_ingest.vodia.paging import ListOrder, Times, contradicts, order_of, reaches_back
from cdr_ingest.vodia.rows import read_record, way_out, written
from ringfence_contracts.errors import Retry, shown
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.decimal_json import Json
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaApi

MAX_PAGES = 5000
"""A list with more pages than this counts as endless, and the read fails."""

MAX_PASSES = 3

FindKnown = Callable[[Sequence[UUID]], Awaitable[set[UUID]]]
"""Returns those of the ids whose records were accepted before."""


@dataclass
class _ListState:
    """What is known about a tenant's list from earlier reads."""

    order: ListOrder = ListOrder.NONE
    last_page: int = 1


@dataclass
class _Read:
    """One read of a tenant's list for a window, in one or more passes over its pages.

    `yielded` maps the ids of the records yielded so far to their names in the list. The rest is of
    the current pass: `seen` holds the names of its records, `times` their times in the order of
    the list, `pages` the number of pages read, and `new` the number of records not accepted before.
    """

    tenant: str
    start_epoch: int
    stop_epoch: int
    yielded: dict[UUID, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    times: list[Times] = field(default_factory=list)
    pages: int = 0
    new: int = 0

    def begin_pass(self) -> None:
        """Begin another pass."""
        self.seen, self.times, self.pages, self.new = set(), [], 0, 0

    def holds(self, record: SourceRecord) -> bool:
        """Whether the record belongs to the window; a bad row may, so it does."""
        if not isinstance(record, CallCompleted):
            return True
        return self.start_epoch <= int(record.started_at.timestamp()) <= self.stop_epoch

    def checked(self, name: str, raw: Json, record: SourceRecord) -> SourceRecord:
        """The record; or a bad row if another listed record has the same call id."""
        other = self.yielded.get(record_id(record), name)
        if other == name or not isinstance(record, CallCompleted):
            return record
        reason = f"call_id: got {shown(record.source_call_id)}, expected one that is not {other}'s"
        return BadRow(record.server_id, self.tenant, written(raw), 0, reason)


@dataclass(frozen=True)
class _Page:
    """A page: its records within the window, how many are new, and the times of all its calls."""

    within: list[SourceRecord]
    new: int
    times: list[Times]

    def ends(self, order: ListOrder, start_epoch: int) -> bool:
        """Whether no new record of the window can be beyond this page."""
        return not self.new and reaches_back(self.times, order, start_epoch)


class VodiaSource:
    """One Vodia PBX; a feed is a tenant. Raises BadInput when the password is missing.

    `find_known` is called for each page: records that were accepted before do not count as new.
    """

    def __init__(self, server_id: str, server: VodiaServer, *, find_known: FindKnown) -> None:
        self._server_id = server_id
        self._size = server.page_size
        self._posts_ways_out = server.push is not None and server.call_key == "CallID"
        self._api = VodiaApi(server_id, server)
        self._find_known = find_known
        self._states = {tenant: _ListState() for tenant in server.tenants}

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self._server_id

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def records(
        self, feed: str, start_epoch: int, stop_epoch: int, least_s: int = 0
    ) -> AsyncGenerator[SourceRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        state, read = self._states[feed], _Read(feed, start_epoch, stop_epoch)
        for _ in range(MAX_PASSES):
            read.begin_pass()
            is_backward = state.order is ListOrder.OLDEST_FIRST
            reading = self._backward(read, state) if is_backward else self._forward(read, state)
            async with aclosing(reading) as found:
                async for record in found:
                    yield record
            if is_backward and state.order is not ListOrder.OLDEST_FIRST:
                continue
            if state.order is ListOrder.NEWEST_FIRST or not read.new or read.pages < 3:
                return

    async def _forward(
        self, read: _Read, state: _ListState, first_page: int = 1
    ) -> AsyncGenerator[SourceRecord, None]:
        """Read from a page on, to the end of the list or until nothing new can follow."""
        for number in range(first_page, MAX_PAGES):
            page = await self._page(read, number)
            if page is None:
                return
            state.last_page = number
            for record in page.within:
                yield record
            if first_page == 1:
                state.order = order_of(read.times)
            if state.order is ListOrder.NEWEST_FIRST and page.ends(state.order, read.start_epoch):
                return
        raise Retry(f"{self._server_id}: the list of {read.tenant}'s calls has no end")

    async def _backward(self, read: _Read, state: _ListState) -> AsyncGenerator[SourceRecord, None]:
        """Read from the last page back until nothing new can precede, then pages added since."""
        for number in range(state.last_page, 0, -1):
            page = await self._page(read, number)
            if page is None:
                state.last_page = max(1, number - 1)
                continue
            for record in page.within:
                yield record
            if contradicts(page.times):
                state.order = ListOrder.NONE
                return
            if page.ends(state.order, read.start_epoch):
                break
        async with aclosing(self._forward(read, state, state.last_page + 1)) as added:
            async for record in added:
                yield record

    async def _page(self, read: _Read, number: int) -> _Page | None:
        """One page; None if it is empty or holds only records that this pass has seen."""
        listed = await self._api.cdrs(read.tenant, page=number, size=self._size)
        read.pages += 1
        names = [_listed_name(raw) for raw in listed]
        if not set(names) - read.seen:
            return None
        read.seen |= set(names)
        within: dict[UUID, SourceRecord] = {}
        times = []
        for position, (name, raw) in enumerate(zip(names, listed, strict=True), start=1):
            record = read_record(self._server_id, read.tenant, raw, position)
            if isinstance(record, CallCompleted):
                times.append(Times(record.started_at, record.ended_at))
            record = read.checked(name, raw, record)
            if read.holds(record) and record_id(record) not in read.yielded:
                for each in (record, self._way_out(record, raw)):
                    if each is not None:
                        within[record_id(each)] = each
                        read.yielded[record_id(each)] = name
        known = await self._find_known(list(within)) if within else set()
        read.times += times
        read.new += len(within.keys() - known)
        return _Page(list(within.values()), len(within.keys() - known), times)

    def _way_out(self, record: SourceRecord, raw: Json) -> SourceRecord | None:
        if self._posts_ways_out or not isinstance(record, CallCompleted):
            return None
        return way_out(record, raw)


def _listed_name(raw: Json) -> str:
    """The name of a record: its id in the list or, without one, its content."""
    named = raw.get("id") if isinstance(raw, dict) else None
    return written(raw).decode("utf-8", "replace") if named in (None, "") else f"record {named}"
