"""The table `leg`: legs that left by a carrier, what they wait for and what was decided."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from cdr_ingest.legs.decision import Origin, has_no_number
from ringfence.postgres.pool import Connection, Pool
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import charge_id

MAX_DUE = 200
_MOST_TRANSFERS = 8
"""Legs between a leg and the call at the beginning of its chain of transfers, at most."""

_ORIGINS = """
select r.record_id, r.disposition, r.originating_id, p.value
from cdr_ingest.record r left join cdr_ingest.published_call p using (record_id)
where r.record_id = any($1) and r.disposition <> 'dead'
"""
_OTHERS = """
select distinct originating_id from cdr_ingest.leg
where originating_id = any($1) and record_id <> all($2)
"""
_LEGS = "record_id, originating_id, message_key, value, state, noted_at, queued_at"
_DUE = f"""
select {_LEGS} from cdr_ingest.leg where next_look_at <= $1 order by next_look_at limit $2
"""  # noqa: S608 - constants
_SAVE = """
insert into cdr_ingest.leg as l (record_id, originating_id, message_key, value, talk_s, charged_s,
    entry_id, originating_entry_id, state, noted_at, queued_at, decided_at, next_look_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (record_id) do update set charged_s = excluded.charged_s, state = excluded.state,
    queued_at = coalesce(l.queued_at, excluded.queued_at), decided_at = excluded.decided_at,
    next_look_at = excluded.next_look_at
where l.decided_at is null
"""
# What was decided after the leg had been queued, and is still in the queue as waiting: the event
# with the decision was lost. Its bytes are those that were published last.
_STUCK = """
select l.message_key, p.value from cdr_ingest.leg l
join cdr_ingest.published_call p using (record_id)
where l.decided_at between $1 and $2 and l.queued_at is not null and (
    select u.reason from report.unrated u where u.call_id = l.record_id
) in ('waits-for-leg', 'leg-without-call')
"""


@dataclass(frozen=True)
class LegRow:
    """A leg and how far it is. `call` is the leg as it was read."""

    call: CallCompleted
    originating_id: UUID | None
    message_key: str
    state: str
    noted_at: datetime
    charged_s: int = 0
    queued_at: datetime | None = None
    decided_at: datetime | None = None
    next_look_at: datetime | None = None


class LegStore:
    """Finds the origins of legs, and keeps the legs that wait or were charged."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def origins(
        self, ids: Collection[UUID], known: Iterable[CallCompleted] = ()
    ) -> dict[UUID, Origin]:
        """Those of the origins that are known, with the call at the beginning of each chain.

        `known` are calls that are not saved yet. A call whose bytes are no longer kept is missing.
        An origin whose chain leads to a leg that is not known yet is missing too: who caused it is
        known with that one alone.
        """
        calls = {call.call_id: call for call in known}
        found: dict[UUID, Origin] = {}
        parents: dict[UUID, UUID] = {}
        wanted = set(ids)
        for _ in range(_MOST_TRANSFERS):
            here = wanted & calls.keys()
            found |= {i: Origin(i, calls[i]) for i in here}
            rest = list(wanted - here)
            rows = await self._pool.fetch(_ORIGINS, rest) if rest else []
            for row in rows:
                is_call = row["disposition"] == "published"
                if is_call and row["value"] is None:
                    continue
                call = CallCompleted.model_validate_json(row["value"]) if is_call else None
                found[row["record_id"]] = Origin(row["record_id"], call)
                if row["originating_id"] is not None:
                    parents[row["record_id"]] = row["originating_id"]
            wanted = {parents[i] for i in wanted if i in parents} - found.keys()
            if not wanted:
                break
        chains = {i: _with_first(found[i], found, parents) for i in ids if i in found}
        return {i: origin for i, origin in chains.items() if origin is not None}

    async def origins_of(
        self, legs: Collection[LegRow], known: Iterable[CallCompleted] = ()
    ) -> dict[UUID, Origin]:
        """The known origins of these legs. For legs without a number: whether others name them."""
        found = await self.origins(
            {leg.originating_id for leg in legs if leg.originating_id}, known
        )
        bare = {leg.call.call_id: leg.originating_id for leg in legs if has_no_number(leg.call)}
        if bare:
            rows = await self._pool.fetch(_OTHERS, list(bare.values()), list(bare))
            for row in rows:
                if origin := found.get(row["originating_id"]):
                    found[origin.call_id] = replace(origin, has_others=True)
        return found

    async def due(self, now: datetime) -> list[LegRow]:
        """Legs without decision that are to be looked at."""
        rows = await self._pool.fetch(_DUE, now, MAX_DUE)
        return [
            LegRow(
                call=CallCompleted.model_validate_json(row["value"]),
                originating_id=row["originating_id"],
                message_key=row["message_key"],
                state=row["state"],
                noted_at=row["noted_at"],
                queued_at=row["queued_at"],
            )
            for row in rows
        ]

    async def save(
        self, legs: Sequence[LegRow], published: Sequence[tuple[UUID, bytes]] = ()
    ) -> None:
        """Save what became of legs, and the bytes of those that were published."""
        async with self._pool.acquire() as connection, connection.transaction():
            await save_legs(connection, legs)
            for record_id, value in published:
                await connection.execute(
                    "update cdr_ingest.record set disposition = 'published' where record_id = $1",
                    record_id,
                )
                await connection.execute(
                    "insert into cdr_ingest.published_call (record_id, value) values ($1, $2)"
                    " on conflict (record_id) do update set value = excluded.value",
                    record_id,
                    value,
                )

    async def delete(self, record_ids: Sequence[UUID]) -> None:
        """Delete legs that were never published: their outbound call pays for them."""
        await self._pool.execute(
            "delete from cdr_ingest.leg where record_id = any($1) and queued_at is null", record_ids
        )

    async def stuck(self, now: datetime) -> list[tuple[str, bytes]]:
        """Decisions that rating does not have, as key and bytes of their events."""
        rows = await self._pool.fetch(_STUCK, now - timedelta(days=1), now - timedelta(minutes=1))
        return [(row["message_key"], row["value"]) for row in rows]


async def save_legs(connection: Connection, legs: Sequence[LegRow]) -> None:
    """Save legs in the caller's transaction. A decision is never replaced."""
    await connection.executemany(
        _SAVE,
        [
            (
                leg.call.call_id,
                leg.originating_id,
                leg.message_key,
                leg.call.to_json(),
                leg.call.billsec,
                leg.charged_s,
                charge_id(str(leg.call.call_id)),
                leg.originating_id and charge_id(str(leg.originating_id)),
                leg.state,
                leg.noted_at,
                leg.queued_at,
                leg.decided_at,
                leg.next_look_at,
            )
            for leg in legs
        ],
    )


def _with_first(
    origin: Origin, found: dict[UUID, Origin], parents: dict[UUID, UUID]
) -> Origin | None:
    """The origin with the call at the beginning of its chain; itself if it is that call.

    None if the chain leads to a leg that is not known.
    """
    seen, at = {origin.call_id}, origin.call_id
    while at in parents and parents[at] not in seen:
        at = parents[at]
        seen.add(at)
        if at not in found:
            return None
    return Origin(origin.call_id, origin.call, found[at].call if at != origin.call_id else None)
