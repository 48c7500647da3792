"""Vodia: the calls that its REST interface lists, page by page.

The list takes neither times nor an order to be asked for, so a read pages on until a page holds
nothing new within the window (`paging` says when that is safe). Calls that come in meanwhile
push others to the next page, where they are met again: every record is given once. Where the list
does not run from new to old, records that expire meanwhile pull others to the page before, where
they would be missed: so what found anything new is read again, until a reading finds nothing.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from cdr_ingest.sources.source import BadRow, SourceRecord, record_id
from cdr_ingest.vodia.paging import ListOrder, Times, contradicts, order_of, reaches_back
from cdr_ingest.vodia.rows import read_record, written
from ringfence_contracts.errors import Retry, shown
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.decimal_json import Json
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaApi

MAX_PAGES = 5000
"""A list of more pages than this is taken for one that never ends."""

MAX_READINGS = 3

FindKnown = Callable[[Sequence[UUID]], Awaitable[set[UUID]]]
"""Returns those of the ids whose records were accepted before."""


@dataclass
class _Lane:
    """What is remembered of a tenant's list between two reads."""

    order: ListOrder = ListOrder.NONE
    last_page: int = 1


@dataclass
class _Read:
    """One read of a tenant's list within a window, in one or more readings of its pages.

    `given` are the records given so far, with what the list calls each; `met` is what the present
    reading has met, `times` in the order met, `new` how many of them nobody knew.
    """

    tenant: str
    start_epoch: int
    stop_epoch: int
    given: dict[UUID, str] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    times: list[Times] = field(default_factory=list)
    pages: int = 0
    new: int = 0

    def begin(self) -> None:
        """Another reading."""
        self.met, self.times, self.pages, self.new = set(), [], 0, 0

    def holds(self, record: SourceRecord) -> bool:
        """Whether it belongs to the window; what can not be read might."""
        if not isinstance(record, CallCompleted):
            return True
        return self.start_epoch <= int(record.started_at.timestamp()) <= self.stop_epoch

    def told_apart(self, name: str, raw: Json, record: SourceRecord) -> SourceRecord:
        """The record; or a row to park, if another one has the same call id."""
        other = self.given.get(record_id(record), name)
        if other == name or not isinstance(record, CallCompleted):
            return record
        reason = f"call_id: got {shown(record.source_call_id)}, expected one that is not {other}'s"
        return BadRow(record.server_id, self.tenant, written(raw), 0, reason)


@dataclass(frozen=True)
class _Page:
    """A page: what is to be given of it, how much of that is new, and when all its calls were."""

    within: list[SourceRecord]
    new: int
    times: list[Times]

    def ends(self, order: ListOrder, start_epoch: int) -> bool:
        """Whether nothing new for the window can lie beyond it."""
        return not self.new and reaches_back(self.times, order, start_epoch)


class VodiaSource:
    """One Vodia PBX; a lane is a tenant. Raises BadInput when there is no password.

    `find_known` is called for each page: records that were accepted before do not count as new.
    """

    def __init__(self, server_id: str, server: VodiaServer, *, find_known: FindKnown) -> None:
        self._server_id = server_id
        self._size = server.page_size
        self._api = VodiaApi(server_id, server)
        self._find_known = find_known
        self._lanes: dict[str, _Lane] = {tenant: _Lane() for tenant in server.tenants}

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self._server_id

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.aclose()

    async def records(
        self, lane: str, start_epoch: int, stop_epoch: int
    ) -> AsyncGenerator[SourceRecord, None]:
        """The records of the calls that started within the window (see `Source.records`)."""
        state, read = self._lanes[lane], _Read(lane, start_epoch, stop_epoch)
        for _ in range(MAX_READINGS):
            read.begin()
            upwards = state.order is ListOrder.OLDEST_FIRST
            way = self._backward(read, state) if upwards else self._forward(read, state)
            async with aclosing(way) as found:
                async for record in found:
                    yield record
            if upwards and state.order is not ListOrder.OLDEST_FIRST:
                continue
            if state.order is ListOrder.NEWEST_FIRST or not read.new or read.pages < 3:
                return

    async def _forward(
        self, read: _Read, state: _Lane, first_page: int = 1
    ) -> AsyncGenerator[SourceRecord, None]:
        """From a page on, to the list's end or to where nothing new can follow."""
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

    async def _backward(self, read: _Read, state: _Lane) -> AsyncGenerator[SourceRecord, None]:
        """From the end back to where nothing new can precede, then whatever was added since."""
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
        """One page; None when it holds nothing, or nothing that this reading has not met."""
        listed = await self._api.cdrs(read.tenant, page=number, size=self._size)
        read.pages += 1
        names = [_listed_name(raw) for raw in listed]
        if not set(names) - read.met:
            return None
        read.met |= set(names)
        within: dict[UUID, SourceRecord] = {}
        times = []
        for place, (name, raw) in enumerate(zip(names, listed, strict=True), start=1):
            record = read_record(self._server_id, read.tenant, raw, place)
            if isinstance(record, CallCompleted):
                times.append(Times(record.started_at, record.ended_at))
            record = read.told_apart(name, raw, record)
            if read.holds(record) and record_id(record) not in read.given:
                within[record_id(record)] = record
                read.given[record_id(record)] = name
        known = await self._find_known(list(within)) if within else set()
        read.times += times
        read.new += len(within.keys() - known)
        return _Page(list(within.values()), len(within.keys() - known), times)


def _listed_name(raw: Json) -> str:
    """What the list calls a record: its id, or without one all that it says."""
    named = raw.get("id") if isinstance(raw, dict) else None
    return written(raw).decode("utf-8", "replace") if named in (None, "") else f"record {named}"
