"""How far consumer groups have read, in the database that has their effects (ADR 55)."""

from collections.abc import Mapping, Sequence

from ringfence.postgres.pool import Pool

PartitionKey = tuple[str, int]
"""Topic and partition."""


class OffsetStore:
    """The rows of one group in `<schema>.consumed_offset`."""

    def __init__(self, pool: Pool, schema: str, *, group: str) -> None:
        self._pool = pool
        self._table = f"{schema}.consumed_offset"
        self._group = group

    async def save(self, ends: Mapping[PartitionKey, int]) -> None:
        """Save the offsets behind what was read; none is lowered."""
        await self._pool.execute(
            f"insert into {self._table} as c (consumer_group, topic, partition, next_offset)"  # noqa: S608 - a constant of the owner
            " select $1, * from unnest($2::text[], $3::int[], $4::bigint[])"
            " on conflict (consumer_group, topic, partition) do update"
            " set next_offset = excluded.next_offset where c.next_offset < excluded.next_offset",
            self._group,
            *_columns(list(ends)),
            list(ends.values()),
        )

    async def read(self) -> dict[PartitionKey, int]:
        """All offsets of the group."""
        rows = await self._pool.fetch(
            f"select topic, partition, next_offset from {self._table} where consumer_group = $1",  # noqa: S608
            self._group,
        )
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def delete(self, places: Sequence[PartitionKey]) -> None:
        """Delete the offsets of these partitions."""
        await self._pool.execute(
            f"delete from {self._table} where consumer_group = $1"  # noqa: S608
            " and (topic, partition) in (select * from unnest($2::text[], $3::int[]))",
            self._group,
            *_columns(places),
        )


def _columns(places: Sequence[PartitionKey]) -> tuple[list[str], list[int]]:
    return [topic for topic, _ in places], [partition for _, partition in places]
