"""Has the rows of a feed confirmed by their source before they are ingested.

For each row that is new:

1. A call that the PBX holds is found by its id, and read from the export of that call alone.
2. If the PBX finds no such call although it finds one that it holds for certain, the row waits.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

import structlog

from cdr_ingest.confirmation.readings import OneCall, talk_time
from cdr_ingest.confirmation.store import UnconfirmedStore
from cdr_ingest.confirmation.unconfirmed import (
    UnconfirmedReason,
    UnconfirmedRow,
    row_id,
    waiting_row,
)
from cdr_ingest.ingest import Ingester
from cdr_ingest.metrics import UNCONFIRMED
from cdr_ingest.polling.guarded import SourceReadError
from cdr_ingest.sources.source import BadRow, ListedRecord, SourceRecord, UnprovenRow, record_id
from ringfence.clock import Clock
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import Retry
from ringfence_contracts.ids import call_id
from ringfence_pbx.errors import Refused

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_IDS = 50
"""Ids in an unreadable row that are asked for: the first and the last half of so many."""

_REMEMBERED = 100_000
_KNOWN_CALLS = 8
_PROOFS = 3
log = structlog.get_logger()
_Kept = TypeVar("_Kept", bound=Hashable)


class ConfirmingSource(Protocol):
    """A source that can be asked for one call."""

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        ...

    async def one_call(self, feed: str, uuid: str, *, dialled: str = "") -> OneCall | None:
        """The call with this id (and, if given, this number); None if the PBX finds none.

        Raises Retry or Refused when the PBX cannot be asked.
        """
        ...


@dataclass
class _Asked:
    """What came of a row: calls to ingest, or why it waits."""

    records: list[SourceRecord] = field(default_factory=list)
    reason: UnconfirmedReason = "not-confirmed"
    detail: str = ""
    billsec: int = 0
    is_held: bool = False


class RowConfirmer:
    """Confirms the rows of one feed. `known` are calls that the PBX holds for certain."""

    def __init__(
        self,
        source: ConfirmingSource,
        feed: str,
        *,
        ingester: Ingester,
        store: UnconfirmedStore,
        clock: Clock,
    ) -> None:
        self._source = source
        self._feed = feed
        self._ingester = ingester
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, None] = OrderedDict()
        self._done: OrderedDict[UUID, None] = OrderedDict()
        self._results: OrderedDict[UUID, list[UUID]] = OrderedDict()
        self._not_held: OrderedDict[str, None] = OrderedDict()

    async def confirm(self, records: Sequence[ListedRecord]) -> list[SourceRecord]:
        """The believed records; rows that are not confirmed are saved as waiting."""
        believed = [record for record in records if not isinstance(record, UnprovenRow)]
        listed = {row_id(row): row for row in records if isinstance(row, UnprovenRow)}
        fresh = await self._fresh({i: r for i, r in listed.items() if i not in self._done})
        if not fresh:
            return believed
        is_proven = await self._finds_known_calls()
        asked = dict(
            zip(fresh, await _gathered([self._ask(r) for r in fresh.values()]), strict=True)
        )
        if not is_proven and not any(each.is_held for each in asked.values()):
            raise self._finds_none()
        now = self._clock.now()
        waiting = [
            waiting_row(fresh[i], self._feed, a.reason, a.detail, a.billsec, now)
            for i, a in asked.items()
            if not a.records
        ]
        await self._store.save(waiting)
        _remember(self._done, [row.row_id for row in waiting], _REMEMBERED)
        for key, each in asked.items():
            if each.records:  # ingested after this: the row is done when they are
                self._results[key] = [record_id(record) for record in each.records]
        while len(self._results) > _REMEMBERED:
            self._results.popitem(last=False)
        _report(waiting)
        return believed + [record for each in asked.values() for record in each.records]

    async def check_empty_list(self) -> None:
        """Raise SourceReadError if an empty list may have another cause than that nobody calls."""
        if not await self._finds_known_calls():
            raise self._finds_none()

    async def ask_again(self, row: UnconfirmedRow) -> UUID | None:
        """Ask for a waiting row again, and ingest its call; the call's id, None if it waits on."""
        self._not_held.clear()
        raw = row.row_text.encode()
        reading = BadRow(row.server_id, row.tenant, raw, 0, row.detail)
        asked = await self._ask(UnprovenRow(reading, raw, row.source_call_id))
        calls = [record for record in asked.records if not isinstance(record, BadRow)]
        if not calls:
            return None
        await self._ingester.ingest(calls)
        return record_id(calls[0])

    async def _finds_known_calls(self) -> bool:
        """Whether the PBX still finds a call that it found before; true if none is known.

        An empty answer has more causes than a call that does not exist: a right that the key's user
        lost, or a broken default setting of the export.
        """
        known = list(reversed(self._known))[:_PROOFS]
        for number, uuid in enumerate(known):
            if await self._one_call(uuid) is not None:
                for missing in known[:number]:
                    self._known.pop(missing, None)
                return True
        return not known

    def _finds_none(self) -> SourceReadError:
        return SourceReadError(
            Retry(
                f"{self._source.server_id}: finds none of the calls that it held before: does the"
                " key's user still have the rights xml_cdr_all and xml_cdr_domain, and is the"
                " default setting cdr/export of FusionPBX right?"
            )
        )

    async def _fresh(self, rows: dict[UUID, UnprovenRow]) -> dict[UUID, UnprovenRow]:
        """The rows that claim a call which is neither ingested nor known to wait."""
        ids = {i: self._results.get(i) or _claimed(row) for i, row in rows.items()}
        known = await self._ingester.known_ids([each for found in ids.values() for each in found])
        open_ids = [i for i, found in ids.items() if not found or not known.issuperset(found)]
        waiting = await self._store.known_ids(open_ids) if open_ids else set()
        _remember(self._done, (rows.keys() - set(open_ids)) | waiting, _REMEMBERED)
        return {i: rows[i] for i in open_ids if i not in waiting}

    async def _ask(self, row: UnprovenRow) -> _Asked:
        """Ask for the call that a row claims, or for every id in a row that cannot be read."""
        if row.source_call_id:
            return await self._ask_for(row.source_call_id, row)
        asked = _Asked(reason="unreadable", detail=_unreadable(row))
        for uuid in _ids_in(row):
            if uuid in self._not_held:
                continue
            one = await self._ask_for(uuid, row)
            asked.records += one.records
            asked.is_held = asked.is_held or one.is_held
            asked.billsec = max(asked.billsec, one.billsec, _talk_time(row, uuid))
            asked.detail = one.detail if one.reason == "unreadable" else asked.detail
        if not asked.records and not asked.billsec and isinstance(row.reading, BadRow):
            asked.records.append(row.reading)  # no talk time: nothing to charge
        return asked

    async def _ask_for(self, uuid: str, row: UnprovenRow) -> _Asked:
        one = await self._one_call(uuid)
        if one is None:
            _remember(self._not_held, [uuid], _REMEMBERED)
            return _Asked(detail=self._not_held_words(uuid))
        if one.record is not None and one.dialled:
            confirmed = await self._one_call(uuid, dialled=one.dialled)
            one = one if confirmed else OneCall(None, reason=one.reason, billsec=one.billsec)
        if one.record is None or isinstance(one.record, BadRow):
            reason = one.record.reason if isinstance(one.record, BadRow) else one.reason
            detail = f"{self._source.server_id} holds call {uuid}, but its row cannot be read:"
            billsec = max(one.billsec, _talk_time(row, uuid))
            return _Asked([], "unreadable", f"{detail} {reason}", billsec, is_held=True)
        return _Asked([one.record], is_held=True)

    async def _one_call(self, uuid: str, *, dialled: str = "") -> OneCall | None:
        try:
            found = await self._source.one_call(self._feed, uuid, dialled=dialled)
        except Refused as error:
            raise SourceReadError(error) from error
        except TRANSIENT_ERRORS as error:
            raise SourceReadError(error) from error
        if found is not None:
            _remember(self._known, [uuid], _KNOWN_CALLS)
        return found

    def _not_held_words(self, uuid: str) -> str:
        words = f"{self._source.server_id} lists this row but finds no call {uuid}"
        if self._known:
            return f"{words}: a text, such as the name of an extension, may hold the row"
        return f"{words}, nor any other call so far"


def _claimed(row: UnprovenRow) -> list[UUID]:
    return [call_id(row.server_id, row.source_call_id)] if row.source_call_id else []


def _unreadable(row: UnprovenRow) -> str:
    reason = row.reading.reason if isinstance(row.reading, BadRow) else "unknown"
    return f"{row.server_id} lists this row, which cannot be read: {reason}"


def _ids_in(row: UnprovenRow) -> list[str]:
    """The ids in an unreadable row, without the domain's at its beginning."""
    text = row.raw.decode("utf-8", "replace")
    first = _UUID.match(text, 1)
    found = list(dict.fromkeys(uuid.lower() for uuid in _UUID.findall(text)))
    if first is not None:
        found = [uuid for uuid in found if uuid != first.group().lower()]
    half = _MOST_IDS // 2
    return found if len(found) <= _MOST_IDS else [*found[:half], *found[-half:]]


def _talk_time(row: UnprovenRow, uuid: str) -> int:
    values = row.raw.decode("utf-8", "replace").rstrip("\r\n").strip('"').split('","')
    if not row.names:
        return 0
    return talk_time(row.names, values, uuid)


async def _gathered(asking: Sequence[Coroutine[Any, Any, _Asked]]) -> list[_Asked]:
    """The results in order. The first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in asking]
    except* SourceReadError as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _remember(kept: "OrderedDict[_Kept, None]", new: Collection[_Kept], most: int) -> None:
    for key in new:
        kept[key] = None
        kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


def _report(rows: Sequence[UnconfirmedRow]) -> None:
    for row in rows:
        UNCONFIRMED.labels(row.server_id, row.reason).inc()
        log.warning(
            "row not confirmed",
            server_id=row.server_id,
            tenant=row.tenant,
            call=row.source_call_id,
            reason=row.detail,
        )
