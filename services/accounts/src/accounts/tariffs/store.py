"""The tables of tariffs. A version is written once, whole, and never changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from asyncpg import Record

from accounts.paging import by_columns, decode_cursor, page, read_id
from accounts.refusals import Unknown
from accounts.tariffs.decks.reader import TariffReader
from accounts.tariffs.decks.rows import STORED
from accounts.tariffs.store_dated import publish_file
from accounts.tariffs.store_doubts import doubts_about_file
from accounts.tariffs.store_export import export_rows
from accounts.tariffs.store_layouts import NamedLayout, find_layout, forget_layout, save_layout
from accounts.tariffs.store_rows import KINDS, change_rows, rows_of, stage, summary
from accounts.tariffs.store_versions import (
    VersionSpec,
    lock_tariff,
    publish,
    to_restore,
)
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.tariff import RowFees

_IMPORTS_AT_ONCE = 2
"""Each holds a database connection while it reads; payments need the others."""


class TariffStore:
    """Tariff versions, and the column names of their files."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._imports = asyncio.Semaphore(_IMPORTS_AT_ONCE)

    async def import_file(
        self, reader: TariffReader, spec: VersionSpec, who: str, remember: NamedLayout | None
    ) -> tuple[dict[str, Any], bool]:
        """Write and publish a file as a new version, or as one for each date of its rows.

        Returns the first version, with the others as `later`, and whether any is new. `remember`
        is the layout to store, if any. Raises BadTariff, BadInput or Clash; nothing of the file is
        stored then.
        """
        async with self._imports, self._pool.acquire() as connection, connection.transaction():
            content = await stage(connection, reader)
            answer, new = await publish_file(connection, content, spec, who, self._clock)
            answer["warnings"] = [*await doubts_about_file(connection, reader), *answer["warnings"]]
            if remember is not None and not spec.dry_run:
                await save_layout(connection, remember, who, self._clock.now())
            return answer, new

    async def rollback(self, spec: VersionSpec, who: str) -> tuple[dict[str, Any], bool]:
        """Make a new version with the rows of `spec.restores`, or of the one before.

        Raises Unknown or Clash.
        """
        async with self._imports, self._pool.acquire() as connection, connection.transaction():
            if not spec.dry_run:
                await lock_tariff(connection, spec.tariff_id)
            at = spec.effective_from or self._clock.now()
            old = await to_restore(connection, spec.tariff_id, spec.restores, at)
            wanted = replace(spec, restores=old.version_id)
            return await publish(connection, old.content, wanted, who, self._clock)

    async def layout(self, tariff_id: str, name: str | None = None) -> NamedLayout:
        """What is remembered of a tariff's files; `name`: of the files of that layout instead."""
        async with self._pool.acquire() as connection:
            return await find_layout(connection, tariff_id, name)

    async def save_layout(self, layout: NamedLayout, who: str) -> None:
        """Replace what is remembered of a tariff's files."""
        async with self._pool.acquire() as connection, connection.transaction():
            await save_layout(connection, layout, who, self._clock.now())

    async def forget_layout(self, tariff_id: str) -> None:
        """Forget what is remembered of a tariff's files; a layout with a name stays."""
        async with self._pool.acquire() as connection:
            await forget_layout(connection, tariff_id)

    def export(self, version_id: int) -> AsyncIterator[bytes]:
        """A version as a file that can be imported again, in pieces."""
        return export_rows(self._pool, version_id)

    async def known(self, tariff_id: str) -> bool:
        """Whether a tariff has any version."""
        found: bool = await self._pool.fetchval(
            "select exists (select from accounts.tariff_version where tariff_id = $1)", tariff_id
        )
        return found

    async def latest(self) -> list[dict[str, Any]]:
        """The latest version of every tariff, and which one is in force now, with its rows."""
        rows = await self._pool.fetch(
            "select distinct on (v.tariff_id) v.version_id, v.tariff_id, v.name, v.currency,"
            " v.effective_from, v.rows, v.sha256, v.created_at, v.created_by, v.restores,"
            " f.version_id as in_force, f.rows as in_force_rows from accounts.tariff_version v"
            " left join accounts.tariff_time f on f.tariff_id = v.tariff_id"
            " and f.effective_from <= $1 and coalesce(f.until > $1, true)"
            " order by v.tariff_id, v.version_id desc",
            self._clock.now(),
        )
        return [dict(row) for row in rows]

    async def versions(self, tariff_id: str) -> list[dict[str, Any]]:
        """All versions of a tariff, the newest first. Raises Unknown.

        Each has `until`, when another version takes over (None: none does), and a `state`: `in
        force`, `to come`, `past`, or `never` where another version covers its whole time.
        """
        rows = await self._pool.fetch(
            "select *, case when until <= effective_from then 'never'"
            " when effective_from > $2 then 'to come' when until <= $2 then 'past'"
            " else 'in force' end as state from accounts.tariff_time where tariff_id = $1"
            " order by version_id desc",
            tariff_id,
            self._clock.now(),
        )
        if not rows:
            expected = "`ringfence tariff import` makes one of a file"
            raise Unknown("tariff", tariff_id, expected)
        return [dict(row) for row in rows]

    async def version(self, tariff_id: str, version_id: int | None) -> dict[str, Any]:
        """One version; for None the one in force, else the latest. Raises Unknown."""
        found = await self.versions(tariff_id)
        if version_id is None:
            return next((v for v in found if v["state"] == "in force"), found[0])
        for version in found:
            if version["version_id"] == version_id:
                return version
        expected = f"`ringfence tariff versions {tariff_id}` lists them"
        raise Unknown("version", str(version_id), expected)

    async def rate_for(self, version_id: int, number: str) -> dict[str, Any] | None:
        """The row of a version with the longest prefix of `number`; None if no row matches."""
        row = await self._pool.fetchrow(
            "select * from accounts.tariff_rate where version_id = $1"
            " and prefix = any($2) order by length(prefix) desc limit 1",
            version_id,
            [number[:length] for length in range(1, len(number) + 1)],
        )
        return _rate(row) if row else None

    async def rates(
        self, version_id: int, starts: str, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """Rows of a version whose prefix begins with `starts`, in the order of prefixes."""
        (after,) = decode_cursor(cursor, read_id)
        rows = await self._pool.fetch(
            "select * from accounts.tariff_rate where version_id = $1"
            # ':' is the character after '9'
            " and prefix >= $2 and prefix < $2 || ':' and prefix > $3 order by prefix limit $4",
            version_id,
            starts,
            after or "",
            limit + 1,
        )
        return page([_rate(row) for row in rows], limit, by_columns("prefix"))

    async def diff(self, tariff_id: str, old: int, new: int, largest: int) -> dict[str, Any]:
        """How version `new` differs from version `old`. Raises Unknown."""
        await self._check_versions(tariff_id, old, new)
        async with self._pool.acquire() as connection:
            return await summary(connection, rows_of(new), rows_of(old), old, largest)

    async def changes(
        self, tariff_id: str, old: int, new: int, kind: str | None, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """All changes between two versions, a page at a time. Raises Unknown."""
        (after,) = decode_cursor(cursor, read_id)
        await self._check_versions(tariff_id, old, new)
        kinds = [kind] if kind else KINDS
        sides = rows_of(new), rows_of(old)
        async with self._pool.acquire() as connection:
            rows = await change_rows(connection, *sides, kinds, after or "", limit + 1)
        return page(rows, limit, by_columns("prefix"))

    async def _check_versions(self, tariff_id: str, *versions: int) -> None:
        for version_id in versions:
            await self.version(tariff_id, version_id)


def _rate(row: Record) -> dict[str, Any]:
    """A row of a version, with its increment as `initial/increment`; amounts only if it has any."""
    facts = {name: row[name] for name in STORED if name in row}
    for name in RowFees._fields:
        if facts[name] is None:
            del facts[name]
    initial_s, increment_s = facts.pop("initial_s"), facts.pop("increment_s")
    return {**facts, "increment": f"{initial_s}/{increment_s}"}
